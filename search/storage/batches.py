"""A study's rows by batches of its trials, read and inserted as fast as the driver takes them, never all at once."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy

from search.storage import schema

BATCH_TRIALS = 200  # of some kilobytes each; with the losses of all mini-batches a hundred
STATEMENT_ROWS = 500


def of_trials(connection: sqlalchemy.Connection, study_id: int) -> Iterator[Sequence[sqlalchemy.Row[Any]]]:
    """The trials of a study, in the order of their ids, some at a time."""
    last = -1
    own = schema.trials.select().where(schema.trials.c.study_id == study_id).order_by(schema.trials.c.trial_id)
    while rows := connection.execute(own.where(schema.trials.c.trial_id > last).limit(BATCH_TRIALS)).all():
        last = rows[-1].trial_id
        yield rows


def add_trials(connection: sqlalchemy.Connection, study_id: int, rows: Sequence[sqlalchemy.Row[Any]]) -> dict[int, int]:
    """Adds trials like these to a study; returns their ids by the old ones. On SQLite it holds the write lock."""
    values: list[Any] = [row._mapping for row in rows]
    return dict(zip([row.trial_id for row in rows], new_trials(connection, study_id, values), strict=True))


def new_trials(connection: sqlalchemy.Connection, study_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Adds trials with these values of all other columns; returns their ids. On SQLite it holds the write lock."""
    table = schema.trials
    columns = [c for c in table.c if c.name not in ("trial_id", "study_id")]
    values = [(study_id, *(row[c.name] for c in columns)) for row in rows]
    columns.insert(0, table.c.study_id)
    if connection.dialect.name == "sqlite":  # where SQLAlchemy would take a statement for each
        last = connection.execute(sqlalchemy.select(sqlalchemy.func.max(table.c.trial_id))).scalar() or 0
        new = range(last + 1, last + 1 + len(rows))
        insert(connection, table, [table.c.trial_id, *columns], [(k, *v) for k, v in zip(new, values, strict=True)])
        return list(new)
    made = table.insert().returning(table.c.trial_id, sort_by_parameter_order=True)
    names = [c.name for c in columns]
    return list(connection.execute(made, [dict(zip(names, each, strict=True)) for each in values]).scalars())


def count(connection: sqlalchemy.Connection, study_id: int) -> int:
    """How many trials a study has."""
    query = sqlalchemy.select(sqlalchemy.func.count()).where(schema.trials.c.study_id == study_id)
    return int(connection.execute(query).scalar_one())


def carry(
    source: sqlalchemy.Connection,
    target: sqlalchemy.Connection,
    table: sqlalchemy.Table,
    new_ids: Mapping[int, int],
    changed: Mapping[str, Any],
) -> None:
    """Copies the rows that a few trials have in a table, in their order; numbers of their own are made anew.

    Args:
        new_ids: of the trials, by the old ones.
        changed: expressions that stand in the place of columns.
    """
    trial_id = table.c.trial_id
    others = [c for c in table.c if c is not trial_id and not c.primary_key]
    query = sqlalchemy.select(trial_id, *(changed.get(c.name, c) for c in others)).order_by(*table.primary_key)
    rows = source.execute(query.where(trial_id.in_(list(new_ids)))).all()
    insert(target, table, [trial_id, *others], [(new_ids[row[0]], *row[1:]) for row in rows])


def insert(
    connection: sqlalchemy.Connection,
    table: sqlalchemy.Table,
    columns: Sequence[sqlalchemy.Column[Any]],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Inserts rows of values in the order of `columns`, by statements that SQLAlchemy does not make row by row."""
    dialect = connection.dialect
    found = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]
    made = {place: process for place, process in enumerate(found) if process is not None}
    for first in range(0, len(rows), STATEMENT_ROWS):
        portion = rows[first : first + STATEMENT_ROWS]
        _execute(connection, table, columns, [_bound(row, made) for row in portion])


def _bound(row: Sequence[Any], made: Mapping[int, Callable[[Any], Any]]) -> tuple[Any, ...]:
    values = list(row)
    for place, process in made.items():
        values[place] = process(values[place])
    return tuple(values)


def _execute(
    connection: sqlalchemy.Connection,
    table: sqlalchemy.Table,
    columns: Sequence[sqlalchemy.Column[Any]],
    rows: list[tuple[Any, ...]],
) -> None:
    preparer = connection.dialect.identifier_preparer
    names = ", ".join(map(preparer.format_column, columns))
    into = f"INSERT INTO {preparer.format_table(table)} ({names}) VALUES "  # noqa: S608  # names of tables are no input
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"{into}({', '.join('?' * len(columns))})", rows)
        return
    one = f"({', '.join(['%s'] * len(columns))})"
    connection.exec_driver_sql(into + ", ".join([one] * len(rows)), tuple(itertools.chain.from_iterable(rows)))
