"""What samplers are shown of a study: the same as from Optuna's own reading, read once."""

import optuna
import pytest
import sqlalchemy
from conftest import quick_text
from optuna.trial import TrialState
from trials import Make, begin, succeed

from search.ledger import proposals, studies
from search.storage import databases, histories
from search.study import specs

SHOWN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


def worked(database: databases.Database, url: str, trials: int = 30) -> studies.Study:
    """A study of ours that plain Optuna has worked on: complete, pruned, failed, running and waiting trials."""
    study = studies.create(database, specs.parse(quick_text(trials=100, hopeless="false"), "quick.toml"))
    more(study, url, trials)
    return study


def more(study: studies.Study, url: str, trials: int) -> None:
    plain = optuna.load_study(study_name=study.name, storage=url, sampler=optuna.samplers.RandomSampler(seed=trials))
    kinds = {p.name: p.distribution for p in study.spec.space.parameters}
    for number in range(trials):
        names = list(kinds)[: 3 if number % 4 == 0 else None]
        trial = plain.ask({name: kinds[name] for name in names if name != "depth"} | {"depth": _depth(names)})
        for step in range(1, 4):
            trial.report(number / trials + step / 10, step)
        if number % 7 != 3:
            state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL)[number % 4]
            plain.tell(trial, number / trials if state == TrialState.COMPLETE else None, state)
    plain.enqueue_trial({"depth": 0})


def _depth(names: list[str]) -> optuna.distributions.IntDistribution:
    return optuna.distributions.IntDistribution(*((0, 0) if len(names) == 3 else (1, 6)))


def told(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[object, ...]]:
    """What samplers look at: of a pruned trial also the last step."""
    return [
        (t.number, t.state, t.params, t.values, t.state == TrialState.PRUNED and max(t.intermediate_values.items()))
        for t in trials
        if t.state in SHOWN
    ]


def test_what_is_shown_is_what_optuna_reads(opened: databases.Database, url: str) -> None:
    """At first and after trials have ended and begun."""
    study = worked(opened, url)
    history = opened.history(study.study_id)
    for _ in range(3):
        found = optuna.load_study(study_name=study.name, storage=url).get_trials()
        assert told(history.study(fresh=True).get_trials()) == told(found)
        assert len(history.index) == len(found)
        plain = optuna.load_study(study_name=study.name, storage=url)
        for running in [trial for trial in found if trial.state == TrialState.RUNNING][:2]:
            plain.tell(running.number, 0.5)
        more(study, url, 9)


def test_a_finished_trial_is_read_once(opened: databases.Database, url: str) -> None:
    """A second look asks for what was unfinished alone, and answers with the objects of the first."""
    study = worked(opened, url)
    history = opened.history(study.study_id)
    first = {t.number: t for t in history.study(fresh=True).get_trials(deepcopy=False) if t.state.is_finished()}
    rows: list[int] = []

    def count(result: sqlalchemy.engine.CursorResult[object], *_: object) -> None:
        rows.append(1)

    sqlalchemy.event.listen(opened.engine, "after_cursor_execute", count)
    second = {t.number: t for t in history.study(fresh=True).get_trials(deepcopy=False) if t.state.is_finished()}
    assert first.keys() == second.keys()
    assert all(first[number] is second[number] for number in first)
    assert len(rows) <= 12


def test_a_view_is_all_that_is_read(opened: databases.Database, url: str) -> None:
    """Of other trials there are a few numbers; one outside the space leaves its place to the next."""
    study = worked(opened, url)
    history = opened.history(study.study_id)

    def view(index: histories.Index) -> list[int]:
        complete = index.numbers(TrialState.COMPLETE)
        return list(complete[index.values[complete].argsort()][-5:])

    best = sorted(
        optuna.load_study(study_name=study.name, storage=url).get_trials(states=(TrialState.COMPLETE,)),
        key=lambda t: t.value,
    )
    shown = history.study(fresh=True, view=view).get_trials()
    assert {t.number for t in shown} == {t.number for t in best[-5:]}
    without = best[-2].params
    shown = history.study(fresh=True, holds=lambda params: params != without, view=view).get_trials()
    assert {t.number for t in shown} == {t.number for t in best[-6:]} - {best[-2].number}


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_proposals_are_those_from_the_whole_study(opened: databases.Database, url: str, sampler: str) -> None:
    """Of a history with every kind of trial the sampler makes what it makes of Optuna's own."""
    study = worked(opened, url)
    plain = optuna.create_study(direction="maximize")
    found = optuna.load_study(study_name=study.name, storage=url).get_trials()
    plain.add_trials([trial for trial in found if trial.state != TrialState.WAITING])
    plain.ask()
    trial = plain.get_trials()[-1]
    ours = opened.history(study.study_id).study(fresh=True)
    asks = [proposals.Ask(study.spec.space, each, trial, {}, seed=7) for each in (plain, ours)]
    assert proposals.propose(sampler, asks[0]) == proposals.propose(sampler, asks[1])


def test_a_trial_deleted_by_hand_is_forgotten(opened: databases.Database, make_study: Make, url: str) -> None:
    """One that ran when it was seen, and is gone."""
    study = make_study(trials=3)
    succeed(opened, begin(opened, study))
    gone = begin(opened, study)
    history = opened.history(study.study_id)
    assert [t.number for t in history.study(fresh=True).get_trials()] == [0, 1]
    with opened.engine.begin() as connection:
        for table in ("trial_params", "trial_user_attributes", "search_claims", "trials"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE trial_id = {gone.trial_id}")
    assert [t.number for t in history.study(fresh=True).get_trials()] == [0]
