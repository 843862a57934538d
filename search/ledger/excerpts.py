"""Single trials of a study, found by queries: the running, the latest, the best, the one of a number."""

import math
from collections.abc import Iterable
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from search import errors
from search.ledger import counts, orders, studies
from search.space import spaces
from search.storage import databases, schema, trials
from search.training import origins, records

INFINITE_UP, INFINITE_DOWN = trials.ValueKind.INF_POS, trials.ValueKind.INF_NEG
LATEST = 10  # ended trials that a summary has whole
# what is said of a trial in a line
SAID = tuple(
    each.name for each in (records.REASON, records.SECONDS, records.AVG_LOSS, records.REPEAT, records.IMPORTED)
)


def shown(connection: Connection, study: studies.Study, outside: Iterable[int], has_failed: bool) -> dict[str, Any]:
    """The trials that a summary has whole, which are read together."""
    t, study_id = schema.trials.c, study.study_id
    running = sqlalchemy.select(t.trial_id, t.number, schema.claims.c.seconds, schema.claims.c.owner)
    running = running.join_from(schema.trials, schema.claims, schema.claims.c.trial_id == t.trial_id, isouter=True)
    busy = connection.execute(running.where(t.study_id == study_id, t.state == TrialState.RUNNING)).all()
    ended = sqlalchemy.select(t.trial_id).where(t.study_id == study_id, t.state.in_(counts.ENDED))
    asked = {
        "running": [row.trial_id for row in busy],
        "latest": connection.execute(ended.order_by(t.trial_id.desc()).limit(LATEST)).scalars().all(),
        "best": [best_id(connection, study, outside)],
        "last_failure": [_last_failure(connection, study_id) if has_failed else None],
    }
    ids = {each for several in asked.values() for each in several if each is not None}
    of = {trial._trial_id: trial for trial in trials.read(connection, study_id, ids, SAID)}
    found = {
        name: tuple(of[each] for each in sorted(filter(None, several)) if each in of) for name, several in asked.items()
    }
    return {
        **found,
        "best": next(iter(found["best"]), None),
        "last_failure": next(iter(found["last_failure"]), None),
        "running_seconds": {row.number: row.seconds for row in busy if row.owner},
    }


def _last_failure(connection: Connection, study_id: int) -> int | None:
    """The trial whose failure was the last that counts against `max_failures`."""
    t, c = schema.trials.c, schema.claims.c
    counted = (t.state == TrialState.FAIL, c.told, c.excused.is_(False))
    query = sqlalchemy.select(t.trial_id).join(schema.claims, c.trial_id == t.trial_id)
    return connection.execute(
        query.where(t.study_id == study_id, *counted).order_by(t.trial_id.desc()).limit(1)
    ).scalar()


def best_id(connection: Connection, study: studies.Study, outside: Iterable[int] = ()) -> int | None:
    """The trial with the best value among those that are complete, the first of equals.

    Args:
        outside: numbers of trials that are not to be it.
    """
    t, v, infinite = schema.trials.c, schema.values.c, infinity()
    query = sqlalchemy.select(t.trial_id).join(schema.values, (v.trial_id == t.trial_id) & (v.objective == 0))
    query = query.where(t.study_id == study.study_id, t.state == TrialState.COMPLETE)
    query = query.where(sqlalchemy.or_(infinite != 0, is_number(connection, v.value)))
    if numbers := list(outside):
        query = query.where(t.number.not_in(numbers))
    order = [each.desc() if study.spec.study.direction == "maximize" else each for each in (infinite, v.value)]
    return connection.execute(query.order_by(*order, t.trial_id).limit(1)).scalar()


def infinity() -> sqlalchemy.ColumnElement[int]:
    """Of a stored value: 1 where it is infinite, -1 where it is so downwards, else 0; then `value` has it."""
    kind = schema.values.c.value_type
    return sqlalchemy.case((kind == INFINITE_UP, 1), (kind == INFINITE_DOWN, -1), else_=0)


def is_number(connection: Connection, value: sqlalchemy.ColumnElement[float]) -> sqlalchemy.ColumnElement[bool]:
    """Whether a stored value is one: Postgres stores what is none as one that is above all, SQLite as NULL."""
    return value != math.nan if connection.dialect.name == "postgresql" else value.is_not(None)


def of_configurations(
    database: databases.Database, study: studies.Study, wanted: Iterable[spaces.Params]
) -> list[FrozenTrial]:
    """The trials that have one of these configurations, with whichever seed."""
    c, tree, known = schema.claims.c, study.spec.space, list(wanted)

    def transaction(connection: Connection) -> list[FrozenTrial]:
        repeats = sqlalchemy.select(c.repeat).where(c.study_id == study.study_id).distinct()
        seeds = connection.execute(repeats).scalars().all()
        keys = [tree.key(params, repeat) for params in known for repeat in seeds]
        ids = sqlalchemy.select(c.trial_id).where(c.study_id == study.study_id, c.config.in_(keys))
        return trials.read(
            connection, study.study_id, connection.execute(ids).scalars().all(), (*SAID, records.CODE.name)
        )

    return database.read(transaction)


def find(database: databases.Database, study: studies.Study, number: int) -> tuple[FrozenTrial | None, int]:
    """A trial of a study by its number, or None, and how many trials there are.

    Raises:
        errors.StudyNotFound: the study was deleted.
    """

    def transaction(connection: Connection) -> tuple[FrozenTrial | None, int]:
        orders.read(connection, study)
        ids = trials.ids_of(connection, study.study_id, schema.trials.c.number == number)
        found = trials.read(connection, study.study_id, ids)
        return next(iter(found), None), counts.read(connection, study.study_id).total

    return database.read(transaction)


def load(database: databases.Database, study: studies.Study, number: int) -> FrozenTrial:
    """The same.

    Raises:
        errors.StudyNotFound: the study was deleted.
        errors.InputError: there is no such trial.
    """
    found, total = find(database, study, number)
    if found is None:
        raise errors.InputError(f"study {study.name!r} has {total} trials, numbered from 0, got {number}")
    return found


def load_trained(database: databases.Database, study: studies.Study, number: int) -> FrozenTrial:
    """The same of a trial that has run in its study, whatever its attributes say.

    Raises:
        errors.StudyNotFound: the study was deleted.
        errors.InputError: there is no such trial, or it was imported.
    """
    trial, added = load(database, study, number), schema.added.c
    ran = sqlalchemy.select(added.ran).where(added.trial_id == trial._trial_id)
    if database.read(lambda connection: connection.execute(ran).scalar()) is False:
        origins.check_trained_here(trial)
    return trial
