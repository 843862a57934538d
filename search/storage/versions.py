"""Which version our tables in a database are, asked by plain SQL: alembic takes a fifth of a second to import."""

import sqlalchemy

from search import errors
from search.storage import addresses, schema, storages

FIRST = "0001"  # its tables did not say their version
KNOWN = (FIRST, "0002", "0003", "0004", "0005", "0006", "0007", schema.HEAD)


def find(connection: sqlalchemy.Connection) -> str | None:
    """The version; None where there are no tables of ours yet."""
    inspector = sqlalchemy.inspect(connection)
    if inspector.has_table(schema.version.name):
        return connection.execute(sqlalchemy.select(schema.version.c.version_num)).scalar()
    return FIRST if inspector.has_table(schema.claims.name) else None


def is_current(engine: sqlalchemy.Engine) -> bool:
    """Whether all tables, Optuna's and ours, are there and those of this program."""
    with engine.connect() as connection:
        return find(connection) == schema.HEAD and storages.find_version(connection) == storages.HEAD


def has_ours(engine: sqlalchemy.Engine) -> bool:
    """Whether any tables of ours are there, whatever their version."""
    with engine.connect() as connection:
        return find(connection) is not None


def check(version: str | None, url: str) -> None:
    """Passes a database that has no tables of ours yet, or those of this program.

    Raises:
        errors.InputError: an older or a newer program made them.
    """
    check_known(version, url)
    if version not in (None, schema.HEAD):
        is_file = addresses.sqlite_file(url) is not None
        copy = (
            ", and keeps a copy beside it" if is_file else "; keep a copy first, by pg_dump or its own `search backup`"
        )
        raise errors.InputError(
            f"storage {addresses.hide_password(url)} was made by an older version ({version}, this one is "
            f"{schema.HEAD}): `search upgrade` brings it up to date{copy}"
        )


def check_known(version: str | None, url: str) -> None:
    """Passes what this program can read or bring up to date.

    Raises:
        errors.InputError: a newer program made the tables.
    """
    if version is not None and version not in KNOWN:
        raise errors.InputError(
            f"storage {addresses.hide_password(url)} was made by a newer version of this program: its tables are "
            f"{version}, this one knows those up to {schema.HEAD}; install that version, nothing was written"
        )
