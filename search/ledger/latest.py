"""The latest ended trials of a study that workers of ours have run, by which failures are judged, the last first.

A claim asks for them under the study's lock: the queries are made once, since to make one takes longer than to run it.
What every claim asks for, `Signs`, comes with its account.
"""

import dataclasses
import functools
import itertools
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search.ledger import counts
from search.storage import schema, statements
from search.training import records

EARLY_LIMIT = 3  # equal errors in a row, before any trial ended well
ROW_LIMIT = 10  # failures in a row, none of them the objective's doing
LONE_LIMIT = 3  # failures in a row of one worker
COMPARED = 10  # trials of the other workers, the latest
BLAMED_LIMIT = COMPARED * LONE_LIMIT

MOST_FAILING = 10  # workers that are looked at together
LOOKED_AT = 100  # of each state, which is further back than any rule looks

trials, rows = schema.trials, schema.claims
LIMIT = sqlalchemy.bindparam("most", type_=sqlalchemy.Integer)
WORKER = sqlalchemy.bindparam("name", type_=sqlalchemy.String)


@dataclasses.dataclass(frozen=True)
class Signs:
    """What of the failures shows whether a rule is to be asked for, as one statement sees it.

    Attributes:
        fault: where the last ended trial of the worker that asks failed by nobody's doing; empty where it did not, None
            without any.
        suspected: whether one worker has `LONE_LIMIT` of the last failures.
        early: whether `EARLY_LIMIT` trials have failed, and none ended well.
        in_row: whether the last `ROW_LIMIT` trials have failed, told by their ids.
    """

    fault: str | None
    suspected: bool
    early: bool
    in_row: bool


NO_SIGNS = Signs(None, suspected=False, early=False, in_row=False)


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


def _blamed(limit: Any) -> sqlalchemy.Select[tuple[str]]:
    failed = sqlalchemy.select(trials.c.trial_id).where(
        trials.c.study_id == statements.STUDY, trials.c.state == TrialState.FAIL
    )
    last = failed.order_by(trials.c.trial_id.desc()).limit(LOOKED_AT).subquery()
    query = sqlalchemy.select(rows.c.worker).join(last, last.c.trial_id == rows.c.trial_id)
    # what a worker of ours has told; another tool's FAIL says nothing of the objective
    query = query.where(rows.c.told.is_(True), rows.c.excused.is_(False))
    return query.order_by(rows.c.trial_id.desc()).limit(limit)


def _fault() -> sqlalchemy.Select[tuple[str]]:
    query = sqlalchemy.select(rows.c.fault_host).join(trials, trials.c.trial_id == rows.c.trial_id)
    has_ended = sqlalchemy.or_(*(trials.c.state == state for state in counts.ENDED))
    query = query.where(rows.c.study_id == statements.STUDY, rows.c.worker == WORKER, has_ended)
    return query.order_by(rows.c.trial_id.desc()).limit(1)


def _nth(state: TrialState, back: int) -> sqlalchemy.ScalarSelect[Any]:
    query = sqlalchemy.select(trials.c.trial_id).where(trials.c.study_id == statements.STUDY, trials.c.state == state)
    return query.order_by(trials.c.trial_id.desc()).offset(back).limit(1).scalar_subquery()


@functools.cache
def signs() -> sqlalchemy.Select[Any]:
    """The query of `Signs`, one row: scalars that a few places of indexes tell."""
    last = _blamed(BLAMED_LIMIT).subquery()
    often = sqlalchemy.select(last.c.worker).where(last.c.worker != "").group_by(last.c.worker)
    return sqlalchemy.select(
        _fault().scalar_subquery().label("fault"),
        often.having(sqlalchemy.func.count() >= LONE_LIMIT).exists().label("suspected"),
        _nth(TrialState.FAIL, EARLY_LIMIT - 1).label("early"),
        _nth(TrialState.FAIL, ROW_LIMIT - 1).label("in_row"),
        *(_nth(state, 0).label(f"last_{state.name.lower()}") for state in counts.COUNTED),
    )


def made(row: Any) -> Signs:
    """The signs of a row of that query."""
    well = [row[f"last_{state.name.lower()}"] for state in counts.COUNTED]
    in_row = row["in_row"] is not None and all(each is None or each < row["in_row"] for each in well)
    early = row["early"] is not None and all(each is None for each in well)
    return Signs(row["fault"], bool(row["suspected"]), early, in_row)


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
BLAMED, FAILING = _blamed(LIMIT), _failing()
OTHERS = _of(counts.ENDED, rows.c.worker != WORKER, rows.c.excused.is_(False))
OWN = _of_worker()


def ended(connection: Connection, study_id: int, limit: int) -> list[Any]:
    """Whoever ran them."""
    return list(connection.execute(ALL, {"study": study_id, "most": limit}))


def read(connection: Connection, study_id: int, worker: str) -> Signs:
    """The signs for a worker now."""
    return made(connection.execute(signs(), {"study": study_id, "name": worker}).mappings().one())


def blamed(connection: Connection, study_id: int, limit: int) -> list[str]:
    """The workers of failures that count against `max_failures`, one for each."""
    return list(connection.execute(BLAMED, {"study": study_id, "most": limit}).scalars())


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
