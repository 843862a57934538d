"""A SQLite file that was copied here from anywhere, read whole and left as it is."""

import contextlib
import hashlib
import pathlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator

import sqlalchemy

from search import errors
from search.storage import addresses

LOGS = ("-wal", "-journal")  # what SQLite has not yet put into the file, or may have to take out again
TRIES = 5  # to copy a file and its log between two writes of others


@contextlib.contextmanager
def opened(path: pathlib.Path, but_not: pathlib.Path | None = None) -> Iterator[sqlalchemy.Connection]:
    """A connection to the file, or to a copy of it where SQLite's log lies beside it: nothing is written there.

    Args:
        but_not: a file that this process has open: closing it here would take SQLite's locks off it.

    Raises:
        errors.InputError: a log cannot be read, or somebody writes to it.
    """
    with tempfile.TemporaryDirectory(prefix="search-restore-") as folder:
        query = "mode=ro&immutable=1"  # it may lie on a read-only medium
        if logs := [log for name in LOGS if (log := path.with_name(path.name + name)).exists()]:
            if but_not is not None and but_not.exists() and but_not.samefile(path):
                raise errors.InputError(f"{path} is the storage itself; nothing was restored")
            path, query = _whole_copy([path, *logs], pathlib.Path(folder)), "mode=rw"
        uri = f"file:{addresses.uri_path(path.resolve())}?{query}"
        engine = sqlalchemy.create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
        try:
            with engine.connect() as source:
                yield source
        finally:
            engine.dispose()


def copied(files: list[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """A copy of a database and its logs as they were at one moment, with what is whole of the logs taken in.

    Raises:
        errors.InputError: one of them cannot be read, or somebody writes to them.
    """
    copy = _alike(files, folder)
    _take_in_logs(files[0], copy)
    return copy


def _whole_copy(files: list[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """The same where nothing of the log is damaged."""
    copy = _alike(files, folder)
    log = copy.with_name(f"{copy.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if _take_in_logs(files[0], copy) <= 0 and size:
        raise errors.InputError(
            f"{files[0]}-wal is damaged, or of another file: move it away to restore what {files[0]} holds without it"
        )
    return copy


def _alike(files: list[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """Copies of the files as they were at one moment; returns the first.

    `-shm` is left: SQLite makes it from the log, and another's may be of another moment.
    """
    for _ in range(TRIES):
        try:
            copies = [pathlib.Path(shutil.copyfile(file, folder / file.name)) for file in files]
            is_whole = all(_digest(copy) == _digest(file) for copy, file in zip(copies, files, strict=True))
        except OSError as error:
            raise errors.InputError(f"{error.filename} cannot be read: {error.strerror}") from error
        if is_whole:
            return copies[0]
    raise errors.InputError(f"{files[0]} is being written to: `search backup` makes a file of a study in use")


def _digest(file: pathlib.Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").digest()


def _take_in_logs(original: pathlib.Path, copy: pathlib.Path) -> int:
    """Rolls a `-journal` back, and says how many pages of a `-wal` are whole."""
    connection = sqlite3.connect(copy)
    try:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    except sqlite3.Error as error:
        raise errors.InputError(f"{original} cannot be read with the log beside it: {error}") from error
    finally:
        connection.close()
    return int(pages)
