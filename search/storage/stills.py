"""A database at one moment, for who reads it for long, such that nobody who writes waits for that, or spoils it.

Postgres keeps the moment by itself, and so does a SQLite file with a write-ahead log that somebody has open. While one
with a rollback journal is read nobody can write to it, and plain Optuna's workers give up after seconds; one that
nobody has open may be written to by the first who opens it (`sightings`). The content of these is copied first.
"""

import contextlib
import errno
import pathlib
import sqlite3
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy

from search.storage import addresses, databases

T = TypeVar("T")

NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def read(database: databases.Database, transaction: Callable[[sqlalchemy.Connection], T]) -> T:
    """Runs a transaction that only reads, and sees one moment."""
    if database.engine.dialect.name != "sqlite":
        return database.read(transaction, one_moment=True)
    with tempfile.TemporaryDirectory(prefix="search-still-") as folder:
        file = pathlib.Path(folder, "still.db")
        if not database.read(lambda connection: _copied(connection, file)):
            return database.read(transaction)
        still = databases.open_to_read(addresses.of_file(file))
        try:
            return still.read(transaction)
        finally:
            still.close()


def _copied(connection: sqlalchemy.Connection, file: pathlib.Path) -> bool:
    """Copies the database, unless its log keeps the moment.

    Raises:
        OSError: there is no room for a copy.
    """
    driver: Any = connection.connection.driver_connection
    is_alone = getattr(driver, "alone", None) is not None
    if not is_alone and connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal":
        return False
    try:
        with contextlib.closing(sqlite3.connect(file)) as target:
            driver.backup(target)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in NO_ROOM:
            raise
        raise OSError(errno.ENOSPC, f"{error}, in the folder of temporary files", str(file.parent)) from error
    return True
