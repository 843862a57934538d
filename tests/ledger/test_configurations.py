"""Which configuration a trial gets, and that no other has it."""

import threading
from collections import Counter
from typing import Any

import sqlalchemy
from conftest import quick_text
from optuna.trial import TrialState
from trials import PARAMS, Make, state, take

from search.ledger import allocations, claims, configurations, studies, summaries
from search.space import candidates, spaces
from search.storage import databases, schema
from search.study import specs


def test_a_trial_appears_whole(opened: databases.Database, make_study: Make) -> None:
    """A trial has no parameter, and then all of them: never a part."""
    study = make_study(trials=3)
    claim = take(opened, study)
    assert state(opened, study, 0).params == {}
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    assert state(opened, study, 0).params == params
    assert study.spec.space.is_complete(params)


def test_no_configuration_twice_until_the_space_is_exhausted(opened: databases.Database, make_study: Make) -> None:
    """A space of 7 configurations gives 7 different trials to 4 workers, then says that it is exhausted."""
    text = quick_text(trials=100).replace("[1e-4, 1e-2, 1e-1]", "[0.1]").replace("low = 1, high = 128", "choices = [5]")
    text = text.replace("high = 6", "high = 2").replace("[8, 16, 32]", "[8]")
    study = studies.create(opened, specs.parse(text, "x"))
    assert study.spec.space.size == 1 + 2 * 3
    ends: list[Any] = []

    def grab() -> None:
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
        ends.append(claim)

    threads = [threading.Thread(target=grab) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = summaries.whole(opened, study).trials
    assert Counter(study.spec.space.key(t.params) for t in trials).most_common(1)[0][1] == 1
    assert len(trials) == 7
    assert set(ends) <= {allocations.NoTrial.EXHAUSTED, allocations.NoTrial.WAIT}
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED


def test_two_workers_on_one_configuration(opened: databases.Database, make_study: Make) -> None:
    """The reservation is the database's: the second of two equal proposals is refused and writes nothing."""
    study = make_study(trials=3)
    one, two = take(opened, study), take(opened, study)
    assert configurations.assign(opened, study, one, PARAMS) == PARAMS
    assert configurations.assign(opened, study, two, PARAMS) is None
    assert state(opened, study, 1).params == {}
    assert configurations.assign(opened, study, two, {**PARAMS, "depth": 0, "batch_size": 8}) is not None


def test_one_worker_and_a_seed_repeat_a_study(opened: databases.Database) -> None:
    """Two studies of one seed get the same configurations, trial by trial; another seed gets others."""
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        text = quick_text(name=name, sampler="tpe", trials=15).replace("seed = 1", f"seed = {seed}")
        study = studies.create(opened, specs.parse(text, "x"))
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            params = configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 1 - float(params["depth"]) / 10, {})
        found.append([t.params for t in summaries.whole(opened, study).trials])
    assert found[0] == found[1] != found[2]


def test_a_grid_is_walked_by_all_workers_in_order(opened: databases.Database) -> None:
    """Four workers walk one grid: each point once, none lost, and a budget larger than the grid ends with it."""
    text = quick_text(trials=100, sampler="grid").replace("low = 1, high = 128", "choices = [5, 9]")
    text = text.replace("high = 6", "high = 1").replace("[8, 16, 32]", "[8]")
    study = studies.create(opened, specs.parse(text, "x"))
    assert study.spec.space.size == 3 * 2 * (1 + 3)

    def walk() -> None:
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    walked = [study.spec.space.key(trial.params) for trial in summaries.whole(opened, study).trials]
    assert sorted(walked) == sorted(study.spec.space.key(params) for params in study.spec.space.configurations())
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED


def test_a_walk_reads_what_is_ahead_and_finds_what_was_given_back(opened: databases.Database) -> None:
    """A worker in the middle of a grid asks for a few keys; at its end a point that is free again is not lost."""
    text = quick_text(trials=500, sampler="grid").replace("low = 1, high = 128", "low = 1, high = 40")
    study = studies.create(opened, specs.parse(text.replace("low = 0, high = 6", "choices = [0]"), "x"))
    history, asked = opened.history(study.study_id), []
    assert study.spec.space.size == 120

    def walk(count: int) -> list[spaces.Params]:
        found = []
        for _ in range(count):
            claim = take(opened, study)
            found.append(configurations.configure(opened, study, claim, history))
            claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
        return found

    def note(*details: Any) -> None:
        if "IN (" in details[2] and "SELECT search_claims.config" in details[2]:
            asked.append(len(details[3]))

    points = list(study.spec.space.configurations())
    assert walk(60) == points[:60]
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", note)
    assert walk(10) == points[60:70]
    sqlalchemy.event.remove(opened.engine, "before_cursor_execute", note)
    assert 10 <= len(asked) <= 12
    assert max(asked) <= candidates.PORTION + 1
    given_back = schema.claims.update().where(schema.claims.c.config == study.spec.space.key(points[3]))
    opened.write(lambda connection: connection.execute(given_back.values(config=None)))
    assert walk(51) == [*points[70:], points[3]]


def test_one_worker_walks_the_grid_in_the_files_order(opened: databases.Database) -> None:
    """The lab's values come in the order in which the study file lists them."""
    text = (
        quick_text(trials=3, sampler="grid")
        .replace("low = 1, high = 128", "choices = [9, 5]")
        .replace("low = 0", "low = 3")
    )
    study = studies.create(opened, specs.parse(text, "x"))
    history = opened.history(study.study_id)
    got = [configurations.configure(opened, study, take(opened, study), history) for _ in range(3)]
    assert [p["activation"] for p in got] == ["ReLU", "Sigmoid", "GELU"]
    assert {(p["learning_rate"], p["batch_size"], p["width"]) for p in got} == {(1e-4, 9, 8)}
