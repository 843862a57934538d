"""A database that lacks tables of ours, or all tables, read as one in which they are empty.

So the studies of another tool are read by the queries that read ours, and nothing is made for it: a query that names a
missing table is given an empty one of that name, as a common table expression.
"""

from typing import Any

import sqlalchemy
from optuna.storages._rdb import models

from search.storage import schema, storages, versions

TABLES = {table.name: table for base in (schema.ours, models.BaseModel.metadata) for table in base.sorted_tables}
NAMES = {  # of the tables that are there for whoever names them without their schema
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT relname FROM pg_catalog.pg_class "
    "WHERE relkind IN ('r', 'v', 'p', 'f', 'm') AND pg_catalog.pg_table_is_visible(oid)",
}


class Blanks:
    """What a database lacks, looked for at the begin of each transaction until it lacks nothing.

    Args:
        engine: which is made to read so.
        url: its address, for what is said of another version.
    """

    def __init__(self, engine: sqlalchemy.Engine, url: str) -> None:
        self._url = url
        self._missing: frozenset[str] | None = None
        sqlalchemy.event.listen(engine, "begin", self._look)
        sqlalchemy.event.listen(engine, "before_cursor_execute", self._fill_in, retval=True)

    def _look(self, connection: sqlalchemy.Connection) -> None:
        if self._missing is not None and not self._missing:
            return
        self._missing = frozenset()  # the questions below name what is there
        try:
            rows = connection.exec_driver_sql(NAMES[connection.dialect.name])
            there = {row[0] for row in rows}
            self._check(connection, there)
        except BaseException:
            self._missing = None
            raise
        self._missing = frozenset(TABLES) - there

    def _check(self, connection: sqlalchemy.Connection, there: set[str]) -> None:
        """Passes tables of this version.

        Raises:
            errors.InputError: ours are of another version.
            RuntimeError: Optuna's are.
        """
        if schema.version.name in there or schema.claims.name in there:
            versions.check(versions.find(connection), self._url)
        if schema.studies.name in there and schema.trials.name in there:
            known = storages.VERSIONS.name in there
            storages.check(storages.find_version(connection) if known else None)

    def _fill_in(
        self, connection: sqlalchemy.Connection, _: Any, statement: str, parameters: Any, *__: Any
    ) -> tuple[str, Any]:
        named = sorted(name for name in self._missing or () if name in statement)
        if not named or not statement.startswith("SELECT"):
            return statement, parameters
        empty = ", ".join(f"{name} AS ({_empty(TABLES[name], connection.dialect)})" for name in named)
        return f"WITH {empty} {statement}", parameters


def _empty(table: sqlalchemy.Table, dialect: sqlalchemy.Dialect) -> str:
    """A query of a table's columns, without a row."""
    columns = []
    for column in table.c:
        # Postgres knows a type of its own for each enumeration, where there is the table
        kind = sqlalchemy.String() if isinstance(column.type, sqlalchemy.Enum) else column.type
        columns.append(sqlalchemy.cast(sqlalchemy.null(), kind).label(column.name))
    return str(sqlalchemy.select(*columns).where(sqlalchemy.false()).compile(dialect=dialect))
