"""Puts failed trials back, each as a new trial with its configuration: Optuna's finished trials never change."""

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import checkpoints, orders, reservations, rungs, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.training import records

T = TypeVar("T", list[Any], dict[str, Any])

trials, rows = schema.trials, schema.claims


def retry(database: Database, study: studies.Study, numbers: Sequence[int] = ()) -> dict[int, int]:
    """Puts failed trials back, all that can be where none is named; returns the new number of each.

    Their failures count no longer, and a study that had stopped itself goes on. A trial that another tool left running
    is put back too, under its own number.

    Raises:
        errors.InputError: a number that is no failed trial's.
    """
    token = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> dict[int, int]:
        statements.lock_study(connection, study)
        if orders.is_written(connection, token) is not None:  # its acknowledgement was lost
            return _done(connection, study, numbers)
        chosen = numbers or _all_failed(connection, study)
        for number in numbers:
            _check(connection, study, number)
        order = orders.read(connection, study)
        if order.reason is not None:
            order = dataclasses.replace(order, state=orders.StudyState.ACTIVE, reason=None)
        orders.write(connection, study.study_id, order, token)
        return put_back(connection, study, chosen)

    return database.write(transaction)


def put_back(
    connection: sqlalchemy.Connection, study: studies.Study, numbers: Iterable[int], blamed: str = ""
) -> dict[int, int]:
    """The same under the study's lock.

    Args:
        blamed: kept in place of the machine that a failure was noted on.
    """
    return {number: _put_back(connection, study, number, blamed) for number in sorted(numbers)}


def _put_back(connection: sqlalchemy.Connection, study: studies.Study, number: int, blamed: str) -> int:
    row = _find(connection, study, number)
    if row.state == TrialState.RUNNING:
        moved = connection.execute(
            trials.update()
            .where(trials.c.trial_id == row.trial_id, trials.c.state == TrialState.RUNNING)
            .values(state=TrialState.WAITING, datetime_start=None)
        )
        if moved.rowcount != 1:
            raise errors.InputError(f"study {study.name!r}: trial {number} was ended by another tool in this moment")
        params = statements.read_params(connection, row.trial_id)
        if study.spec.space.holds(params):
            line = {"trial_id": row.trial_id, "key": records.FIXED_PARAMS, "value_json": json.dumps(params)}
            statements.put(connection, schema.system_attributes, ("trial_id", "key"), [line])
        for table in (schema.steps, schema.params):
            connection.execute(table.delete().where(table.c.trial_id == row.trial_id))
        # of an owner before that tool: its curve has gone with the steps
        checkpoints.delete(connection, row.trial_id)
        rungs.forget(connection, row.trial_id)
        connection.execute(rows.update().where(rows.c.trial_id == row.trial_id).values(passed=0))
        return number
    if row.owned is None:  # another tool's
        connection.execute(rows.insert().values(trial_id=row.trial_id, study_id=study.study_id))
    params = statements.read_params(connection, row.trial_id) or _system(
        connection, row.trial_id, records.FIXED_PARAMS, dict
    )
    excused = {"excused": True, "config": None, "faults": 0, "stalls": 0, "fault_host": blamed}
    connection.execute(rows.update().where(rows.c.trial_id == row.trial_id).values(**excused))
    new = reservations.insert_waiting(connection, study.study_id, params, row.config, repeat=row.repeat or 0)
    before = _system(connection, row.trial_id, records.RETRY_HISTORY, list)
    history = [*(each for each in before if type(each) is int), number]
    trial_id = _find(connection, study, new).trial_id
    for key, value in ((records.FAILED_TRIAL, history[0]), (records.RETRY_HISTORY, history)):
        line = schema.system_attributes.insert().values(trial_id=trial_id, key=key, value_json=json.dumps(value))
        connection.execute(line)
    return new


def _find(connection: sqlalchemy.Connection, study: studies.Study, number: int) -> Any:
    query = sqlalchemy.select(
        trials.c.trial_id, trials.c.state, rows.c.trial_id.label("owned"), rows.c.config, rows.c.repeat, rows.c.owner
    ).join(rows, rows.c.trial_id == trials.c.trial_id, isouter=True)
    return connection.execute(query.where(trials.c.study_id == study.study_id, trials.c.number == number)).first()


def _check(connection: sqlalchemy.Connection, study: studies.Study, number: int) -> None:
    row = _find(connection, study, number)
    if row is None:
        raise errors.InputError(f"study {study.name!r} has no trial {number}")
    if row.state == TrialState.RUNNING and not row.owner:
        return
    if row.state != TrialState.FAIL:
        raise errors.InputError(
            f"study {study.name!r}: trial {number} must have failed to be put back, and is {row.state.name}"
        )
    if (again := successors(connection, study).get(number)) is not None:
        raise errors.InputError(f"study {study.name!r}: trial {number} was put back already, as trial {again}")


def _all_failed(connection: sqlalchemy.Connection, study: studies.Study) -> list[int]:
    """Failed trials but for those that were put back before, and those that the queue could not give."""
    join = trials.join(rows, rows.c.trial_id == trials.c.trial_id, isouter=True)
    excused = sqlalchemy.func.coalesce(rows.c.excused, False)
    again = sqlalchemy.or_(excused.is_(False), rows.c.config.is_not(None), rows.c.faults > 0)
    query = sqlalchemy.select(trials.c.number).select_from(join)
    query = query.where(trials.c.study_id == study.study_id, trials.c.state == TrialState.FAIL, again)
    return list(connection.execute(query.order_by(trials.c.number)).scalars())


def _done(connection: sqlalchemy.Connection, study: studies.Study, numbers: Sequence[int]) -> dict[int, int]:
    """What was put back before."""
    return {old: new for old, new in successors(connection, study).items() if not numbers or old in numbers}


def successors(connection: sqlalchemy.Connection, study: studies.Study) -> dict[int, int]:
    """The numbers of the trials that failed ones were put back as, by theirs."""
    attrs = schema.system_attributes
    query = sqlalchemy.select(trials.c.number, attrs.c.value_json).join(attrs, attrs.c.trial_id == trials.c.trial_id)
    query = query.where(trials.c.study_id == study.study_id, attrs.c.key == records.RETRY_HISTORY)
    found = ((json.loads(row.value_json), row.number) for row in connection.execute(query))
    return {old[-1]: new for old, new in found if isinstance(old, list) and old and type(old[-1]) is int}


def _system(connection: sqlalchemy.Connection, trial_id: int, key: str, kind: Callable[[], T]) -> T:
    """A system attribute of a trial; what another tool stored as something else counts as an empty one."""
    attrs = schema.system_attributes
    query = sqlalchemy.select(attrs.c.value_json).where(attrs.c.trial_id == trial_id, attrs.c.key == key)
    found = connection.execute(query).scalar()
    value = json.loads(found) if found else None
    return value if isinstance(value, type(kind())) else kind()
