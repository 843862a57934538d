"""Hands out exactly the budget, one live owner per trial.

The budget is a count of Optuna's own rows, made in the transaction that holds the study's row lock (on SQLite: BEGIN
IMMEDIATE) and takes the trial. All of it may be run twice, since the acknowledgement of a commit can be lost: the owner
token is made by the caller, once per request.
"""

import dataclasses
import enum
import itertools
import time
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import adoptions, claims, orders, presence, studies, summaries
from search.storage import schema, statements
from search.storage.databases import Database


class NoTrial(enum.Enum):
    """Why there is no trial to take."""

    WAIT = "the budget is given out and others still run"
    FINISHED = "the budget is used up"
    EXHAUSTED = "every configuration of the space has been tried"
    FAILURES = "more trials failed than budget.max_failures allows"
    HOURS = "the training time of budget.hours is used up"
    PAUSED = "the study is paused"
    STOPPED = "the study was stopped"


def take(
    database: Database,
    study: studies.Study,
    worker: presence.Identity,
    watch: presence.Watch,
    own: Collection[str] = (),
) -> claims.Claim | NoTrial:
    """The next trial for this worker: an orphan, a waiting one, or a new one, in this order; or why there is none.

    Args:
        own: owner tokens of the trials that this worker trains already, which are no orphans while it looks.
    """
    owner, tries = uuid.uuid4().hex, itertools.count()

    def transaction(connection: sqlalchemy.Connection) -> claims.Claim | NoTrial:
        statements.lock_study(connection, study)
        mine = schema.claims.c.owner == owner
        if next(tries) and (unheard := connection.execute(adoptions._claim_row().where(mine)).first()) is not None:
            return adoptions.take_up(connection, study, unheard.trial_id, "answer lost")
        who = dataclasses.asdict(worker)
        sign = {"owner": owner, "worker": who["name"], **{key: who[key] for key in ("host", "pid", "pid_started")}}
        orphans = watch.look(
            adoptions.running(connection, study.study_id, own), time.monotonic(), database.interruptions
        )
        order = orders.read(connection, study)
        if order.state is not orders.StudyState.ACTIVE:
            return NoTrial.PAUSED if order.state is orders.StudyState.PAUSED else NoTrial.STOPPED
        for orphan in orphans:
            if (adopted := adoptions.adopt(connection, study, orphan, sign)) is not None:
                return adopted
        return _within_budget(connection, study, order, sign)

    return database.write(transaction)


def _within_budget(
    connection: sqlalchemy.Connection, study: studies.Study, order: orders.Order, mine: dict[str, Any]
) -> claims.Claim | NoTrial:
    """A waiting trial or a new one, where the budget has room for it."""
    counts = _counts(connection, study.study_id)
    finished = sum(counts.get(state, 0) for state in summaries.COUNTED)
    running, waiting = counts.get(TrialState.RUNNING, 0), counts.get(TrialState.WAITING, 0)
    if counts.get(TrialState.FAIL, 0) > study.spec.budget.max_failures:
        return NoTrial.FAILURES
    if order.hours is not None and summaries.spent_seconds(connection, study.study_id) >= 3600 * order.hours:
        return NoTrial.WAIT if running else NoTrial.HOURS
    if waiting and finished + running < order.trials and (claim := _dequeue(connection, study, mine)) is not None:
        return claim
    if finished + running + waiting < order.trials:
        if not _is_exhausted(connection, study, sum(counts.values())):
            return _create(connection, study, sum(counts.values()), mine)
        return NoTrial.WAIT if running else NoTrial.EXHAUSTED
    return NoTrial.WAIT if running else NoTrial.FINISHED


def _counts(connection: sqlalchemy.Connection, study_id: int) -> dict[TrialState, int]:
    rows = connection.execute(
        sqlalchemy.select(schema.trials.c.state, sqlalchemy.func.count())
        .where(schema.trials.c.study_id == study_id)
        .group_by(schema.trials.c.state)
    )
    return {row[0]: row[1] for row in rows}


def _dequeue(connection: sqlalchemy.Connection, study: studies.Study, mine: dict[str, Any]) -> claims.Claim | None:
    first = connection.execute(
        sqlalchemy.select(schema.trials.c.trial_id)
        .where(schema.trials.c.study_id == study.study_id, schema.trials.c.state == TrialState.WAITING)
        .order_by(schema.trials.c.trial_id)
        .limit(1)
    ).scalar()
    # a plain Optuna worker may pop it without the study's lock
    moved = connection.execute(
        schema.trials.update()
        .where(schema.trials.c.trial_id == first, schema.trials.c.state == TrialState.WAITING)
        .values(state=TrialState.RUNNING, datetime_start=statements.now())
    )
    if first is None or moved.rowcount != 1:
        return None
    adoptions.ensure_row(connection, study.study_id, first)
    connection.execute(
        schema.claims.update()
        .where(schema.claims.c.trial_id == first)
        .values(generation=schema.claims.c.generation + 1, **mine)
    )
    return adoptions.take_up(connection, study, first, "waiting")


def _create(connection: sqlalchemy.Connection, study: studies.Study, number: int, mine: dict[str, Any]) -> claims.Claim:
    trial_id, _ = statements.insert_trial(connection, study.study_id, TrialState.RUNNING, statements.now(), number)
    connection.execute(schema.claims.insert().values(trial_id=trial_id, study_id=study.study_id, generation=1, **mine))
    return claims.Claim(study.study_id, trial_id, number, mine["owner"], 1, {}, {}, 0.0, "created")


def _is_exhausted(connection: sqlalchemy.Connection, study: studies.Study, total: int) -> bool:
    size = study.spec.space.size
    if size is None or total < size:
        return False
    # one that runs or waits without a configuration yet will take one; a FAIL without one never will
    reserved = connection.execute(
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(
            schema.trials.join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id, isouter=True)
        )
        .where(
            schema.trials.c.study_id == study.study_id,
            sqlalchemy.func.coalesce(schema.claims.c.repeat, 0) == 0,
            sqlalchemy.or_(
                schema.claims.c.config.is_not(None), schema.trials.c.state.in_([TrialState.RUNNING, TrialState.WAITING])
            ),
        )
    ).scalar_one()
    return bool(reserved >= size)
