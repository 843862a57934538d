"""An objective of several engines: the fastest is begun with, each trial goes on with its own."""

import pathlib
import threading
from collections.abc import Callable

import pytest
import sqlalchemy
from optuna.trial import TrialState

from models import data
from models.backends import Backend
from models.engines import choices, tables
from search.ledger import allocations, studies, summaries
from search.storage import databases, schema
from search.training import networks, records, trainers
from search.worker import loops

Make = Callable[..., studies.Study]
CPU, REFERENCE = Backend("cpu"), Backend("reference")


def test_trials_are_begun_with_what_was_measured_to_be_fastest(
    opened: databases.Database, make_study: Make, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a device with two engines: the choice is stored with the trial, with its reason, and kept by the trial."""
    monkeypatch.setattr(choices, "_meant", lambda name, device, precision: [REFERENCE, CPU])
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    monkeypatch.setattr(choices, "ENOUGH_SECONDS", 0.01)
    study = make_study(trials=3, hopeless="false", epochs=1)
    train = networks.NetworkObjective(study.spec, tmp_path)
    assert loops.Worker(opened, study, train, threading.Event(), network=train).run() is allocations.NoTrial.FINISHED
    stored = opened.read(lambda c: c.execute(sqlalchemy.select(schema.claims.c.backend)).scalars().all())
    trials = summaries.whole(opened, study).trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    for trial, backend in zip(trials, stored, strict=True):
        why = records.CHOICE.find(trial)
        assert why is not None
        assert why.startswith(f"{records.ENGINE.find(trial)}: measured for batch size ")
        assert backend == str(Backend(records.ENGINE.read(trial, "")))
        assert backend == train.choose(trial.params) == train.backend_of(trial)


def test_an_engine_is_chosen_for_no_more_at_once_than_there_are_to_be() -> None:
    """With a budget of two trials four slots are two trainings: what each may have of the device is judged by that."""
    for trials, at_once in ((2, 2), (9, 4), (0, 4)):
        found = trainers.Trainers("cpu", "cpu", data.synthetic(), slots=4, trials=trials)
        assert (found.slots, found._choices.slots) == (4, at_once)
