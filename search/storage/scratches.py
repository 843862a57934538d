"""A database that lasts as long as its program needs it: in a folder of its own, and no write waits for the disk."""

import contextlib
import pathlib
import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Any

import sqlalchemy

from search.storage.databases import Database


@contextlib.contextmanager
def database() -> Iterator[Database]:
    """An empty one, which goes at the end. It is as exact as any, but would not survive that the machine fails."""
    with tempfile.TemporaryDirectory(prefix="search-", ignore_cleanup_errors=True) as folder:
        opened = Database(f"sqlite:///{pathlib.Path(folder, 'scratch.db').as_posix()}")

        def connected(connection: sqlite3.Connection, _: Any) -> None:
            connection.execute("PRAGMA synchronous = OFF")

        sqlalchemy.event.listen(opened.engine, "connect", connected)
        opened.engine.dispose()  # what was opened before has none of it
        try:
            yield opened
        finally:
            opened.close()
