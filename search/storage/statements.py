"""Reads and writes of Optuna's tables that several rooms need, each as one statement in the caller's transaction."""

import datetime
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

import sqlalchemy
from optuna import distributions
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy.dialects import postgresql, sqlite

from search import errors
from search.storage import schema

UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
CLOCKS = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
DELETED = "the study was deleted while this process worked on it; nothing more is done"


class Study(Protocol):
    """A study as the database knows it: SQLite gives `study_id` out again, `token` is of its first order."""

    @property
    def study_id(self) -> int:
        """Its row."""

    @property
    def token(self) -> str:
        """Which no other study has or will have."""


def _begun() -> sqlalchemy.Exists:
    order, token = schema.orders.alias("begun"), sqlalchemy.bindparam("first", type_=sqlalchemy.String)
    return sqlalchemy.exists().where(order.c.study_id == STUDY, order.c.token == token)


# what every claim runs under the study's lock is made once: to make a statement takes longer than to run it
STUDY = sqlalchemy.bindparam("study", type_=sqlalchemy.Integer)
BEGUN = _begun()  # the study is the one that had this token first
LOCK = sqlalchemy.select(schema.studies.c.study_id).where(schema.studies.c.study_id == STUDY, BEGUN).with_for_update()
LAST_NUMBER = sqlalchemy.select(sqlalchemy.func.max(schema.trials.c.number)).where(schema.trials.c.study_id == STUDY)
ADD_TRIAL = schema.trials.insert().returning(schema.trials.c.trial_id)


def lock_study(connection: sqlalchemy.Connection, study: Study) -> None:
    """Waits for the study's row, for the rest of the transaction. On SQLite the transaction is the lock.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
    """
    if connection.execute(LOCK, {"study": study.study_id, "first": study.token}).first() is None:
        raise errors.StudyNotFound(DELETED)


def delete_study(connection: sqlalchemy.Connection, study_id: int) -> None:
    """Deletes all rows of a study, Optuna's and ours, while other processes write to its trials.

    The caller holds the study's row, so that no trial is claimed or added. What is written to a trial begins with its
    claim or its own row: both are locked here, in the order in which owners lock them, and who waits finds it gone.
    """
    of_study = schema.trials.c.study_id == study_id
    mine = sqlalchemy.select(schema.trials.c.trial_id).where(of_study)
    for table in (schema.claims, schema.trials):
        rows = sqlalchemy.select(table.c.trial_id).where(table.c.study_id == study_id).order_by(table.c.trial_id)
        connection.execute(rows.with_for_update()).all()
    tables = (*schema.ours.sorted_tables, *models.BaseModel.metadata.sorted_tables)
    for table in (each for each in tables if "trial_id" in each.c and each is not schema.trials):
        connection.execute(table.delete().where(table.c.trial_id.in_(mine)))
    connection.execute(schema.trials.delete().where(of_study))
    for table in (each for each in tables if "study_id" in each.c and each is not schema.studies):
        connection.execute(table.delete().where(table.c.study_id == study_id))
    connection.execute(schema.studies.delete().where(schema.studies.c.study_id == study_id))


def insert_trial(
    connection: sqlalchemy.Connection,
    study_id: int,
    state: TrialState,
    start: datetime.datetime | None,
) -> tuple[int, int]:
    """Adds a trial, under `lock_study`; returns `(trial_id, number)`, the number after the last one."""
    found = connection.execute(LAST_NUMBER, {"study": study_id}).scalar()
    number = 0 if found is None else found + 1
    trial_id = connection.execute(ADD_TRIAL, trial(study_id, number, state, start)).scalar_one()
    return trial_id, number


def trial(study_id: int, number: int, state: TrialState, start: datetime.datetime | None) -> dict[str, Any]:
    """A row of Optuna's table."""
    return {"study_id": study_id, "number": number, "state": state, "datetime_start": start}


def now() -> datetime.datetime:
    """The present as Optuna 5 stores it: UTC without a zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def clock(connection: sqlalchemy.Connection) -> sqlalchemy.ColumnElement[float]:
    """The database's own clock, in seconds: the one clock that all workers of a study share."""
    return sqlalchemy.literal_column(CLOCKS[connection.dialect.name], sqlalchemy.Float)


def earlier(
    connection: sqlalchemy.Connection, moment: datetime.datetime, seconds: sqlalchemy.ColumnElement[float]
) -> sqlalchemy.ColumnElement[Any]:
    """A moment so many seconds before another, as Optuna stores moments."""
    if connection.dialect.name == "sqlite":
        past = sqlalchemy.func.printf("-%.3f seconds", seconds)
        found = sqlalchemy.func.strftime("%Y-%m-%d %H:%M:%f", moment.isoformat(" "), past) + "000"
        return sqlalchemy.type_coerce(found, sqlalchemy.String)
    return sqlalchemy.literal(moment) - sqlalchemy.func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def put(connection: sqlalchemy.Connection, table: sqlalchemy.Table, unique: tuple[str, ...], rows: list[Any]) -> None:
    """Inserts rows of the same keys, replacing those with the same values in the columns `unique`."""
    if not rows:
        return
    insert = UPSERTS[connection.dialect.name](table)
    rest = {name: insert.excluded[name] for name in rows[0] if name not in unique}
    _execute(connection, insert.on_conflict_do_update(index_elements=list(unique), set_=rest), rows)


def _execute(connection: sqlalchemy.Connection, insert: Any, rows: list[Any]) -> None:
    """In portions that the database takes and few round trips; a row of its own may hold expressions beside values."""
    if len(rows) == 1:
        connection.execute(insert.values(rows[0]))
    else:  # SQLAlchemy sends upserts row by row unless they return something
        connection.execute(insert.returning(sqlalchemy.literal(1)), rows)


def put_attributes(connection: sqlalchemy.Connection, trial_id: int, attrs: Mapping[str, Any]) -> None:
    """Sets user attributes of a trial."""
    put_many_attributes(connection, [(trial_id, key, value) for key, value in attrs.items()])


def put_many_attributes(connection: sqlalchemy.Connection, found: Iterable[tuple[int, str, Any]]) -> None:
    """The same of several trials: their ids, names and values."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for trial_id, key, value in found]
    put(connection, schema.attributes, ("trial_id", "key"), rows)


def put_steps(connection: sqlalchemy.Connection, trial_id: int, found: Mapping[int, float]) -> None:
    """Sets intermediate values by step."""
    rows = []
    for step, value in found.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    put(connection, schema.steps, ("trial_id", "step"), rows)


def stored_step_value(stored: float | None, kind: Any) -> float:
    """An intermediate value as a number: Optuna stores nan and infinities apart."""
    value = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(stored, kind)
    return float("nan") if value is None else float(value)


def put_value(connection: sqlalchemy.Connection, trial_id: int, value: float) -> None:
    """Sets the value of a single-objective trial."""
    put_values(connection, {trial_id: value})


def put_values(connection: sqlalchemy.Connection, found: Mapping[int, float]) -> None:
    """The same of several trials, by id."""
    rows = []
    for trial_id, value in found.items():
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind})
    put(connection, schema.values, ("trial_id", "objective"), rows)


def add_params(
    connection: sqlalchemy.Connection,
    trial_id: int,
    configuration: dict[str, Any],
    space: dict[str, distributions.BaseDistribution],
) -> None:
    """Stores parameters of a trial, as Optuna does; what is stored already stays."""
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": space[name].to_internal_repr(value),
            "distribution_json": distributions.distribution_to_json(space[name]),
        }
        for name, value in configuration.items()
    ]
    if rows:
        insert = UPSERTS[connection.dialect.name](schema.params)
        _execute(connection, insert.on_conflict_do_nothing(index_elements=["trial_id", "param_name"]), rows)


def read_params(connection: sqlalchemy.Connection, trial_id: int) -> dict[str, Any]:
    """The stored parameters of a trial, in the order they were stored."""
    return read_all_params(connection, [trial_id]).get(trial_id, {})


def read_all_params(connection: sqlalchemy.Connection, trial_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The same of several trials, by id; those without any are left out."""
    names = ("trial_id", "param_name", "param_value", "distribution_json")
    query = sqlalchemy.select(*(schema.params.c[name] for name in names))
    query = query.where(schema.params.c.trial_id.in_(list(trial_ids))).order_by(schema.params.c.param_id)
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(query):
        distribution = distributions.json_to_distribution(row.distribution_json)
        found.setdefault(row.trial_id, {})[row.param_name] = distribution.to_external_repr(row.param_value)
    return found
