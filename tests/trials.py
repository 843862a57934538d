"""Trials in the states that tests begin from: taken, orphaned, checkpointed, trained."""

import collections
import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy
from optuna.trial import FrozenTrial, TrialState

from search.ledger import (
    adoptions,
    allocations,
    claims,
    configurations,
    orders,
    presence,
    studies,
    summaries,
)
from search.storage import databases, schema
from search.study import specs
from search.training import networks, objectives, records
from search.worker import ownership

Make = Callable[..., studies.Study]
GONE = presence.Identity("gone:1", "another-host", 1, 0.0)
ME = presence.Identity("me:2", "another-host", 2, 0.0)
PARAMS = {"learning_rate": 0.1, "batch_size": 7, "depth": 0}
WEIGHTS = (numpy.arange(6, dtype=numpy.float32).reshape(2, 3), numpy.float32([0.5, -0.0, 1e-40]))
SAVED = objectives.Checkpoint(2, WEIGHTS, [0.25, float("nan")], {"losses": [2.5, float("inf")], "reason": None})


class Clock:
    """Makes the grace pass without waiting for it: looks at the study as an observer in contact would."""

    def __init__(self, database: databases.Database, study: studies.Study, grace: float = 30) -> None:
        self.watch = presence.Watch(grace)
        running = database.read(lambda c: adoptions.running(c, study.study_id))
        now = time.monotonic()
        for step in range(7):
            self.watch.look(running, now - 35 + 5 * step, database.interruptions)


def take(
    database: databases.Database,
    study: studies.Study,
    worker: presence.Identity = ME,
    watch: presence.Watch | None = None,
) -> Any:
    return allocations.take(database, study, worker, watch or presence.Watch())


def state(database: databases.Database, study: studies.Study, number: int) -> Any:
    return summaries.whole(database, study).trials[number]


def claim(database: databases.Database, study: studies.Study) -> claims.Claim:
    """A trial of a worker that will be gone in a moment."""
    taken = take(database, study, GONE, presence.Watch(0.3))
    assert isinstance(taken, claims.Claim)
    return taken


def trained(database: databases.Database, study: studies.Study, engine: str = "cpu") -> FrozenTrial:
    """The next trial, trained and told by its objective."""
    owned = claim(database, study)
    trial = ownership.OwnedTrial(database, study, owned, threading.Event())
    trial.begin(configurations.configure(database, study, owned, database.history(study.study_id)))
    result = networks.NetworkObjective(study.spec, pathlib.Path("unused"), "cpu", engine)(trial)
    trial.tell(result.state, result.value, result.attrs)
    return database.optuna.get_trial(owned.trial_id)


def whole(spec: specs.StudySpec, trials: Sequence[FrozenTrial] = (), budget: int | None = None) -> summaries.Whole:
    """A study of these trials, all of them its own, as it is read from a database."""
    study = studies.Study(1, spec, "token")
    states = collections.Counter(trial.state for trial in trials)
    seconds = sum(records.SECONDS.read(trial, 0.0) for trial in trials)
    sign = 1 if spec.study.direction == "maximize" else -1
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return summaries.Whole(
        study=study,
        order=orders.Order(budget or len(trials)),
        states=dict(states),
        own=dict(states),
        paused=0,
        pauses={},
        done=states[TrialState.COMPLETE] + states[TrialState.PRUNED],
        failures=states[TrialState.FAIL],
        seconds=seconds,
        done_seconds=seconds,
        running=(),
        running_seconds={},
        latest=tuple(trials[-10:]),
        best=max(complete, key=lambda trial: sign * float(trial.value or 0.0), default=None),
        put_back={},
        added=0,
        ran=frozenset(),
        outside=frozenset(),
        is_exhausted=False,
        is_answered=False,
        last_failure=None,
        trials=tuple(trials),
    )


def begin(database: databases.Database, study: studies.Study, worker: presence.Identity = ME) -> claims.Claim:
    """The next trial, with its configuration."""
    claim = take(database, study, worker)
    assert isinstance(claim, claims.Claim), claim
    configurations.configure(database, study, claim, database.history(study.study_id))
    return claim


def fail(database: databases.Database, claim: claims.Claim, reason: str) -> None:
    claims.tell(database, claim, TrialState.FAIL, None, {records.REASON.name: reason})


def succeed(database: databases.Database, claim: claims.Claim) -> None:
    claims.tell(database, claim, TrialState.COMPLETE, 0.5, {})


def while_it_ends(database: databases.Database, trial_id: int, act: Callable[[], Any]) -> futures.Future[Any]:
    """Does something in the moment in which another tool ends a trial: its transaction is open, and then committed."""
    trials = schema.trials
    with futures.ThreadPoolExecutor(1) as pool, database.engine.connect() as connection:
        other = connection.execution_options(begin_immediate=True)
        with other.begin():
            other.execute(trials.update().where(trials.c.trial_id == trial_id).values(state=TrialState.COMPLETE))
            acting = pool.submit(act)
            time.sleep(0.5)  # until it waits for the row, or the file
    return acting
