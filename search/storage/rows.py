"""A study's trials as the rows that Optuna stores, read in batches by plain SQL: a tenth of what its ORM takes.

Nothing is made of the rows but tuples, grouped by trial: who reads a million of them pays for each object.
"""

import collections
import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy
from optuna import distributions
from optuna.trial import TrialState

from search.storage import schema
from search.storage.databases import Database

Distribution = distributions.BaseDistribution
LARGEST = 2**31 - 1  # that a column of numbers holds
FINITE, POSITIVE, NEGATIVE, NAN = "FINITE", "INF_POS", "INF_NEG", "NAN"  # how Optuna stores what a number cannot be
NUMBERS = {POSITIVE: float("inf"), NEGATIVE: float("-inf"), NAN: float("nan")}


@dataclasses.dataclass(frozen=True)
class Head:
    """A trial's own row; times are ISO 8601."""

    trial_id: int
    number: int
    state: TrialState
    start: str | None
    complete: str | None


@dataclasses.dataclass(frozen=True)
class Batch:
    """Trials by id, with the rows of each by its id.

    Attributes:
        values: `(objective, value, kind)`.
        params: `(name, internal value, distribution as JSON)`, in the order in which they were stored.
        steps: `(step, value, kind)`, by step.
        attributes: `(key, JSON)`, by key.
        system_attributes: the same.
    """

    heads: list[Head]
    values: dict[int, list[tuple[int, float | None, str]]]
    params: dict[int, list[tuple[str, float, str]]]
    steps: dict[int, list[tuple[int, float | None, str]]]
    attributes: dict[int, list[tuple[str, str]]]
    system_attributes: dict[int, list[tuple[str, str]]]


def ids(
    database: Database,
    study_id: int,
    above: int = -1,
    among: Collection[int] = (),
    numbers: Collection[int] | None = None,
) -> list[int]:
    """Ids of a study's trials, which grow with their numbers: those above one, and those among some.

    Args:
        numbers: of trials; no others, where given.
    """
    trial_id = schema.trials.c.trial_id
    wanted = sqlalchemy.or_(trial_id > above, _within(trial_id, sorted(among)))
    query = sqlalchemy.select(trial_id).where(schema.trials.c.study_id == study_id, wanted)
    if numbers is not None:
        query = query.where(schema.trials.c.number.in_([each for each in numbers if each <= LARGEST]))
    return [row[0] for row in _read(database, query.order_by(trial_id))[0]]


def read(database: Database, trial_ids: Sequence[int]) -> Batch:
    """These trials, all their rows as of one moment.

    Raises:
        KeyError: a row is nobody's, as a state that Optuna does not have.
        errors.StorageError: the database is away.
    """
    wanted, t = sorted(trial_ids), schema.trials.c
    queries = [
        sqlalchemy.select(
            t.trial_id, t.number, _plain(t.state), _plain(t.datetime_start), _plain(t.datetime_complete)
        ).where(_within(t.trial_id, wanted)),
        _of(schema.values, wanted, "objective", "value", "value_type", order=("trial_value_id",)),
        _of(schema.params, wanted, "param_name", "param_value", "distribution_json", order=("param_id",)),
        _of(schema.steps, wanted, "step", "intermediate_value", "intermediate_value_type", order=("step",)),
        _of(schema.attributes, wanted, "key", "value_json", order=("key",)),
        _of(schema.system_attributes, wanted, "key", "value_json", order=("key",)),
    ]
    heads, *others = _read(database, *queries)
    made = [Head(row[0], row[1], TrialState[row[2]], _iso(row[3]), _iso(row[4])) for row in heads]
    return Batch(sorted(made, key=lambda head: head.trial_id), *map(_grouped, others))


def names(database: Database, study_id: int, trial_ids: Sequence[int] | None = None) -> tuple[list[str], list[str]]:
    """The names of all parameters and of all user attributes that trials have: a study's, or these."""
    within = sqlalchemy.select(schema.trials.c.trial_id).where(schema.trials.c.study_id == study_id)
    asked = []
    for column in (schema.params.c.param_name, schema.attributes.c.key):
        own = column.table.c.trial_id
        wanted = own.in_(within) if trial_ids is None else _within(own, sorted(trial_ids))
        asked.append(sqlalchemy.select(column).where(wanted).distinct())
    params, keys = _read(database, *asked)
    return sorted(row[0] for row in params), sorted(row[0] for row in keys)


def _read(database: Database, *queries: Any) -> list[list[Any]]:
    # the driver's own tuples: SQLAlchemy's rows take as long again
    def ask(connection: sqlalchemy.Connection) -> list[list[Any]]:
        found: list[list[Any]] = []
        for query in queries:
            result: Any = connection.execute(query)
            found.append(result.cursor.fetchall())
        return found

    return database.read(ask)


def _within(column: sqlalchemy.ColumnElement[int], wanted: Sequence[int]) -> sqlalchemy.ColumnElement[bool]:
    """A range where these numbers are one, which any database takes in any length."""
    if wanted and wanted[-1] - wanted[0] + 1 == len(wanted):
        return column.between(wanted[0], wanted[-1])
    return column.in_(wanted)


def _plain(column: sqlalchemy.ColumnElement[Any]) -> sqlalchemy.ColumnElement[Any]:
    """As the driver gives it, without a type of SQLAlchemy's."""
    return sqlalchemy.type_coerce(column, sqlalchemy.types.NullType())


def _of(table: Any, wanted: Sequence[int], *names: str, order: tuple[str, ...]) -> Any:
    columns = [_plain(table.c[name]) for name in names]
    query = sqlalchemy.select(table.c.trial_id, *columns).where(_within(table.c.trial_id, wanted))
    return query.order_by(table.c.trial_id, *(table.c[name] for name in order))


def _grouped(found: list[tuple[Any, ...]]) -> Any:
    groups = collections.defaultdict(list)
    for row in found:
        groups[row[0]].append(row[1:])
    return groups


def _iso(moment: Any) -> str | None:
    """A time as `datetime.isoformat` has it: SQLite's driver gives text with a blank and all six digits."""
    if isinstance(moment, str):
        return moment.replace(" ", "T").removesuffix(".000000")
    return None if moment is None else str(moment.isoformat())


def number(value: float | None, kind: str) -> float:
    """A value as Optuna stores it.

    Raises:
        KeyError: it is of a kind that Optuna does not have.
        TypeError: it is no number: SQLite takes anything for one.
    """
    found = value if kind == FINITE else NUMBERS[kind]
    if not isinstance(found, int | float):
        raise TypeError(f"must be a number, got {found!r}")
    return found
