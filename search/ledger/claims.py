"""Hands out exactly the budget, one live owner per trial.

The budget is a count of Optuna's own rows, made in the transaction that holds the study's row lock (on SQLite: BEGIN
IMMEDIATE) and takes the trial. Every later write of an owner carries its token and generation in its WHERE; where
that touches no row, the trial has another owner by now and nothing is written. All of it may be run twice, since the
acknowledgement of a commit can be lost: the owner token is made by the caller, once per request.
"""

import dataclasses
import enum
import itertools
import json
import time
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import checkpoint, orders, presence, study
from search.space import space
from search.storage import statements, tables
from search.storage.store import Store
from search.training import objectives, records

STALL_LIMIT = 3

trials, claims = tables.trials, tables.claims


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this process owns.

    Attributes:
        params: what is stored already: all of it for a trial that was adopted or handed over, else nothing.
        fixed: what an enqueued configuration has set.
        seconds: training time that earlier owners spent on it.
        stalls: how many owners in a row have died without getting further.
        repeat: which training seed: 0 is the study's own.
        saved: the training of an earlier owner, to go on from.
    """

    study_id: int
    trial_id: int
    number: int
    owner: str
    generation: int
    params: space.Params
    fixed: space.Params
    seconds: float
    how: str
    repeat: int = 0
    stalls: int = 0
    saved: objectives.Checkpoint | None = None


class Nothing(enum.Enum):
    """Why there is no trial to take."""

    WAIT = "the budget is given out and others still run"
    FINISHED = "the budget is used up"
    EXHAUSTED = "every configuration of the space has been tried"
    FAILURES = "more trials failed than budget.max_failures allows"
    HOURS = "the training time of budget.hours is used up"
    PAUSED = "the study is paused"
    STOPPED = "the study was stopped"


def take(
    store: Store, of: study.Study, worker: presence.Worker, watch: presence.Watch, own: Collection[str] = ()
) -> Claim | Nothing:
    """The next trial for this worker: an orphan, a waiting one, or a new one, in this order; or why there is none.

    Args:
        own: owner tokens of the trials that this worker trains already, which are no orphans while it looks.
    """
    owner, tries = uuid.uuid4().hex, itertools.count()

    def work(connection: sqlalchemy.Connection) -> Claim | Nothing:
        statements.lock_study(connection, of.study_id)
        mine = claims.c.owner == owner
        if next(tries) and (unheard := connection.execute(_claim_row().where(mine)).first()) is not None:
            return _take_up(connection, of, unheard.trial_id, "answer lost")
        who = dataclasses.asdict(worker)
        sign = {"owner": owner, "worker": who["name"], **{key: who[key] for key in ("host", "pid", "pid_started")}}
        orphans = watch.look(_running(connection, of.study_id, own), time.monotonic(), store.interruptions)
        order = orders.read(connection, of.study_id)
        if order.state is not orders.State.ACTIVE:
            return Nothing.PAUSED if order.state is orders.State.PAUSED else Nothing.STOPPED
        for orphan in orphans:
            if (adopted := _adopt(connection, of, orphan, sign)) is not None:
                return adopted
        return _within_budget(connection, of, order, sign)

    return store.write(work)


def report(
    store: Store,
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

    def work(connection: sqlalchemy.Connection) -> None:
        fence(connection, claim, seconds=seconds, **_progress(steps))
        statements.put_steps(connection, claim.trial_id, steps)
        statements.put_attributes(connection, claim.trial_id, attrs)
        if saved is not None:
            checkpoint.save(connection, claim.trial_id, saved)

    store.write(work)


def tell(
    store: Store,
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

    def work(connection: sqlalchemy.Connection) -> None:
        if not _touch(connection, claim, claims.c.told.is_(False), told=True, **_spent(seconds), **_progress(steps)):
            if connection.execute(sqlalchemy.select(claims.c.told).where(*_is(claim))).scalar():
                return  # by us, in a transaction whose acknowledgement was lost
            raise lost(claim)
        statements.put_steps(connection, claim.trial_id, steps or {})
        _end(connection, claim.trial_id, state, value, attrs)

    store.write(work)


def hand_over(
    store: Store,
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

    def work(connection: sqlalchemy.Connection) -> None:
        nobody = {"owner": "", "generation": claim.generation + 1, "pid": 0}
        fence(connection, claim, **nobody, **_spent(seconds), **_progress(steps))
        connection.execute(
            trials.update()
            .where(trials.c.trial_id == claim.trial_id, trials.c.state == TrialState.RUNNING)
            .values(state=TrialState.WAITING, datetime_start=None)
        )
        statements.put_steps(connection, claim.trial_id, steps or {})
        statements.put_attributes(connection, claim.trial_id, attrs or {})
        if saved is not None:
            checkpoint.save(connection, claim.trial_id, saved)

    store.write(work)


def beat(store: Store, training: Iterable[tuple[Claim, float | None]]) -> list[Claim]:
    """Shows that the owner of these trials lives, and how long each has trained; returns those that it has lost."""
    # in the order of `_running`: two transactions that lock several rows must not wait for one another
    ordered = sorted(training, key=lambda pair: pair[0].trial_id)

    def work(connection: sqlalchemy.Connection) -> list[Claim]:
        return [claim for claim, seconds in ordered if not _touch(connection, claim, **_spent(seconds))]

    return store.write(work)


def observe(store: Store, of: study.Study, watch: presence.Watch, own: Collection[str] = ()) -> None:
    """Looks at the beats of the others, so that a busy worker knows orphans when it is free; see `take`."""
    running = store.read(lambda connection: _running(connection, of.study_id, own))
    watch.look(running, time.monotonic(), store.interruptions)


def _spent(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"seconds": seconds}


def _progress(steps: dict[int, float] | None) -> dict[str, Any]:
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


def fence(connection: sqlalchemy.Connection, claim: Claim, **changes: Any) -> None:
    """Beats, changes the claim's row, and locks it until the transaction ends; or finds that it is lost."""
    if not _touch(connection, claim, **changes):
        raise lost(claim)


def _touch(
    connection: sqlalchemy.Connection, claim: Claim, *also: sqlalchemy.ColumnElement[bool], **changes: Any
) -> bool:
    change = claims.update().where(*_is(claim), *also).values(beat=claims.c.beat + 1, **changes)
    return connection.execute(change).rowcount == 1


def lost(claim: Claim) -> errors.TrialLost:
    """What the former owner of a trial is told."""
    return errors.TrialLost(f"trial {claim.number} has another owner by now")


def _end(
    connection: sqlalchemy.Connection,
    trial_id: int,
    state: TrialState,
    value: float | None,
    attrs: dict[str, Any],
) -> None:
    ended = connection.execute(
        trials.update()
        .where(trials.c.trial_id == trial_id, trials.c.state == TrialState.RUNNING)
        .values(state=state, datetime_complete=statements.now())
    )
    if ended.rowcount != 1:
        raise errors.TrialLost("the trial was ended by another tool")
    if value is not None:
        statements.put_value(connection, trial_id, value)
    statements.put_attributes(connection, trial_id, attrs)
    checkpoint.delete(connection, trial_id)


def _claim_row() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(
        trials.c.number,
        *(claims.c[name] for name in ("trial_id", "owner", "generation", "seconds", "repeat", "stalls")),
    ).join(trials, trials.c.trial_id == claims.c.trial_id)


def _claim(
    connection: sqlalchemy.Connection,
    of: study.Study,
    row: Any,
    how: str,
    saved: objectives.Checkpoint | None = None,
) -> Claim:
    fixed = connection.execute(
        sqlalchemy.select(tables.system_attributes.c.value_json).where(
            tables.system_attributes.c.trial_id == row.trial_id, tables.system_attributes.c.key == records.FIXED_PARAMS
        )
    ).scalar()
    return Claim(
        study_id=of.study_id,
        trial_id=row.trial_id,
        number=row.number,
        owner=row.owner,
        generation=row.generation,
        params=statements.read_params(connection, row.trial_id),
        fixed=json.loads(fixed) if fixed else {},
        seconds=row.seconds,
        how=how,
        repeat=row.repeat,
        # -1 where the last owner got further
        stalls=max(0, row.stalls),
        saved=saved,
    )


def _running(connection: sqlalchemy.Connection, study_id: int, own: Collection[str] = ()) -> list[presence.Sighting]:
    rows = connection.execute(
        sqlalchemy.select(
            trials.c.trial_id,
            *(claims.c[name] for name in ("owner", "generation", "beat", "worker", "host", "pid", "pid_started")),
        )
        .join(claims, claims.c.trial_id == trials.c.trial_id, isouter=True)
        .where(trials.c.study_id == study_id, trials.c.state == TrialState.RUNNING)
        .order_by(trials.c.trial_id)
    )
    return [
        presence.Sighting(
            row.trial_id,
            row.owner or "",
            row.generation or 0,
            row.beat or 0,
            presence.Worker(row.worker or "", row.host or "", row.pid or 0, row.pid_started or 0.0),
        )
        for row in rows
        if not row.owner or row.owner not in own
    ]


def _within_budget(
    connection: sqlalchemy.Connection, of: study.Study, order: orders.Order, mine: dict[str, Any]
) -> Claim | Nothing:
    """A waiting trial or a new one, where the budget has room for it."""
    counts = _counts(connection, of.study_id)
    finished = sum(counts.get(state, 0) for state in study.FINISHED)
    running, waiting = counts.get(TrialState.RUNNING, 0), counts.get(TrialState.WAITING, 0)
    if counts.get(TrialState.FAIL, 0) > of.spec.budget.max_failures:
        return Nothing.FAILURES
    if order.hours is not None and study.spent_seconds(connection, of.study_id) >= 3600 * order.hours:
        return Nothing.WAIT if running else Nothing.HOURS
    if waiting and finished + running < order.trials and (claim := _dequeue(connection, of, mine)) is not None:
        return claim
    if finished + running + waiting < order.trials:
        if not _is_exhausted(connection, of, sum(counts.values())):
            return _create(connection, of, sum(counts.values()), mine)
        return Nothing.WAIT if running else Nothing.EXHAUSTED
    return Nothing.WAIT if running else Nothing.FINISHED


def _counts(connection: sqlalchemy.Connection, study_id: int) -> dict[TrialState, int]:
    rows = connection.execute(
        sqlalchemy.select(trials.c.state, sqlalchemy.func.count())
        .where(trials.c.study_id == study_id)
        .group_by(trials.c.state)
    )
    return {row[0]: row[1] for row in rows}


def _adopt(
    connection: sqlalchemy.Connection, of: study.Study, orphan: presence.Sighting, mine: dict[str, Any]
) -> Claim | None:
    """Takes an orphan over; None if it beat in the meantime, or went through too many owners and fails for it."""
    _ensure_row(connection, of.study_id, orphan.trial_id)
    taken = connection.execute(
        claims.update()
        .where(
            claims.c.trial_id == orphan.trial_id,
            claims.c.owner == orphan.owner,
            claims.c.generation == orphan.generation,
            claims.c.beat == orphan.beat,
        )
        .values(
            generation=claims.c.generation + 1,
            stalls=claims.c.stalls + 1,
            adoptions=claims.c.adoptions + 1,
            **mine,
        )
        .returning(claims.c.stalls)
    ).scalar()
    if taken is None:
        return None
    if taken >= STALL_LIMIT:
        reason = f"its worker died {taken} times in a row without getting further"
        _end(connection, orphan.trial_id, TrialState.FAIL, None, {records.REASON.name: reason})
        connection.execute(claims.update().where(claims.c.trial_id == orphan.trial_id).values(owner="", told=True))
        return None
    return _take_up(connection, of, orphan.trial_id, "adopted")


def _dequeue(connection: sqlalchemy.Connection, of: study.Study, mine: dict[str, Any]) -> Claim | None:
    first = connection.execute(
        sqlalchemy.select(trials.c.trial_id)
        .where(trials.c.study_id == of.study_id, trials.c.state == TrialState.WAITING)
        .order_by(trials.c.trial_id)
        .limit(1)
    ).scalar()
    # a plain Optuna worker may pop it without the study's lock
    moved = connection.execute(
        trials.update()
        .where(trials.c.trial_id == first, trials.c.state == TrialState.WAITING)
        .values(state=TrialState.RUNNING, datetime_start=statements.now())
    )
    if first is None or moved.rowcount != 1:
        return None
    _ensure_row(connection, of.study_id, first)
    connection.execute(
        claims.update().where(claims.c.trial_id == first).values(generation=claims.c.generation + 1, **mine)
    )
    return _take_up(connection, of, first, "waiting")


def _create(connection: sqlalchemy.Connection, of: study.Study, number: int, mine: dict[str, Any]) -> Claim:
    trial_id, _ = statements.insert_trial(connection, of.study_id, TrialState.RUNNING, statements.now(), number)
    connection.execute(claims.insert().values(trial_id=trial_id, study_id=of.study_id, generation=1, **mine))
    return Claim(of.study_id, trial_id, number, mine["owner"], 1, {}, {}, 0.0, "created")


def _ensure_row(connection: sqlalchemy.Connection, study_id: int, trial_id: int) -> None:
    """A trial made by another Optuna tool has no row of ours yet."""
    known = connection.execute(sqlalchemy.select(claims.c.trial_id).where(claims.c.trial_id == trial_id)).scalar()
    if known is None:
        connection.execute(claims.insert().values(trial_id=trial_id, study_id=study_id))


def _take_up(connection: sqlalchemy.Connection, of: study.Study, trial_id: int, how: str) -> Claim:
    """Goes on from the checkpoint, or clears it all where there is none.

    Steps after it go: a stored step would hide the new owner's report of it.
    """
    saved = checkpoint.find(connection, trial_id)
    if saved is None:
        checkpoint.delete(connection, trial_id)
    later = tables.steps.c.step > (saved.epoch if saved else 0)
    connection.execute(tables.steps.delete().where(tables.steps.c.trial_id == trial_id, later))
    row = connection.execute(_claim_row().where(claims.c.trial_id == trial_id)).one()
    return _claim(connection, of, row, how, saved)


def _is_exhausted(connection: sqlalchemy.Connection, of: study.Study, total: int) -> bool:
    size = of.spec.space.size
    if size is None or total < size:
        return False
    # one that runs or waits without a configuration yet will take one; a FAIL without one never will
    reserved = connection.execute(
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(trials.join(claims, claims.c.trial_id == trials.c.trial_id, isouter=True))
        .where(
            trials.c.study_id == of.study_id,
            sqlalchemy.func.coalesce(claims.c.repeat, 0) == 0,
            sqlalchemy.or_(claims.c.config.is_not(None), trials.c.state.in_([TrialState.RUNNING, TrialState.WAITING])),
        )
    ).scalar_one()
    return bool(reserved >= size)
