"""A glance at a storage, for completion in a shell: at once, from what is there, without a word and without a trace."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from search.storage import addresses

BUSY_SECONDS = 0.2
POSTGRES_SECONDS = 2  # the shortest that its driver knows
NAMES = "SELECT study_name FROM studies ORDER BY study_id DESC LIMIT 1000"
# of the study, or of its file
ATTRIBUTE = (
    "SELECT value_json FROM study_user_attributes JOIN studies USING (study_id) "
    "WHERE studies.study_name = {mark} AND study_user_attributes.key = {mark}"
)


def names(url: str) -> list[str]:
    """Names of the studies, the newest first; none where the storage is away, or cannot be read."""
    return [str(row[0]) for row in _rows(url, NAMES, ())]


def attribute(url: str, study: str, key: str) -> str | None:
    """A study's attribute as it is stored, JSON; None where it is not to be had."""
    return next((str(row[0]) for row in _rows(url, ATTRIBUTE, (study, key))), None)


def _rows(url: str, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]]:
    # whatever a driver says: nobody asked for it
    with contextlib.suppress(Exception):
        file = addresses.sqlite_file(url)
        with _sqlite(file) if file is not None else _postgres(url) as connection:
            cursor = connection.cursor()
            cursor.execute(statement.format(mark="?" if file is not None else "%s"), values)
            return list(cursor.fetchall())
    return []


@contextlib.contextmanager
def _sqlite(file: pathlib.Path) -> Iterator[Any]:
    """Reading alone; the log is read where others have it open: alone, SQLite would make one to read."""
    beside = [file.with_name(file.name + ending) for ending in ("-wal", "-shm")]
    query = "mode=ro" if all(path.exists() for path in beside) else "mode=ro&immutable=1"
    address = f"file:{addresses.uri_path(file.absolute())}?{query}"
    with contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
        yield connection


@contextlib.contextmanager
def _postgres(url: str) -> Iterator[Any]:
    import psycopg2
    import sqlalchemy

    parts = sqlalchemy.make_url(url)
    words: dict[str, Any] = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "dbname": parts.database,
        **parts.query,
        "connect_timeout": POSTGRES_SECONDS,
        "options": f"-c statement_timeout={POSTGRES_SECONDS * 1000} -c default_transaction_read_only=on",
    }
    with contextlib.closing(psycopg2.connect(**{key: value for key, value in words.items() if value})) as connection:
        yield connection
