"""Slots of a worker on the GPU engine: trials of any shape in one launch, each with the bits it has alone."""

import pathlib
import threading

import emulators
import numpy
import pytest
from conftest import quick_text
from optuna.trial import TrialState

from models import engines
from models.engines import verdicts
from search.ledger import studies, summaries
from search.storage import databases
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
