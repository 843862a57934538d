"""A summary by queries says what its trials, read one by one, add up to."""

import dataclasses
import math
from typing import Any

import pytest
import sqlalchemy
from mixtures import mixed
from optuna.trial import FrozenTrial, TrialState
from trials import ME, Make, begin, fail, succeed

from search.ledger import causes, claims, excerpts, news, queues, summaries
from search.storage import databases
from search.training import records


def values(trials: list[FrozenTrial]) -> list[float]:
    return [trial.value for trial in trials if trial.value is not None]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_it_is_what_the_trials_add_up_to(opened: databases.Database, url: str, direction: str) -> None:
    """Counts, budget used, the best, the last, put back, outside: by queries and by going through every trial."""
    study = mixed(opened, url, seed=4)
    section = study.spec.study.model_copy(update={"direction": direction})
    study = dataclasses.replace(study, spec=dataclasses.replace(study.spec, study=section))
    found = summaries.whole(opened, study)
    holds, trials = study.spec.space.holds, found.trials
    theirs = {n for n in range(len(trials)) if trials[n].params.keys() == {"x"}}
    assert [trial.number for trial in trials] == list(range(found.total))
    assert all(found.count(state) == sum(t.state == state for t in trials) for state in TrialState)
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    assert (found.added, found.outside) == (len(theirs), theirs)
    assert found.done == len([t for t in ended if t.number not in theirs])
    complete = [t for t in trials if t.state == TrialState.COMPLETE and holds(t.params)]
    best = (max if direction == "maximize" else min)(values(complete))
    assert found.best is not None
    assert found.best.number == next(t.number for t in complete if t.value == best)
    assert [t.number for t in found.running] == [t.number for t in trials if t.state == TrialState.RUNNING]
    assert [t.number for t in found.latest] == [t.number for t in trials if t.state.is_finished()][-excerpts.LATEST :]
    again = {old: t.number for t in trials if (old := records.retried_of(t)) is not None}
    assert found.put_back == again
    assert found.put_back
    failed = [t for t in trials if t.state == TrialState.FAIL]
    assert found.failures == len([t for t in failed if t.number not in again])
    reasons = causes.count(opened, found)
    assert reasons["pruned, slow"] == found.count(TrialState.PRUNED)
    assert reasons.get("failed and put back, ValueError", 0) == len(again)
    assert sum(reasons.values()) == sum(records.REASON.find(t) is not None for t in trials)


def test_as_many_queries_for_many_trials_as_for_few(opened: databases.Database, url: str) -> None:
    """What a summary costs is a number of queries that does not grow with the study."""
    few, many = mixed(opened, url, seed=4, number_of=16), mixed(opened, url, seed=4)
    asked: list[str] = []
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    counted = []
    for study in (few, many):
        asked.clear()
        summaries.summary(opened, study)
        counted.append(len(asked))
    assert counted[1] <= counted[0] + 2  # what was put back is asked for where there is any


def test_the_best_is_a_number(opened: databases.Database, make_study: Make) -> None:
    """An infinite value is the best where it is; what is not a number never is."""
    study = make_study(trials=9)
    first, second, third = (begin(opened, study) for _ in range(3))
    for claim, value in ((first, 0.25), (second, math.inf), (third, -math.inf)):
        claims.tell(opened, claim, TrialState.COMPLETE, value, {})
    found = summaries.summary(opened, study).best
    assert found is not None
    assert (found.number, found.value) == (second.number, math.inf)
    if opened.engine.dialect.name == "sqlite":  # it has no such value
        return
    with opened.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE trial_values SET value_type = 'FINITE', value = 'NaN' WHERE trial_id = {second.trial_id}"
        )
    found = summaries.summary(opened, study).best
    assert found is not None
    assert found.number == first.number


def test_news_are_told_once(opened: databases.Database, make_study: Make) -> None:
    """Trials that end are told by number, one that ended before never, one that waited and ran in between too."""
    study = make_study(trials=9)
    succeed(opened, begin(opened, study))
    queues.enqueue(opened, study, {"learning_rate": 0.1, "batch_size": 7, "depth": 0})
    running = begin(opened, study, ME)
    told = news.News(opened, study)
    assert told.read(opened) == []
    waited = begin(opened, study)
    fail(opened, running, "RuntimeError: late")
    succeed(opened, waited)
    new = begin(opened, study)
    succeed(opened, new)
    found: list[Any] = told.read(opened)
    assert [t.number for t in found] == sorted([running.number, waited.number, new.number])
    assert records.REASON.find(found[0]) == "RuntimeError: late"
    assert told.read(opened) == []
