"""Whose doing a failure is, when enough have failed, and what is tried again.

Only what the objective did counts against `max_failures`. What a sampler, a machine or a queue did is tried again, on
another machine where there is one, but not for ever. A worker whose trials fail while those of others do not is the one
that is broken: its failures are excused, its trials put back, and it takes itself out.
"""

import dataclasses
import enum
import json
import re
import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import lines, words
from search.ledger import adoptions, claims, endings, latest, orders, presence, retries, studies
from search.storage import schema
from search.storage.databases import Database

FAULT_LIMIT = 3  # tries of a trial that fail for reasons of their own
EARLY_LIMIT, ROW_LIMIT, LONE_LIMIT = latest.EARLY_LIMIT, latest.ROW_LIMIT, latest.LONE_LIMIT
ALONE = "alone"  # in place of the machine: a failure of a worker that took itself out
REASON_CHARACTERS = 300
WELL = (TrialState.COMPLETE, TrialState.PRUNED)

trials, rows = schema.trials, schema.claims


class Verdict(enum.Enum):
    """What the failures so far mean for a worker that asks for a trial."""

    WAIT = "others still run, and will show whose doing it was"
    TOO_MANY = "more failed than max_failures allows"
    STOPPED = "the study has stopped itself"
    ALONE = "this worker's trials fail while those of others do not"


def fault(
    database: Database,
    claim: claims.Claim,
    worker: presence.Identity,
    error: str,
    attrs: dict[str, Any],
    progress: claims.Progress = claims.NOTHING,
) -> bool:
    """Notes a failure that is not the objective's doing: the trial waits for another try, or it was the last one.

    It is the last after `FAULT_LIMIT` tries, or on a second machine. Returns whether the trial is FAIL now.

    Args:
        progress: how far the trial came.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """

    def transaction(connection: sqlalchemy.Connection) -> bool:
        claims.fence(connection, claim)
        before = sqlalchemy.select(rows.c.faults, rows.c.fault_host).where(rows.c.trial_id == claim.trial_id)
        faults, machine = connection.execute(before).one()
        noted = {"faults": faults + 1, "fault_host": worker.machine}
        if faults + 1 < FAULT_LIMIT and machine in ("", worker.machine):
            claims.release(connection, claim, progress, **noted)
            return False
        where = "" if machine in ("", worker.machine) else ", on two machines"
        reason = f"{error} (not the objective's doing; tried {words.plural(faults + 1, 'time')}{where})"
        claims.write(connection, claim, dataclasses.replace(progress, saved=None), **noted)
        endings.fail(connection, claim.trial_id, reason, attrs)
        return True

    return database.write(transaction)


def refuse(database: Database, claim: claims.Claim, reason: str, attrs: dict[str, Any]) -> None:
    """Ends a trial that the queue asked for and that cannot be.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """

    def transaction(connection: sqlalchemy.Connection) -> None:
        claims.fence(connection, claim)
        endings.fail(connection, claim.trial_id, reason, attrs)

    database.write(transaction)


def judge(
    connection: sqlalchemy.Connection, study: studies.Study, order: orders.Order, signs: latest.Signs, failed: int
) -> Verdict | None:
    """What the failures of a study mean for a worker, under the study's lock; None where it may take a trial.

    Args:
        signs: what they show to this worker.
        failed: how many count against `max_failures`.
    """
    if signs.fault == ALONE:
        return Verdict.ALONE
    if failed > order.max_failures:
        return Verdict.WAIT if _runs_elsewhere(connection, study.study_id, ()) else Verdict.TOO_MANY
    reason, blamed = _early_error(connection, study.study_id) if signs.early else (None, ())
    if reason is None and signs.in_row:
        reason, blamed = _row_of_faults(connection, study.study_id), ()
    if reason is None:
        return None
    if blamed and _runs_elsewhere(connection, study.study_id, blamed):
        return Verdict.WAIT
    stopped = dataclasses.replace(order, state=orders.StudyState.STOPPED, at_once=False, reason=reason)
    orders.write(connection, study.study_id, stopped, uuid.uuid4().hex)
    return Verdict.STOPPED


def excuse_lone(connection: sqlalchemy.Connection, study: studies.Study) -> bool:
    """Excuses and puts back the failures of workers whose trials fail while those of others do not; whether any."""
    excused = False
    names = latest.blamed(connection, study.study_id, latest.BLAMED_LIMIT)
    suspects = {name for name in names if name and names.count(name) >= LONE_LIMIT}
    for name in latest.failing(connection, study.study_id, suspects):
        streak = list(_streak(latest.own(connection, study.study_id, len(names), name)))
        if len(streak) < LONE_LIMIT:
            continue
        others = latest.others(connection, study.study_id, latest.COMPARED, name)
        well = sum(row.state in WELL for row in others)
        if 2 * well > len(others):
            retries.put_back(connection, study, [row.number for row in streak], blamed=ALONE)
            excused = True
    return excused


def _streak(ended: Iterable[Any]) -> Iterable[Any]:
    """The failures in a row at the end."""
    for row in ended:
        if row.state != TrialState.FAIL or row.excused:
            return
        yield row


def _runs_elsewhere(connection: sqlalchemy.Connection, study_id: int, blamed: Iterable[str]) -> bool:
    """Whether a worker runs a trial that is not among those to blame."""
    running = sqlalchemy.select(rows.c.worker).where(
        rows.c.trial_id == trials.c.trial_id,
        rows.c.owner != "",  # another tool's may run for ever
        trials.c.study_id == study_id,
        trials.c.state == TrialState.RUNNING,
    )
    return bool(set(connection.execute(running).scalars()) - set(blamed))


def _early_error(connection: sqlalchemy.Connection, study_id: int) -> tuple[str | None, tuple[str, ...]]:
    """Why a study where none ended well stops, if its last trials failed with one error; whose they were.

    What the queue held does not count: another entry may do.
    """
    ended = latest.ended(connection, study_id, EARLY_LIMIT + latest.COMPARED)
    failed = [row for row in ended if not row.excused or _is_fault(row)]
    if len(failed) < EARLY_LIMIT:
        return None, ()
    failed = failed[:EARLY_LIMIT]
    if len({re.sub(r"\d+", "0", row.reason or "") for row in failed}) > 1:
        return None, ()
    reason = f"its last {EARLY_LIMIT} trials failed with the same error, and none ended well: {_named(failed[0])}"
    return reason, tuple({row.worker for row in failed})


def _is_fault(row: Any) -> bool:
    """Whether it was tried again in vain; what the queue could not give was not."""
    return bool(row.faults) or row.stalls >= adoptions.STALL_LIMIT


def _row_of_faults(connection: sqlalchemy.Connection, study_id: int) -> str | None:
    ended = latest.ended(connection, study_id, ROW_LIMIT)
    if len(ended) < ROW_LIMIT or not all(row.excused and _is_fault(row) for row in ended):
        return None
    return f"its last {ROW_LIMIT} trials failed, none by what the objective did: {_named(ended[0])}"


def _named(row: Any) -> str:
    reason = json.loads(row.reason) if row.reason else "without a reason"
    return f"trial {row.number}, {lines.said(str(reason), REASON_CHARACTERS)}"
