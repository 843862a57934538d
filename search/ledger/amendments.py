"""A study that follows its file again: budget, sampler, pruning and what is enqueued, as the file says them now."""

import dataclasses
import json
import uuid
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from search.ledger import foreign, happenings, orders, reservations, rungs, stops, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import changes, ladders, notes, specs


def amend(database: Database, study: studies.Study, spec: specs.StudySpec) -> list[changes.Change]:
    """Takes over what a file says that differs from the study's own in no key that defines it; returns what it was.

    Limits are set, not added to, lower ones too. Configurations that a trial has already are not queued again. Workers
    that run keep the sampler and the pruning that they began with.

    Raises:
        errors.InputError: the new deadline has passed.
    """
    spec = specs.kept(study.spec, spec)
    token, found, before = uuid.uuid4().hex, list(changes.of(study.spec, spec)), []

    def transaction(connection: sqlalchemy.Connection) -> None:
        statements.lock_study(connection, study)
        order = orders.read(connection, study)
        if orders.is_written(connection, token) is not None:
            return
        before.append(order)
        changed = _changed(order, found)
        if changed.deadline != order.deadline:
            stops.check_ahead(connection, changed.deadline, f"{spec.path or spec.name}: budget.deadline")
        changed = orders.woken(connection, study.study_id, order, changed)
        orders.write(connection, study.study_id, changed, token)
        _store(connection, study, spec)
        if (ladder := ladders.of(spec.pruning, spec.training)) is not None:
            rungs.fill(connection, study.study_id, ladder.rungs, spec.study.direction == "maximize")
        _queue(connection, study, spec)
        if spec.notify != study.spec.notify:
            happenings.begin(connection, study, dataclasses.replace(study, spec=spec))

    if found:
        try:
            database.write(transaction)
        except exc.IntegrityError:  # a running trial reserved one of the configurations in this moment: it is seen now
            database.write(transaction)
    return [dataclasses.replace(each, stored=getattr(before[-1], each.key, each.stored)) for each in found]


def _changed(order: orders.Order, found: list[changes.Change]) -> orders.Order:
    """The order that follows; a study that had stopped itself for its failures goes on where more are borne."""
    changed: dict[str, Any] = {change.key: change.given for change in found if change.section == "budget"}
    if order.reason is not None and changed.get("max_failures", 0) > order.max_failures:
        changed |= {"state": orders.StudyState.ACTIVE, "reason": None}
    if changed.get("deadline") != order.deadline and "deadline" in changed:
        changed["begun_at"] = None
    return dataclasses.replace(order, **changed)


def _store(connection: sqlalchemy.Connection, study: studies.Study, spec: specs.StudySpec) -> None:
    """The file, and what the dashboard shows of it unless somebody has written there."""
    row = {"study_id": study.study_id, "key": studies.STUDY_FILE, "value_json": json.dumps(spec.text)}
    statements.put(connection, schema.study_attributes, ("study_id", "key"), [row])
    table = schema.study_system_attributes
    mine = sqlalchemy.and_(table.c.study_id == study.study_id, table.c.key.startswith(notes.PREFIX, autoescape=True))
    query = sqlalchemy.select(table.c.key, table.c.value_json).where(mine)
    there = {row.key: json.loads(row.value_json) for row in connection.execute(query)}
    if there != notes.attributes(study.spec):
        return
    connection.execute(table.delete().where(mine))
    new = notes.attributes(spec).items()
    rows = [{"study_id": study.study_id, "key": key, "value_json": json.dumps(value)} for key, value in new]
    connection.execute(table.insert(), rows)


def _queue(connection: sqlalchemy.Connection, study: studies.Study, spec: specs.StudySpec) -> None:
    foreign.reserve(connection, study)
    taken = reservations.taken(connection, study.study_id)
    for params in spec.enqueue:
        if params in study.spec.enqueue:
            continue
        key = spec.space.key(params) if spec.space.is_complete(params) else None
        if key not in taken:
            reservations.insert_waiting(connection, study.study_id, params, key)
