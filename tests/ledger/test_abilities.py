"""A trial stays with the engine it was begun with; nobody waits for ever for one that is gone; on every storage."""

import dataclasses
import os
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from conftest import Processes, quick_text
from forgetful import Forgetful
from optuna.trial import TrialState
from processes import until
from trials import GONE, ME, SAVED, Clock, state

from models import backends, data, engines
from search.ledger import abilities, allocations, checks, claims, configurations, pauses, presence, rosters, studies
from search.storage import databases
from search.study import specs
from search.training import networks, records

Make = Callable[..., studies.Study]
CPU, REFERENCE = str(backends.Backend("cpu")), str(backends.Backend("reference"))


def able(*which: str, grace: float = 30.0) -> abilities.Ability:
    return abilities.Ability(which, grace)


def take(
    database: databases.Database,
    study: studies.Study,
    ability: abilities.Ability,
    worker: presence.Identity = ME,
    watch: presence.Watch | None = None,
    **how: Any,
) -> Any:
    return allocations.take(database, study, worker, watch or presence.Watch(), able=ability, **how)


def begun(database: databases.Database, study: studies.Study, backend: str = CPU) -> claims.Claim:
    """A trial of a worker that is gone, with two epochs of a backend."""
    claim = take(database, study, able(backend), GONE, presence.Watch(0.3))
    assert isinstance(claim, claims.Claim)
    configurations.configure(database, study, claim, database.history(study.study_id), lambda _: backend)
    claims.report(database, claim, {1: 0.25, 2: 0.5}, 3.0, {}, SAVED)
    return claim


def test_a_backend_is_a_line() -> None:
    """What is stored is read back, and people see no more of it than is unusual."""
    whole = backends.Backend("cuda", "cuda", "tf32", 4)
    assert backends.parse(str(whole)) == whole
    assert whole.label == "cuda on cuda in tf32 in a team of 4"
    assert (backends.parse(CPU).label, abilities.label("made of dreams")) == ("cpu", "made of dreams")
    assert [str(backends.of(engines.load(name))) for name in ("cpu", "reference")] == [CPU, REFERENCE]


def test_a_trial_is_adopted_by_who_has_its_engine(opened: databases.Database, make_study: Make) -> None:
    """Another passes it by and takes a new one; who has it goes on from the checkpoint, under the same number."""
    study = make_study(trials=3)
    first = begun(opened, study)
    watch = Clock(opened, study).watch
    other = take(opened, study, able(REFERENCE), watch=watch)
    assert (other.number, other.how, other.backend) == (1, "created", None)
    mine = take(opened, study, able(REFERENCE, CPU), watch=watch, own={other.owner})
    assert (mine.number, mine.how, mine.backend, mine.former) == (0, "adopted", CPU, None)
    assert mine.saved is not None
    assert mine.generation == first.generation + 1


@pytest.mark.parametrize("how", ["orphaned", "handed over"])
def test_what_another_engine_can_finish_is_left_to_it(opened: databases.Database, make_study: Make, how: str) -> None:
    """As long as a worker lives that has it, the others wait; so they do through the grace after it has gone."""
    study = make_study(trials=1)
    claim = begun(opened, study)
    if how == "handed over":
        claims.hand_over(opened, claim)
    watch, ability = Clock(opened, study).watch, able(REFERENCE, grace=0.4)
    there = rosters.Entry(study, dataclasses.replace(GONE, name="able"), "cpu", 30.0, able(CPU, "else").line)
    there.show(opened)
    for _ in range(4):
        assert take(opened, study, ability, watch=watch) is allocations.NoTrial.ENGINE
        ability.look(opened, study)
        time.sleep(0.15)
    there.strike(opened)
    ability.look(opened, study)
    assert take(opened, study, ability, watch=watch) is allocations.NoTrial.ENGINE
    assert take(opened, study, able(CPU), watch=watch).saved is not None


@pytest.mark.parametrize("any_study", [True, False])
def test_a_worker_of_any_study_is_there(opened: databases.Database, make_study: Make, any_study: bool) -> None:
    """One that is busy at another study comes back to this one; who works on the other alone does not."""
    study, other = make_study(trials=1), make_study(name="other", trials=1)
    claims.hand_over(opened, begun(opened, study))
    line = f"{able(CPU).line},{rosters.ANY}" if any_study else able(CPU).line
    rosters.Entry(other, dataclasses.replace(GONE, name="able"), "cpu", 30.0, line).show(opened)
    ability = able(REFERENCE, grace=0.0)
    assert take(opened, study, ability) is allocations.NoTrial.ENGINE
    ability.look(opened, study)
    again = take(opened, study, ability)
    assert (again is allocations.NoTrial.ENGINE) == any_study


def test_an_end_by_failures_waits_for_what_another_engine_can_finish(
    opened: databases.Database, make_study: Make
) -> None:
    """A trial whose worker is gone is no less to be finished where more have failed than may."""
    study = make_study(trials=5, more="max_failures = 0")
    begun(opened, study)
    watch = Clock(opened, study).watch
    failed = take(opened, study, able(REFERENCE), watch=watch)
    claims.tell(opened, failed, TrialState.FAIL, None, {})
    assert take(opened, study, able(REFERENCE), watch=watch) is allocations.NoTrial.ENGINE
    assert take(opened, study, able(CPU), watch=watch).how == "adopted"


@pytest.mark.parametrize("how", ["orphaned", "handed over"])
def test_what_nobody_can_finish_is_begun_anew(opened: databases.Database, make_study: Make, how: str) -> None:
    """After the grace, with an engine that is there: under its number and configuration, from the start."""
    study = make_study(trials=1)
    claim = begun(opened, study)
    params = state(opened, study, 0).params
    if how == "handed over":
        claims.hand_over(opened, claim)
    watch, ability = Clock(opened, study).watch, able(REFERENCE, grace=0.3)
    for _ in range(3):
        assert take(opened, study, ability, watch=watch) is allocations.NoTrial.ENGINE
        ability.look(opened, study)
        time.sleep(0.2)
    again = take(opened, study, ability, watch=watch)
    assert (again.number, again.saved, again.backend, again.former) == (0, None, None, CPU)
    assert (again.params, again.seconds, again.stalls) == (params, 3.0, 0)
    assert state(opened, study, 0).intermediate_values == {}
    history = opened.history(study.study_id)
    assert configurations.configure(opened, study, again, history, lambda _: REFERENCE) == params
    told = state(opened, study, 0).user_attrs[records.RESTARTED.name]
    assert told == "begun anew: no worker was left that trains with cpu, which had come to epoch 2"
    claims.report(opened, again, {1: 0.125}, 4.0, {}, dataclasses.replace(SAVED, epoch=1))
    claims.hand_over(opened, again)
    assert take(opened, study, able(CPU)) is allocations.NoTrial.ENGINE  # it has another engine from now on
    assert take(opened, study, able(REFERENCE)).saved.epoch == 1
    assert not [each for each in checks.look(opened, study) if not each.holds]


def test_a_lost_answer_begins_nothing_twice(url: str) -> None:
    """Where the acknowledgement of a claim that begins anew is lost, the second try finds it done."""
    database = Forgetful(url, patience_seconds=30)
    study = studies.create(database, specs.parse(quick_text(trials=1), "quick.toml"))
    claims.hand_over(database, begun(database, study))
    ability = able(REFERENCE, grace=0.0)
    assert take(database, study, ability) is allocations.NoTrial.ENGINE
    ability.look(database, study)
    again = database.lossy(lambda: take(database, study, ability))
    assert (again.number, again.saved, again.backend) == (0, None, None)
    database.close()


def test_paused_trials_go_on_with_their_engine(opened: databases.Database) -> None:
    """Who has another promotes the next that it has; the study is not ended over the heads of those that wait."""
    more = 'pruner = "asha"\nmin_resource = 1\nreduction_factor = 2\n'
    text = quick_text(trials=3, epochs=4).replace("hopeless = true\n", f"hopeless = true\n{more}")
    study = studies.create(opened, specs.parse(text, "asha.toml"))
    for backend, value in ((CPU, 0.9), (REFERENCE, 0.8), (REFERENCE, 0.1)):
        claim = take(opened, study, able(backend), GONE)
        configurations.configure(opened, study, claim, opened.history(study.study_id), lambda _, b=backend: b)
        progress = claims.Progress(1.0, {1: value}, {}, dataclasses.replace(SAVED, epoch=1))
        pauses.report(opened, study, claim, progress, 1, value)
        assert not pauses.settle(opened, study, claim, progress, 1, value, goes_on=False)
    assert take(opened, study, able(REFERENCE)) is allocations.NoTrial.ENGINE
    promoted = take(opened, study, able(CPU))
    assert (promoted.number, promoted.how, promoted.saved.epoch) == (0, "promoted", 1)


def test_a_claim_asks_no_more_than_before(opened: databases.Database, make_study: Make) -> None:
    """A worker of one engine among its like: the statements of a claim are those of one that takes anything."""
    study = make_study(trials=9)
    said: list[int] = []
    for ability in (abilities.ANY, able(CPU), abilities.ANY, able(CPU)):
        heard: list[str] = []

        def hear(*asked: Any, heard: list[str] = heard) -> None:
            heard.append(asked[2])

        sqlalchemy.event.listen(opened.engine, "before_cursor_execute", hear)
        claim = take(opened, study, ability)
        sqlalchemy.event.remove(opened.engine, "before_cursor_execute", hear)
        configurations.configure(opened, study, claim, opened.history(study.study_id), lambda _: CPU)
        claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
        said.append(len(heard))
    assert said[0] == said[1] or said[2] == said[3]
    assert said[2:] == [said[2]] * 2


@pytest.mark.slow
def test_a_killed_worker_s_trial_waits_for_its_engine(
    processes: Processes, opened: databases.Database, data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """SIGKILL: a worker with another engine waits, one with the same goes on, to the bits of an undisturbed one."""
    text = quick_text(name="kept", trials=1, epochs=6, hopeless="false").replace('"synthetic"', '"fashion-mnist"')
    params = 'learning_rate = 0.1\nbatch_size = 4\ndepth = 2\nwidth = 32\nactivation = "ReLU"\n'
    (tmp_path / "kept.toml").write_text(text + f"\n[[enqueue]]\n{params}")
    assert processes.run("create", "kept.toml")[0] == 0
    common = ("--data-dir", str(data_dir), "--checkpoint-seconds", "0")
    study = studies.find(opened, "kept")
    assert study is not None
    killed = processes.start("work", "kept", *common, "--engine", "cpu")
    until(lambda: len(state(opened, study, 0).intermediate_values) >= 2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(30)
    other = processes.start("work", "kept", *common, "--engine", "reference")
    until(lambda: len(rosters.read(opened, study.study_id).members) == 1)
    time.sleep(1)
    heir = processes.start("work", "kept", *common)  # "auto", which is cpu here
    assert [heir.wait(120), other.wait(120)] == [0, 0]
    trial = state(opened, study, 0)
    assert trial.state == TrialState.COMPLETE
    trained = records.TRAINED.find(trial)
    assert trained is not None
    assert [(part["from"], part["to"], part["with"]["engine"]) for part in trained] == [(1, 6, "cpu")]
    assert records.RESTARTED.find(trial) is None
    recipe = networks.NetworkObjective(study.spec, data_dir).recipe(trial.params)
    values = [epoch.accuracy for epoch in engines.load("cpu").train(recipe, data.fashion_mnist(data_dir))]
    assert [trial.intermediate_values[step] for step in sorted(trial.intermediate_values)] == values


@pytest.mark.slow
def test_a_killed_worker_s_trial_is_begun_anew_where_nobody_has_its_engine(
    processes: Processes, opened: databases.Database, data_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A worker of another engine alone: it waits for the grace, begins the trial from its start, and the study ends."""
    text = quick_text(name="lone", trials=2, epochs=4, hopeless="false").replace('"synthetic"', '"fashion-mnist"')
    params = 'learning_rate = 0.1\nbatch_size = 16\ndepth = 1\nwidth = 16\nactivation = "ReLU"\n'
    (tmp_path / "lone.toml").write_text(text + f"\n[[enqueue]]\n{params}")
    assert processes.run("create", "lone.toml")[0] == 0
    common = ("--data-dir", str(data_dir), "--grace", "2", "--checkpoint-seconds", "0")
    study = studies.find(opened, "lone")
    assert study is not None
    killed = processes.start("work", "lone", *common, "--engine", "reference")
    until(lambda: len(state(opened, study, 0).intermediate_values) >= 1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(30)
    code, log = processes.run("work", "lone", *common, "--engine", "cpu")
    assert code == 0, log
    assert "trial=0 event=begun-anew" in log
    for number in (0, 1):
        trial = state(opened, study, number)
        assert trial.state == TrialState.COMPLETE
        trained = records.TRAINED.find(trial)
        assert trained is not None
        assert [(part["from"], part["to"], part["with"]["engine"]) for part in trained] == [(1, 4, "cpu")]
    assert not [each for each in checks.look(opened, study) if not each.holds]
