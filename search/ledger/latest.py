"""The latest ended trials of a study that workers of ours have run, by which failures are judged, the last first.

A claim asks for them under the study's lock: the queries are made once, since to make one takes longer than to run it.
"""

from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search.ledger import counts
from search.storage import schema
from search.training import records

ENDED = (*counts.COUNTED, TrialState.FAIL)
LOOKED_AT = 100  # of each state, which is further back than any rule looks

trials, rows = schema.trials, schema.claims
STUDY = sqlalchemy.bindparam("study", type_=sqlalchemy.Integer)
LIMIT = sqlalchemy.bindparam("most", type_=sqlalchemy.Integer)
WORKER = sqlalchemy.bindparam("name", type_=sqlalchemy.String)


def _whole(wanted: sqlalchemy.Select[tuple[int]]) -> sqlalchemy.Select[Any]:
    """What is told of trials by their ids."""
    reason = sqlalchemy.select(schema.attributes.c.value_json).where(
        schema.attributes.c.trial_id == trials.c.trial_id, schema.attributes.c.key == records.REASON.name
    )
    columns = (rows.c[name] for name in ("worker", "excused", "faults", "fault_host", "stalls"))
    found = wanted.order_by(rows.c.trial_id.desc()).limit(LIMIT).subquery()
    query = sqlalchemy.select(trials.c.number, trials.c.state, *columns, reason.scalar_subquery().label("reason"))
    query = query.select_from(
        found.join(rows, rows.c.trial_id == found.c.trial_id).join(trials, trials.c.trial_id == found.c.trial_id)
    )
    return query.order_by(trials.c.trial_id.desc())


def _of(states: Collection[TrialState], *where: sqlalchemy.ColumnElement[bool]) -> sqlalchemy.Select[Any]:
    each = (
        sqlalchemy.select(trials.c.trial_id)
        .where(trials.c.study_id == STUDY, trials.c.state == state)
        .order_by(trials.c.trial_id.desc())
        .limit(LOOKED_AT)
        .subquery()
        for state in states
    )
    known = sqlalchemy.union_all(*(sqlalchemy.select(found.c.trial_id) for found in each)).subquery()
    ours = sqlalchemy.select(rows.c.trial_id).join_from(known, rows, rows.c.trial_id == known.c.trial_id)
    return _whole(ours.where(*where))


def _of_worker() -> sqlalchemy.Select[Any]:
    mine = sqlalchemy.select(rows.c.trial_id).join(trials, trials.c.trial_id == rows.c.trial_id)
    return _whole(mine.where(rows.c.study_id == STUDY, rows.c.worker == WORKER, trials.c.state.in_(ENDED)))


ALL = _of(ENDED)
# what a worker of ours has told; another tool's FAIL says nothing of the objective
BLAMED = _of([TrialState.FAIL], rows.c.told.is_(True), rows.c.excused.is_(False))
OTHERS = _of(ENDED, rows.c.worker != WORKER, rows.c.excused.is_(False))
OWN = _of_worker()


def ended(connection: Connection, study_id: int, limit: int) -> list[Any]:
    """Whoever ran them."""
    return list(connection.execute(ALL, {"study": study_id, "most": limit}))


def blamed(connection: Connection, study_id: int, limit: int) -> list[Any]:
    """Failures that count against `max_failures`."""
    return list(connection.execute(BLAMED, {"study": study_id, "most": limit}))


def others(connection: Connection, study_id: int, limit: int, worker: str) -> list[Any]:
    """Those of all but one worker, without excused failures."""
    return list(connection.execute(OTHERS, {"study": study_id, "most": limit, "name": worker}))


def own(connection: Connection, study_id: int, limit: int, worker: str) -> list[Any]:
    """Those of one worker."""
    return list(connection.execute(OWN, {"study": study_id, "most": limit, "name": worker}))


def failing(connection: Connection, study_id: int, names: Collection[str]) -> list[str]:
    """Those of these workers whose last ended trial has failed."""
    if not names:
        return []
    asked = sqlalchemy.union_all(*(sqlalchemy.select(sqlalchemy.literal(n).label("name")) for n in names)).subquery()
    last = sqlalchemy.select(trials.c.state).join(rows, rows.c.trial_id == trials.c.trial_id)
    last = last.where(rows.c.study_id == study_id, rows.c.worker == asked.c.name, trials.c.state.in_(ENDED))
    state = last.order_by(rows.c.trial_id.desc()).limit(1).correlate(asked).scalar_subquery()
    return list(connection.execute(sqlalchemy.select(asked.c.name).where(state == TrialState.FAIL)).scalars())
