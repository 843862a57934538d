"""A database at one moment, for who reads it for long, such that nobody who writes waits for that.

Postgres and a write-ahead log keep the moment by themselves. A SQLite file of other tools has a rollback journal: while
it is read nobody can write to it, and plain Optuna's workers give up after seconds. Its content is copied first.
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
    """Copies the database, unless it has a write-ahead log.

    Raises:
        OSError: there is no room for a copy.
    """
    driver: Any = connection.connection.driver_connection
    holds_no_lock = getattr(driver, "alone", None) is not None  # nobody has the file open; see `sightings`
    if holds_no_lock or connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal":
        return False
    try:
        with contextlib.closing(sqlite3.connect(file)) as target:
            driver.backup(target)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in NO_ROOM:
            raise
        raise OSError(errno.ENOSPC, f"{error}, in the folder of temporary files", str(file.parent)) from error
    return True
