import dataclasses
import math
import threading
import time

import pytest
import tabled
from optuna.trial import TrialState

from search.ledger import studies
from search.simulations import clocks, methods, services
from search.space import surfaces, tables
from search.storage import scratches
from search.training import objectives, records
from search.worker import loops

NETWORKS = """width = { choices = [8], when = "depth > 0" }
activation = { choices = ["ReLU"], when = "depth > 0" }
"""


@pytest.fixture
def surface(tmp_path):
    return tabled.surface(tmp_path)


def simulate(database, surface, sampler="random", pruner=None, trials=20, seconds=math.inf, workers=1, seed=0):
    """A service that has run, and its clock."""
    method = methods.Method(methods.Part(sampler), pruner and methods.Part.parse(pruner, "--pruner"))
    spec = method.spec(tabled.TEXT, "made.toml", seed, methods.Limit(trials, seconds))
    clock = clocks.Clock()
    service = services.Service(database, spec, surface, clock, seconds, counts_asks=False)
    clock.run([service.life(number) for number in range(workers)])
    return service, clock


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_simulated_is_a_study_in_a_database(surface, workers):
    """The budget is met exactly, no configuration comes twice, values and seconds are those of the table."""
    with scratches.database() as database:
        service, clock = simulate(database, surface, workers=workers)
        found = database.optuna.get_all_trials(1)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 20
    assert len({str(sorted(trial.params.items())) for trial in found}) == 20
    for trial in found:
        training = surface.training(trial.params)
        assert trial.value == training.values[-1]
        assert list(trial.intermediate_values.values()) == list(training.values)
        assert records.SECONDS.find(trial) == pytest.approx(sum(training.seconds), abs=2e-3)
    whole = sum(sum(surface.training(trial.params).seconds) for trial in found)
    assert clock.spent == pytest.approx(whole)
    assert clock.now == pytest.approx(whole) if workers == 1 else clock.now < whole / 2
    assert [end.value for end in service.run.ends] == [
        trial.value for trial in sorted(found, key=lambda trial: trial.datetime_complete)
    ]


@pytest.mark.parametrize("pruner", ["median:startup_trials=2", "asha:max_resource=4,reduction_factor=2"])
def test_a_real_worker_does_the_same(surface, pruner):
    """Proposals, pruning, pauses and results of a simulated worker are those of a real one that trains the same."""
    method = methods.Method(methods.Part("tpe"), methods.Part.parse(pruner, "--pruner"))
    spec = method.spec(tabled.TEXT, "made.toml", 5, methods.Limit(25))
    spec = dataclasses.replace(spec, space=surface.searched)

    def objective(trial):
        values = surface.training(trial.params).values
        for epoch in range(trial.saved.epoch + 1 if trial.saved else 1, len(values) + 1):
            value = values[epoch - 1]
            trial.report(epoch, value, {}, objectives.Checkpoint(epoch, (), list(values[:epoch]), {}))
            if reason := trial.should_prune():
                return objectives.Result(TrialState.PRUNED, value, {records.REASON.name: reason})
        return objectives.Result(TrialState.COMPLETE, value, {})

    sides = []
    with scratches.database() as database:
        study = studies.create(database, spec)
        loops.Worker(database, study, objective, threading.Event()).run()
        sides.append(database.optuna.get_all_trials(study.study_id))
    with scratches.database() as database:
        clock = clocks.Clock()
        service = services.Service(database, spec, surface, clock, math.inf)
        clock.run([service.life(0)])
        sides.append(database.optuna.get_all_trials(1))
    real, simulated = ([(t.state, t.value, t.params, t.intermediate_values) for t in side] for side in sides)
    assert simulated == real
    assert {state for state, *_ in real} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_time_ends_a_search_and_running_trials_end(surface):
    """After so many CPU seconds nothing begins; what runs is finished."""
    with scratches.database() as database:
        service, clock = simulate(database, surface, seconds=30.0, trials=80, workers=4)
        states = {trial.state for trial in database.optuna.get_all_trials(1)}
    assert states == {TrialState.COMPLETE}
    assert 30 <= clock.spent < 30 + 4 * 4 * 16
    assert all(end.spent <= clock.spent for end in service.run.ends)


def test_the_same_seed_gives_the_same_run(surface):
    """Where the sampler's own time is not counted nothing depends on the machine."""
    runs = []
    for _ in range(2):
        with scratches.database() as database:
            runs.append(simulate(database, surface, "tpe", "median", workers=3)[0].run.ends)
    assert runs[0] == runs[1]


def test_the_rule_against_hopeless_networks_acts_as_it_did(tmp_path):
    """With it on, a row's `stop` ends the trial after that epoch, and 0 before the first, for the time of its setup."""
    text = tabled.TEXT.replace('objective = "made.up:function"', "[training]\nepochs = 4")
    text = text.replace('direction = "minimize"\nmetric = "error"', "")
    for old, new in (("rate =", "learning_rate ="), ("size =", "batch_size ="), ("kind = ", "depth = [1]\n#")):
        text = text.replace(old, new)
    text = text.replace("layers = { low = 1, high = 3, when = \"kind == 'deep'\" }", NETWORKS)
    rows = [
        {
            "params": {"learning_rate": 0.1, "batch_size": size, "depth": 1, "width": 8, "activation": "ReLU"},
            "setup_seconds": 0.5,
            "stop": stop,
            "values": [0.25] * 4 if stop != 0 else [],
            "seconds": [1.0] * 4 if stop != 0 else [],
        }
        for size, stop in ((1, 0), (2, 2), (4, None))
    ]
    spec = methods.Method().spec(text, "made.toml", 0, methods.Limit(3))
    table = tables.load(tabled.write(tmp_path / "t.jsonl", rows))
    surface = surfaces.Surface(spec.space, table)
    with scratches.database() as database:
        clock = clocks.Clock()
        service = services.Service(database, spec, surface, clock, math.inf, counts_asks=False)
        clock.run([service.life(0)])
        found = database.optuna.get_all_trials(1)
    ends = {trial.params["batch_size"]: (trial.state.name, len(trial.intermediate_values)) for trial in found}
    assert ends == {0: ("PRUNED", 0), 1: ("PRUNED", 2), 2: ("COMPLETE", 4)}
    assert clock.spent == pytest.approx(3 * 0.5 + 2 + 4)


def test_asks_take_their_time(surface):
    """The sampler's own CPU time is part of a trial's."""
    method = methods.Method(methods.Part("tpe")).spec(tabled.TEXT, "made.toml", 0, methods.Limit(15))
    started = time.thread_time()
    with scratches.database() as database:
        clock = clocks.Clock()
        service = services.Service(database, method, surface, clock, math.inf)
        clock.run([service.life(0)])
    trained = sum(service.run.seconds.values())
    assert 0 < service.run.asks < time.thread_time() - started
    assert clock.spent == pytest.approx(trained + service.run.asks)


@pytest.mark.parametrize("sampler", ["random", "gp-cost"])
@pytest.mark.parametrize("workers", [1, 3])
def test_trials_that_pause_go_on_from_their_epoch(surface, workers, sampler):
    """With a pruner that pauses, any worker takes a trial up: no epoch is trained twice, and the best are complete."""
    with scratches.database() as database:
        service, clock = simulate(
            database, surface, sampler, "asha:max_resource=4,reduction_factor=2", trials=40, workers=workers
        )
        found = database.optuna.get_all_trials(1)
    epochs = {len(trial.intermediate_values) for trial in found}
    assert len(found) == len(service.run.begun) == 40
    assert epochs == {1, 2, 4} if sampler == "random" else {1, 4} <= epochs <= {1, 2, 4}
    assert {trial.state for trial in found} == {TrialState.COMPLETE, TrialState.PRUNED}
    trained = sum(sum(surface.training(trial.params).seconds[: len(trial.intermediate_values)]) for trial in found)
    assert clock.spent == pytest.approx(trained)
    complete = [trial.value for trial in found if trial.state == TrialState.COMPLETE]
    assert min(complete) == min(surface.training(trial.params).values[-1] for trial in found)


def test_the_thrifty_sampler_finds_the_best_sooner(surface):
    """Over three seeds `gp-cost` comes within a hundredth of the values' range of the best in less time than chance."""
    best, worst = 0.25, 5.0

    def seconds(sampler, pruner, seed):
        with scratches.database() as database:
            service, _ = simulate(database, surface, sampler, pruner, trials=16, seed=seed)
        near = [
            end.spent for end in service.run.ends if end.value is not None and end.value <= best + 0.01 * (worst - best)
        ]
        return min(near, default=math.inf)

    thrifty = [seconds("gp-cost", "asha:max_resource=4,reduction_factor=2", seed) for seed in range(3)]
    chance = [seconds("random", None, seed) for seed in range(3)]
    assert max(thrifty) < math.inf
    assert sorted(thrifty)[1] < sorted(chance)[1]
