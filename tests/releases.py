"""Databases and backups as released versions left them."""

import lzma
import pathlib
from typing import Any

import psycopg2
import sqlalchemy
from conftest import Server

FOLDER = pathlib.Path(__file__).with_name("storage") / "releases"


def sqlite(path: pathlib.Path, name: str = "0001", kind: str = "db") -> str:
    """Puts a SQLite file of a release, or a backup, at a path; returns its address."""
    path.write_bytes(lzma.decompress((FOLDER / f"{name}.{kind}.xz").read_bytes()))
    return f"sqlite:///{path}"


def postgres(server: Server, name: str = "0001") -> str:
    """Loads the dump of a release into a new database; returns its address."""
    url = server.new_database()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(lzma.decompress((FOLDER / f"{name}.sql.xz").read_bytes()).decode())
    connection.close()
    return url


def content(url: str) -> dict[str, list[Any]]:
    """All rows of all tables, and what the tables are."""
    engine = sqlalchemy.create_engine(url)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: sorted(map(repr, connection.execute(sqlalchemy.select(table))))
            for name, table in tables.tables.items()
        }
    engine.dispose()
    return {**found, "": [repr(shape(url))]}


def _index(found: Any) -> str:
    """An index by what it is; a condition is text, which Python would tell apart by its place in memory."""
    return repr(
        {**found, "dialect_options": {key: str(value) for key, value in found.get("dialect_options", {}).items()}}
    )


def shape(url: str) -> dict[str, Any]:
    """Columns, keys, constraints, indexes, triggers of a database; columns by name, whatever their order is."""
    engine = sqlalchemy.create_engine(url)
    look = sqlalchemy.inspect(engine)
    found: dict[str, Any] = {}
    for table in sorted(look.get_table_names()):
        found[table] = {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in sorted(look.get_columns(table), key=lambda column: column["name"])
            },
            "key": look.get_pk_constraint(table),
            "parents": sorted(map(repr, look.get_foreign_keys(table))),
            "unique": sorted(map(repr, look.get_unique_constraints(table))),
            "checks": sorted(map(repr, look.get_check_constraints(table))),
            "indexes": sorted(map(_index, look.get_indexes(table))),
        }
    if engine.dialect.name == "sqlite":
        queries = ["SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"]
    else:
        queries = [
            "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
            "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        ]
    with engine.connect() as connection:
        rows = [tuple(row) for query in queries for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return {**found, "triggers": sorted(rows)}
