"""Databases that can be taken away: a Postgres of the suite's own, and a SQLite file on a small file system."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator

import psycopg2
import sqlalchemy
from conftest import Server

Outage = Callable[[], contextlib.AbstractContextManager[None]]
ALL_CONNECTIONS = 200
FILE_SYSTEM_BYTES = 128 << 20
BLOCK_BYTES = 1 << 16


class PostgresPlace:
    """A database of a server, and its outages by name; the last may last long."""

    def __init__(self, server: Server) -> None:
        self._server, self.url = server, server.new_database()
        self._name = sqlalchemy.make_url(self.url).database
        self.outages: dict[str, Outage] = {
            "crash": self.crashed,
            "cut": self.cut,
            "full": self.full,
            "read-only": self.read_only,
            "stop": self.stopped,
        }

    @contextlib.contextmanager
    def crashed(self) -> Iterator[None]:
        """The server crashes and comes back at once."""
        self._server.control("restart", "-m", "immediate")
        yield

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """The server is down for a while."""
        self._server.control("stop", "-m", "fast")
        try:
            yield
        finally:
            self._server.control("start")

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """All connections are cut, again and again."""
        done = threading.Event()

        def cut_all() -> None:
            connection = self._admin()
            while not done.wait(0.5):
                connection.cursor().execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            connection.close()

        thread = threading.Thread(target=cut_all)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Somebody else holds every connection that the server gives."""
        held = []
        with contextlib.suppress(psycopg2.OperationalError):
            while len(held) < ALL_CONNECTIONS:
                held.append(self._admin())
        if held:  # those that hold none yet find none; the others lose theirs
            held[0].cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'search' AND pid <> pg_backend_pid()"
            )
        with contextlib.suppress(psycopg2.OperationalError):
            while len(held) < ALL_CONNECTIONS:
                held.append(self._admin())
        try:
            yield
        finally:
            for connection in held:
                connection.close()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """The database takes no writes for a while."""
        admin = self._admin()
        admin.cursor().execute(f"ALTER DATABASE {self._name} SET default_transaction_read_only = on")
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
        admin.cursor().execute(terminate)  # it holds for new connections
        try:
            yield
        finally:
            admin.cursor().execute(f"ALTER DATABASE {self._name} RESET default_transaction_read_only")
            admin.cursor().execute(terminate)
            admin.close()

    def _admin(self) -> "psycopg2.extensions.connection":
        connection = psycopg2.connect(self._server.url)
        connection.autocommit = True
        return connection


class SqlitePlace:
    """A file, and the outages by name that this machine allows; the last may last long.

    Args:
        folder: the file's, with nothing else in it.
        is_small: whether its file system is the suite's own, which may be filled.
    """

    def __init__(self, folder: pathlib.Path, is_small: bool) -> None:
        self._folder = folder / "here"
        self._folder.mkdir()
        self._file = self._folder / "search.db"
        self.url = f"sqlite:///{self._file}"
        self.outages: dict[str, Outage] = {"away": self.away, "locked": self.locked}
        if is_small:
            self.outages = {"full": self.full, **self.outages}
        if _can_protect(folder):
            self.outages = {"read-only": self.read_only, **self.outages}

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """The folder has another name for a while."""
        moved = self._folder.with_name("away")
        self._folder.rename(moved)
        try:
            yield
        finally:
            moved.rename(self._folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Another process writes, and does not come to its end."""
        with contextlib.closing(sqlite3.connect(self._file, timeout=60, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Nobody may change the files, whoever has them open."""
        # not the index of the log: it is mapped, and a write to it would be a signal
        files = [path for path in self._folder.iterdir() if path.name.endswith(("db", "-wal"))]
        try:
            for path in files:
                protect(path, True)
            yield
        finally:
            for path in files:
                protect(path, False)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """The file system has no byte left."""
        filler = self._folder.parent / "filler"
        with filler.open("wb", buffering=0) as stream:
            for size in (BLOCK_BYTES, 1):
                with contextlib.suppress(OSError):
                    while True:
                        stream.write(bytes(size))
        try:
            yield
        finally:
            filler.unlink()


def protect(path: pathlib.Path, on: bool) -> None:
    """Lets nobody write to a file, not even those that have it open; root alone may, on some file systems."""
    subprocess.run(["chattr", f"{'+' if on else '-'}i", path], check=True, capture_output=True)


def _can_protect(folder: pathlib.Path) -> bool:
    """Whether `protect` holds here: some file systems take the mark and go on writing."""
    probe = folder / "probe"
    with probe.open("wb", buffering=0) as stream:
        try:
            protect(probe, True)
        except (OSError, subprocess.SubprocessError):
            return False
        try:
            stream.write(b"0")
        except OSError:
            return True
        finally:
            protect(probe, False)
    return False


@contextlib.contextmanager
def sqlite_place() -> Iterator[SqlitePlace]:
    """A file on a small file system of its own where this machine allows one: an image, or else memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="chaos-db-"))
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as stream:
        stream.truncate(FILE_SYSTEM_BYTES)
    memory = ["mount", "-t", "tmpfs", "-o", f"size={FILE_SYSTEM_BYTES}", "tmpfs", mounted]
    is_small = os.geteuid() == 0 and (
        (_succeeds("mkfs.ext4", "-q", "-m", "0", image) and _succeeds("mount", "-o", "loop", image, mounted))
        or _succeeds(*memory)
    )
    try:
        yield SqlitePlace(mounted, is_small)
    finally:
        if is_small:
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _succeeds(*command: str | pathlib.Path) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False
