"""Slots of a worker on the GPU engine: trials of any shape in one launch, each with the bits it has alone."""

import itertools
import pathlib
import threading

import emulators
import numpy
import pytest
import sqlalchemy
from conftest import quick_text
from optuna.trial import TrialState

from models import engines
from models.engines import choices, cuda, selfchecks, tables, verdicts
from search import errors
from search.ledger import queues, studies, summaries
from search.storage import databases, schema
from search.study import specs
from search.training import networks, trainers
from search.worker import loops, requirements, threads
from search.worker.settings import Settings

pytestmark = emulators.needed


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> emulators.Emulated:
    """Stands for `cuda` on this machine, and is trusted."""
    made = emulators.engine()
    made.device = "cuda"
    monkeypatch.setattr(engines, "check_device", lambda device: device)
    monkeypatch.setitem(engines.ENGINES, "cuda", lambda device: made)
    monkeypatch.setattr(verdicts, "trusted", lambda engine: True)
    monkeypatch.setattr(trainers.provenance, "of", lambda engine, data: {"engine": engine.name})
    monkeypatch.setattr(threads, "free_bytes", lambda device: 1 << 34)  # of the device, which has no memory of its own
    return made.gpu  # type: ignore[return-value]


def test_trials_share_launches_and_keep_their_bits(
    opened: databases.Database, device: emulators.Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four slots: every trial ends with the curve that it has alone, and launches have several blocks."""
    spec = specs.parse(quick_text(trials=8, epochs=2, hopeless="false"), "quick.toml")
    study = studies.create(opened, spec)
    settings = Settings(slots=4, device="cuda", engine="cuda")
    requirements.check_slots(spec, settings)
    train = networks.NetworkObjective(spec, pathlib.Path("unused"), "cuda", "cuda", settings.slots)
    loops.Worker(opened, study, train, threading.Event(), settings, network=train).run()
    trials = summaries.whole(opened, study).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 8
    assert max(device.launches) > 1
    assert {trial.user_attrs["search:engine"] for trial in trials} == {"cuda"}
    alone = emulators.engine()
    for trial in trials[:3]:
        epochs = list(alone.train(train.recipe(trial.params), train.whole))
        assert [epoch.accuracy for epoch in epochs] == list(trial.intermediate_values.values())
        assert numpy.isfinite([epoch.loss for epoch in epochs]).all()


def test_few_trials_have_teams_and_the_same_curves(
    opened: databases.Database, device: emulators.Emulated, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Two trials in four slots have two blocks each, stored with them; their curves are those of one block."""
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    monkeypatch.setattr(selfchecks, "NETWORKS", selfchecks.NETWORKS[1:2])

    def seconds(trained_by: cuda.Cuda, *of: object) -> tuple[float, int]:
        return 1 / trained_by.team, trained_by.capacity()

    monkeypatch.setattr(choices, "step_seconds", seconds)
    spec = specs.parse(quick_text(trials=2, epochs=2, hopeless="false"), "quick.toml")
    study = studies.create(opened, spec)
    settings = Settings(slots=4, device="cuda", engine="cuda")
    train = networks.NetworkObjective(spec, pathlib.Path("unused"), "cuda", "cuda", settings.slots)
    loops.Worker(opened, study, train, threading.Event(), settings, network=train).run()
    stored = opened.read(lambda c: c.execute(sqlalchemy.select(schema.claims.c.backend)).scalars().all())
    assert stored == ["cuda cuda float32 2"] * 2
    trials = summaries.whole(opened, study).trials
    assert all("in a team of 2: measured for " in trial.user_attrs["search:choice"] for trial in trials)
    alone = emulators.engine()
    for trial in trials:
        epochs = list(alone.train(train.recipe(trial.params), train.whole))
        assert [epoch.accuracy for epoch in epochs] == list(trial.intermediate_values.values())


def test_a_grown_budget_has_no_teams(
    opened: databases.Database, device: emulators.Emulated, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """A study file's one trial would have all blocks; with seven more in the budget, four slots have one each."""
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    monkeypatch.setattr(selfchecks, "NETWORKS", selfchecks.NETWORKS[1:2])
    monkeypatch.setattr(choices, "step_seconds", lambda trained_by, *of: (1 / trained_by.team, trained_by.capacity()))
    spec = specs.parse(quick_text(trials=1, epochs=1, hopeless="false"), "quick.toml")
    study = studies.create(opened, spec)
    wanted = list(itertools.islice(spec.space.configurations(), 8))
    queues.fill(opened, study, [(params, 0) for params in wanted])
    settings = Settings(slots=4, device="cuda", engine="cuda")
    train = networks.NetworkObjective(spec, pathlib.Path("unused"), "cuda", "cuda", settings.slots)
    loops.Worker(opened, study, train, threading.Event(), settings, network=train).run()
    stored = opened.read(lambda c: c.execute(sqlalchemy.select(schema.claims.c.backend)).scalars().all())
    assert stored == ["cuda cuda float32 1"] * 8


def test_a_fault_of_the_device_ends_the_worker_and_no_trial(
    opened: databases.Database, device: emulators.Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial of the launch has failed: nothing is told of any, and they are another worker's next."""
    spec = specs.parse(quick_text(trials=6, epochs=2, hopeless="false", more="max_failures = 1"), "quick.toml")
    study = studies.create(opened, spec)
    run = device.run

    def fails(jobs: numpy.ndarray) -> None:
        run(jobs)
        if len(jobs) > 1:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(device, "run", fails)
    settings = Settings(slots=4, device="cuda", engine="cuda")
    train = networks.NetworkObjective(spec, pathlib.Path("unused"), "cuda", "cuda", settings.slots)
    words = "the device can no longer be used in this process, so it ends: .*illegal memory"
    with pytest.raises(errors.DeviceFailed, match=words):
        loops.Worker(opened, study, train, threading.Event(), settings, network=train).run()
    states = [trial.state for trial in summaries.whole(opened, study).trials]
    assert TrialState.FAIL not in states
    assert states.count(TrialState.RUNNING) + states.count(TrialState.WAITING) > 1
