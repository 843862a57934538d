"""The latest ended trials of a study that workers of ours have run, by which failures are judged, the last first.

A claim asks for them under the study's lock: the queries are made once, since to make one takes longer than to run it.
"""

import itertools
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search.ledger import counts
from search.storage import schema, statements
from search.training import records

MOST_FAILING = 10  # workers that are looked at together
LOOKED_AT = 100  # of each state, which is further back than any rule looks

trials, rows = schema.trials, schema.claims
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
        .where(trials.c.study_id == statements.STUDY, trials.c.state == state)
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
    return _whole(
        mine.where(rows.c.study_id == statements.STUDY, rows.c.worker == WORKER, trials.c.state.in_(counts.ENDED))
    )


def _blamed() -> sqlalchemy.Select[tuple[str]]:
    failed = sqlalchemy.select(trials.c.trial_id).where(
        trials.c.study_id == statements.STUDY, trials.c.state == TrialState.FAIL
    )
    last = failed.order_by(trials.c.trial_id.desc()).limit(LOOKED_AT).subquery()
    query = sqlalchemy.select(rows.c.worker).join(last, last.c.trial_id == rows.c.trial_id)
    # what a worker of ours has told; another tool's FAIL says nothing of the objective
    query = query.where(rows.c.told.is_(True), rows.c.excused.is_(False))
    return query.order_by(rows.c.trial_id.desc()).limit(LIMIT)


def _fault() -> sqlalchemy.Select[tuple[str]]:
    query = sqlalchemy.select(rows.c.fault_host).join(trials, trials.c.trial_id == rows.c.trial_id)
    query = query.where(rows.c.study_id == statements.STUDY, rows.c.worker == WORKER, trials.c.state.in_(counts.ENDED))
    return query.order_by(rows.c.trial_id.desc()).limit(1)


def _row() -> sqlalchemy.Select[Any]:
    def nth(state: TrialState, back: Any) -> sqlalchemy.ScalarSelect[Any]:
        query = sqlalchemy.select(trials.c.trial_id).where(
            trials.c.study_id == statements.STUDY, trials.c.state == state
        )
        return query.order_by(trials.c.trial_id.desc()).offset(back).limit(1).scalar_subquery()

    return sqlalchemy.select(nth(TrialState.FAIL, LIMIT - 1), *(nth(state, 0) for state in counts.COUNTED))


def _failing() -> sqlalchemy.Select[tuple[str]]:
    names = (sqlalchemy.bindparam(f"name_{place}", type_=sqlalchemy.String) for place in range(MOST_FAILING))
    asked = sqlalchemy.union_all(*(sqlalchemy.select(name.label("name")) for name in names)).subquery()
    last = sqlalchemy.select(trials.c.state).join(rows, rows.c.trial_id == trials.c.trial_id)
    last = last.where(
        rows.c.study_id == statements.STUDY, rows.c.worker == asked.c.name, trials.c.state.in_(counts.ENDED)
    )
    state = last.order_by(rows.c.trial_id.desc()).limit(1).correlate(asked).scalar_subquery()
    return sqlalchemy.select(asked.c.name).where(state == TrialState.FAIL)


ALL = _of(counts.ENDED)
BLAMED, FAULT, ROW, FAILING = _blamed(), _fault(), _row(), _failing()
OTHERS = _of(counts.ENDED, rows.c.worker != WORKER, rows.c.excused.is_(False))
OWN = _of_worker()


def ended(connection: Connection, study_id: int, limit: int) -> list[Any]:
    """Whoever ran them."""
    return list(connection.execute(ALL, {"study": study_id, "most": limit}))


def have_failed(connection: Connection, study_id: int, limit: int) -> bool:
    """Whether so many have failed, one after another: a look at three places of an index."""
    failed, *well = connection.execute(ROW, {"study": study_id, "most": limit}).one()
    return failed is not None and all(each is None or each < failed for each in well)


def blamed(connection: Connection, study_id: int, limit: int) -> list[str]:
    """The workers of failures that count against `max_failures`, one for each."""
    return list(connection.execute(BLAMED, {"study": study_id, "most": limit}).scalars())


def fault(connection: Connection, study_id: int, worker: str) -> str | None:
    """Where the last one of a worker failed by nobody's doing; empty where it did not, None without any."""
    return connection.execute(FAULT, {"study": study_id, "name": worker}).scalar()


def others(connection: Connection, study_id: int, limit: int, worker: str) -> list[Any]:
    """Those of all but one worker, without excused failures."""
    return list(connection.execute(OTHERS, {"study": study_id, "most": limit, "name": worker}))


def own(connection: Connection, study_id: int, limit: int, worker: str) -> list[Any]:
    """Those of one worker."""
    return list(connection.execute(OWN, {"study": study_id, "most": limit, "name": worker}))


def failing(connection: Connection, study_id: int, names: Collection[str]) -> list[str]:
    """Those of these workers whose last ended trial has failed."""
    asked, found = sorted(names), list[str]()
    for at in range(0, len(asked), MOST_FAILING):
        some = dict(itertools.zip_longest(range(MOST_FAILING), asked[at : at + MOST_FAILING]))
        given = {f"name_{place}": name for place, name in some.items()}
        found += connection.execute(FAILING, {"study": study_id, **given}).scalars()
    return found
