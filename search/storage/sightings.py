"""A SQLite file as it lies there, read without a trace, whoever writes to it or has left a log beside it.

A rollback journal's readers need only the file. A write-ahead log's need memory beside it, `-shm`, which SQLite makes
where it is missing, and a folder that can be written; both must not be asked of somebody else's file. So each
connection is opened in the way that fits what lies there at that moment.
"""

import os
import pathlib
import shutil
import sqlite3
import tempfile
import threading
from typing import Any

import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.storage import addresses, connections, copies

TRIES = 5  # writers come and go between two looks at what lies there
READS, SHARES, ALONE = "mode=ro", "mode=ro&readonly_shm=1", "mode=ro&immutable=1"
HEADER_BYTES, WRITE_VERSION, WAL = 20, 18, 2  # where SQLite says that the file has a write-ahead log
KEPT_HEADS = 64

Mark = tuple[int, ...] | None

# Descriptors by device and inode, which stay open: closing one takes all of SQLite's locks off a file that this process
# has open elsewhere.
_heads: dict[tuple[int, int], int] = {}
_heads_lock = threading.Lock()


class Connection(sqlite3.Connection):
    """One that knows which state of the file it may see alone; None where SQLite's locks keep it whole."""

    alone: Mark = None


class Sighting:
    """Opens connections to a file, and holds the copy that some of them are to.

    Args:
        file: its absolute path.
    """

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._folder: pathlib.Path | None = None
        self._copied: tuple[Mark, ...] = ()

    def open(self) -> Connection:
        """A connection, to the file or to a copy.

        Raises:
            sqlite3.Error: it cannot be read, is no database, or somebody writes to it.
        """
        try:
            for _ in range(TRIES):
                way, mark = self._way()
                try:
                    return self._connected(self._copy() if way is None else self._file, way or ALONE, mark)
                except sqlite3.OperationalError as error:
                    code = getattr(error, "sqlite_errorcode", 0)
                    if code == sqlite3.SQLITE_READONLY_ROLLBACK:  # a journal of somebody who is gone
                        return self._connected(self._copy(), ALONE, None)
                    # the log went while it was opened, or its memory cannot be read
                    if way != SHARES or code & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                        raise
            return self._connected(self._copy(), ALONE, None)
        except OSError as error:
            raise _error(f"{error.filename}: {error.strerror}", sqlite3.SQLITE_CANTOPEN) from error
        except errors.InputError as error:  # of a copy
            code = sqlite3.SQLITE_BUSY if error.__cause__ is None else sqlite3.SQLITE_CANTOPEN
            raise _error(str(error), code) from error

    def watch(self, engine: sqlalchemy.Engine) -> None:
        """Makes transactions see one moment, and notices where a file that seemed left alone was written to."""

        def committing(connection: sqlalchemy.Connection) -> None:
            if not self._is_as_seen(connection.connection.driver_connection):
                changed = _error("the file was written to while it was read", sqlite3.SQLITE_BUSY)
                raise exc.OperationalError("COMMIT", None, changed)

        def failed(context: sqlalchemy.engine.ExceptionContext) -> None:
            found = context.connection.connection.driver_connection if context.connection is not None else None
            if not self._is_as_seen(found) and isinstance(context.original_exception, sqlite3.Error):
                changed = _error("the file was written to while it was read", sqlite3.SQLITE_BUSY)
                raise exc.OperationalError(str(context.statement), None, changed) from context.original_exception

        sqlalchemy.event.listen(engine, "begin", connections.begin)
        sqlalchemy.event.listen(engine, "commit", committing)
        sqlalchemy.event.listen(engine, "handle_error", failed)

    def close(self) -> None:
        """Removes the copy."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _way(self) -> tuple[str | None, Mark]:
        """How to open what lies there, None for a copy; and its state, where nothing else keeps it whole."""
        mark = _mark(self._file)
        if not _has_log(self._file):
            return READS, None
        log, memory, journal = (self._beside(end) for end in ("-wal", "-shm", "-journal"))
        if log.exists() and memory.exists():  # somebody has it open, or SQLite reads the log without `-shm` by itself
            return SHARES, None
        if any(each.exists() and each.stat().st_size for each in (log, journal)):
            return None, None
        return ALONE, mark

    def _connected(self, file: pathlib.Path, query: str, mark: Mark) -> Connection:
        uri = f"file:{addresses.uri_path(file)}?{query}"
        options: dict[str, Any] = {"factory": Connection, "timeout": connections.BUSY_SECONDS, "isolation_level": None}
        connection: Connection = sqlite3.connect(uri, uri=True, check_same_thread=False, **options)
        try:
            connection.execute("PRAGMA schema_version").fetchone()  # nothing is read before
        except BaseException:
            connection.close()
            raise
        connection.alone = mark
        return connection

    def _copy(self) -> pathlib.Path:
        """A copy of the file with what the logs beside it hold; the same one while nothing of them changes."""
        with self._lock:
            files = [self._file, *(log for end in copies.LOGS if (log := self._beside(end)).exists())]
            marks = tuple(map(_mark, files))
            if self._folder is None or marks != self._copied:
                self.close()
                self._folder = pathlib.Path(tempfile.mkdtemp(prefix="search-look-"))
                copies.copied(files, self._folder)
                self._copied = marks
            return self._folder / self._file.name

    def _is_as_seen(self, connection: Any) -> bool:
        alone = getattr(connection, "alone", None)
        try:
            return alone is None or alone == _mark(self._file)
        except OSError:
            return False

    def _beside(self, end: str) -> pathlib.Path:
        return self._file.with_name(f"{self._file.name}{end}")


def _mark(file: pathlib.Path) -> Mark:
    """What is different once a file was written to."""
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _has_log(file: pathlib.Path) -> bool:
    """Whether the file says that it has a write-ahead log, or may have one."""
    with _heads_lock:
        found = file.stat()
        key = found.st_dev, found.st_ino
        if key not in _heads:
            if len(_heads) >= KEPT_HEADS:
                _forget_deleted()
            opened = os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            found = os.fstat(opened)
            key = found.st_dev, found.st_ino  # it may have been replaced just now
            _heads.setdefault(key, opened)
        os.lseek(_heads[key], 0, os.SEEK_SET)
        header = os.read(_heads[key], HEADER_BYTES)
    return len(header) == HEADER_BYTES and WAL in header[WRITE_VERSION:]


def _forget_deleted() -> None:
    for key, opened in list(_heads.items()):
        if os.fstat(opened).st_nlink == 0:
            os.close(_heads.pop(key))


def _error(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error
