"""A trial that a process owns, and what its owner writes: beats, reports, the result, or that it is handed over.

Every write of an owner carries its token and generation in its WHERE; where that touches no row, the trial has another
owner by now and nothing is written. Each may be run twice, since the acknowledgement of a commit can be lost.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import checkpoints, endings, presence
from search.space import spaces
from search.storage import schema, statements
from search.storage.databases import Database
from search.training import objectives

trials, claims = schema.trials, schema.claims


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this process owns.

    Attributes:
        params: what is stored already: all of it for a trial that was adopted or handed over, else nothing.
        fixed: what an enqueued configuration has set.
        seconds: training time that earlier owners spent on it.
        stalls: how many owners in a row have died without getting further.
        repeat: which training seed: 0 is the study's own.
        epoch_seconds: how long an epoch may take; None for no limit.
        saved: the training of an earlier owner, to go on from.
        stands: the last rung that it has reported, -1 for none: what is stored up to there stays as it is.
        passed: the last rung that it may go beyond.
        backend: what it must be trained with; None where that is still to be chosen.
        former: what it was trained with before it began anew; see `abilities`.
    """

    study_id: int
    trial_id: int
    number: int
    owner: str
    generation: int
    params: spaces.Params
    fixed: spaces.Params
    seconds: float
    how: str
    repeat: int = 0
    stalls: int = 0
    epoch_seconds: float | None = None
    saved: objectives.Checkpoint | None = None
    stands: int = -1
    passed: int = 0
    backend: str | None = None
    former: str | None = None


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a trial has come since it was written last.

    Attributes:
        seconds: training time of all owners; None where it is not known.
        steps: values by step.
        attrs: user attributes.
        saved: the training after the last epoch.
    """

    seconds: float | None = None
    steps: Mapping[int, float] = dataclasses.field(default_factory=dict)
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    saved: objectives.Checkpoint | None = None


NOTHING = Progress()


def report(
    database: Database,
    claim: Claim,
    steps: dict[int, float],
    seconds: float,
    attrs: dict[str, Any],
    saved: objectives.Checkpoint | None = None,
) -> None:
    """Stores values by step, the trial's training time so far, attributes, and a checkpoint where one is due.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """
    progress = Progress(seconds, steps, attrs, saved)
    database.write(lambda connection: write(connection, claim, progress))


def write(connection: sqlalchemy.Connection, claim: Claim, progress: Progress, **changes: Any) -> None:
    """Stores how far a trial has come, and changes the claim's row.

    Raises:
        errors.TrialLost: the trial has another owner by now, or has ended.
    """
    fence(connection, claim, **_spent(progress.seconds), **_progress(progress.steps), **changes)
    statements.put_steps(connection, claim.trial_id, progress.steps)
    statements.put_attributes(connection, claim.trial_id, progress.attrs)
    if progress.saved is not None:
        checkpoints.save(connection, claim.trial_id, progress.saved)


def tell(
    database: Database,
    claim: Claim,
    state: TrialState,
    value: float | None,
    attrs: dict[str, Any],
    seconds: float | None = None,
    steps: dict[int, float] | None = None,
) -> None:
    """Ends the trial, with its training time over all owners. Telling twice what was told already does nothing.

    Args:
        steps: values that were not reported yet.

    Raises:
        errors.TrialLost: the trial has another owner by now, or another tool has ended it.
    """

    def transaction(connection: sqlalchemy.Connection) -> None:
        if not _touch(connection, claim, claims.c.told.is_(False), told=True, **_spent(seconds), **_progress(steps)):
            if connection.execute(sqlalchemy.select(claims.c.told).where(*_is(claim))).scalar():
                return  # by us, in a transaction whose acknowledgement was lost
            raise lost(claim)
        statements.put_steps(connection, claim.trial_id, steps or {})
        endings.end(connection, claim.trial_id, state, value, attrs)

    database.write(transaction)


def hand_over(
    database: Database,
    claim: Claim,
    seconds: float | None = None,
    saved: objectives.Checkpoint | None = None,
    steps: dict[int, float] | None = None,
    attrs: dict[str, Any] | None = None,
) -> None:
    """Gives the trial back, WAITING with its parameters and how far it has trained, for the next worker.

    Args:
        saved: the training after the last epoch.
        steps: values that were not reported yet, and `attrs` beside them.

    Raises:
        errors.TrialLost: the trial has another owner by now, or none, where the first answer was lost.
    """
    progress = Progress(seconds, steps or {}, attrs or {}, saved)
    database.write(lambda connection: release(connection, claim, progress))


def release(connection: sqlalchemy.Connection, claim: Claim, progress: Progress, **changes: Any) -> None:
    """The trial waits again, and is nobody's.

    Raises:
        errors.TrialLost: it has another owner by now, or has ended.
    """
    write(connection, claim, progress, owner="", generation=claim.generation + 1, pid=0, **changes)
    connection.execute(
        trials.update().where(trials.c.trial_id == claim.trial_id).values(state=TrialState.WAITING, datetime_start=None)
    )


def leave(database: Database, claim: Claim, seconds: float | None = None) -> None:
    """Lets go of a trial that its worker cannot go on with: an orphan for all, as if the process had died with it.

    The process may live on, and would keep the trial for many graces.

    Raises:
        errors.TrialLost: the trial has another owner by now, or has ended.
    """
    database.write(lambda connection: fence(connection, claim, pid_started=presence.LEFT, **_spent(seconds)))


def beat(
    database: Database, training: Iterable[tuple[Claim, float | None]], beside: Callable[[Any], Any] = lambda _: None
) -> list[Claim]:
    """Shows that the owner of these trials lives, how long each has trained, `beside`; returns those it has lost."""
    # in the order of `_running`: two transactions that lock several rows must not wait for one another
    ordered = sorted(training, key=lambda pair: pair[0].trial_id)

    def transaction(connection: sqlalchemy.Connection) -> list[Claim]:
        gone = [claim for claim, seconds in ordered if not _touch(connection, claim, is_running(), **_spent(seconds))]
        beside(connection)
        return gone

    return database.write(transaction)


def _spent(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"seconds": seconds}


def _progress(steps: Mapping[int, float] | None) -> dict[str, Any]:
    if not steps:
        return {}
    last = max(steps)
    further = claims.c.reached < last  # than any owner before
    return {
        # the next adoption finds -1: this owner does not count as stalled
        "stalls": sqlalchemy.case((further, -1), else_=claims.c.stalls),
        "reached": sqlalchemy.case((further, last), else_=claims.c.reached),
    }


def _is(claim: Claim) -> tuple[sqlalchemy.ColumnElement[bool], ...]:
    return (
        claims.c.trial_id == claim.trial_id,
        claims.c.owner == claim.owner,
        claims.c.generation == claim.generation,
    )


def is_running(hold: bool = False) -> sqlalchemy.ColumnElement[bool]:
    """Whether the trial of a claim runs: another tool may have ended it.

    Args:
        hold: let nobody end it before the transaction does.
    """
    state = sqlalchemy.select(trials.c.trial_id).where(
        trials.c.trial_id == claims.c.trial_id, trials.c.state == TrialState.RUNNING
    )
    return sqlalchemy.exists(state.with_for_update(read=True) if hold else state)


def fence(connection: sqlalchemy.Connection, claim: Claim, **changes: Any) -> None:
    """Beats, changes the claim's row, and locks it and the trial's until the transaction ends; or finds it lost."""
    if not _touch(connection, claim, is_running(hold=True), **changes):
        raise lost(claim)


def _touch(
    connection: sqlalchemy.Connection, claim: Claim, *also: sqlalchemy.ColumnElement[bool], **changes: Any
) -> bool:
    change = claims.update().where(*_is(claim), *also).values(beat=claims.c.beat + 1, **changes)
    return connection.execute(change).rowcount == 1


def lost(claim: Claim) -> errors.TrialLost:
    """What the former owner of a trial is told."""
    return errors.TrialLost(f"trial {claim.number} has another owner by now, or another tool has ended it")
