"""Connections to either kind of database, as exact as claims need them, and the schema on the first of them."""

import contextlib
import logging
import os
import pathlib
import random
import sqlite3
import time
import weakref
from collections.abc import Iterator
from typing import Any

import filelock
import optuna
import psutil
import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.storage import addresses, outages, schema, storages, triggers, versions

log = logging.getLogger("search")

BUSY_SECONDS = 1.0  # SQLite waits in C, deaf to signals; longer waits are ours, between tries
# SQLite's log needs memory that all its processes share: on these, those of one machine do
NETWORK_MOUNTS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gluster", "beegfs", "gpfs", "sshfs", "s3fs")
SCHEMA_LOCK = 0x6F707475  # any number; all processes that create the schema share it
# A process that is stopped or cut off inside a transaction keeps the study's row locked. Ours last milliseconds:
# the server ends one that sleeps, and who waited for it asks again.
SLEEP_SECONDS = 15
LOCK_SECONDS = 10

POSTGRES_KWARGS: dict[str, Any] = {
    # whatever the database's or the role's default is: a snapshot that is older than the study's lock counts wrongly
    "isolation_level": "READ COMMITTED",
    "pool_size": 2,
    "max_overflow": 3,
    "connect_args": {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms; without it a vanished server blocks a write for many minutes
        "application_name": "search",
    },
}


def connect(url: str) -> optuna.storages.RDBStorage:
    """Optuna's storage at an address, with the tables of both.

    Raises:
        errors.InputError: the address, the password or the schema is wrong.
    """
    file = addresses.sqlite_file(url)
    kwargs = POSTGRES_KWARGS if file is None else {"connect_args": {"timeout": BUSY_SECONDS}}
    if file is not None:
        _check_place(file)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _rules(url):
        probe, storage = sqlalchemy.create_engine(url, **kwargs), storages.Storage(url, kwargs)
    try:
        with _rules(url):
            if not versions.is_current(probe):
                _prepare(storage, probe)
    finally:
        probe.dispose()
    storage.engine.dispose()  # what was opened before has none of what follows
    if file is not None:
        _make_exact(storage.engine)
        _stay_with(storage.engine, file.absolute())
    else:
        _limit_locks(storage.engine)
    sqlalchemy.event.listen(storage.engine, "handle_error", _renew)
    # SQLite's log goes back into its file when the last connection is closed
    weakref.finalize(storage, storage.engine.dispose)
    return storage


@contextlib.contextmanager
def _rules(url: str) -> Iterator[None]:
    """What a person has to mend is one line; an outage stays what it is.

    Raises:
        errors.InputError: the address, the password or the schema is wrong.
    """
    place = f"--storage {addresses.hide_password(url)}"
    try:
        yield
    except RuntimeError as error:  # Optuna's word for a schema of another version
        raise errors.InputError(f"{place}: {error}") from error
    except exc.ArgumentError as error:
        raise errors.InputError(f"{place}: {outages.first_line(error)}") from error
    except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        if outages.is_outage(error) and not outages.is_misplaced(error):
            raise
        kind = errors.Misplaced if outages.is_misplaced(error) else errors.InputError
        raise kind(f"{place}: {outages.first_line(error)}") from error


def _check_place(file: pathlib.Path) -> None:
    """Makes the folder of a SQLite file where it is missing.

    Raises:
        errors.InputError: it cannot be made, or cannot be written, or the file cannot.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(f"--storage: the folder of {file} cannot be made: {error.strerror}") from error
    if file.is_dir():
        raise errors.InputError(f"--storage must name a file, got the folder {file}")
    for log_file in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-journal")):
        if not file.exists() and log_file.exists():  # SQLite would empty it, with all that it holds of the file
            raise errors.Misplaced(
                f"--storage: {file} is not there, but its log {log_file.name} is: put the file back where it was"
            )
    for place in (file.parent, file):  # the log lies beside the file
        if place.exists() and not os.access(place, os.W_OK):
            raise errors.Misplaced(f"--storage must be a file that can be written, and {place} is read-only")
    if (kind := _mount(file)).removeprefix("fuse.").startswith(NETWORK_MOUNTS):
        log.warning(
            "event=network-mount file=%s type=%s note='SQLite is for the processes of one machine; for several, take "
            "Postgres'",
            file,
            kind,
        )


def _mount(file: pathlib.Path) -> str:
    """The type of the file system that a path is on."""
    place, mounts = file.resolve(), psutil.disk_partitions(all=True)
    on = [mount for mount in mounts if place.is_relative_to(mount.mountpoint)]
    # of several at one place the last lies on top
    return max(enumerate(on), key=lambda each: (len(each[1].mountpoint), each[0]))[1].fstype if on else ""


def _prepare(storage: storages.Storage, probe: sqlalchemy.Engine) -> None:
    """Makes the tables that are missing, or says what to do about those of another version.

    Raises:
        errors.InputError: ours are of another version.
        RuntimeError: Optuna's are.
    """
    # create_all and alembic's stamp are not atomic: two first workers would collide
    with _schema_lock(probe):
        with probe.connect() as connection:
            versions.check(versions.find(connection), storage.url)
        storage.prepare()
        if probe.dialect.name == "sqlite":
            _make_exact(probe)
            probe.dispose()
        # all at once: tables without their version would be taken for the first one's
        with probe.connect().execution_options(begin_immediate=True) as connection, connection.begin():
            if versions.find(connection) is None:
                schema.ours.create_all(connection)
                triggers.create(connection)
                connection.execute(schema.version.insert().values(version_num=schema.HEAD))


@contextlib.contextmanager
def _schema_lock(engine: sqlalchemy.Engine) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        with filelock.FileLock(f"{addresses.sqlite_file(str(engine.url))}.lock"):
            yield
        return
    lock, unlock = (
        getattr(sqlalchemy.func, f"pg_{name}")(SCHEMA_LOCK) for name in ("try_advisory_lock", "advisory_unlock")
    )
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        # whoever waits gives its connection back: behind a pooler the holder's second one might not come otherwise
        with engine.connect() as connection:
            if connection.execute(sqlalchemy.select(lock)).scalar():
                try:
                    yield
                finally:
                    connection.execute(sqlalchemy.select(unlock))
                return
        time.sleep(random.uniform(0.02, 0.1))
    raise exc.TimeoutError("other processes are making or checking the schema")


def _make_exact(engine: sqlalchemy.Engine) -> None:
    """WAL, and BEGIN IMMEDIATE for what writes: SQLite has no FOR UPDATE, and Python's driver begins late."""

    def connected(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    def begun(connection: sqlalchemy.Connection) -> None:
        immediate = connection.get_execution_options().get("begin_immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)


def _stay_with(engine: sqlalchemy.Engine, file: pathlib.Path) -> None:
    """A file that is away is not made anew, and nothing is written to one that was moved or replaced."""

    def connecting(_: Any, __: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        query = arguments[0].partition("?")[2] if options.get("uri") else ""
        arguments[0] = f"file:{addresses.uri_path(file)}?{query}{'&' if query else ''}mode=rw"
        options["uri"] = True

    def connected(_: Any, record: sqlalchemy.pool.ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(file)

    def checked_out(_: Any, record: sqlalchemy.pool.ConnectionPoolEntry, __: Any) -> None:
        if _identity(file) != record.info["file"]:
            raise exc.DisconnectionError(f"{file} was moved or replaced")

    sqlalchemy.event.listen(engine, "do_connect", connecting)
    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "checkout", checked_out)


def _identity(file: pathlib.Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _limit_locks(engine: sqlalchemy.Engine) -> None:
    def connected(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {SLEEP_SECONDS * 1000}")
            cursor.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000}")
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", connected)


def _renew(context: sqlalchemy.engine.ExceptionContext) -> None:
    """Has the pool drop connections that an outage leaves useless."""
    if not outages.needs_new_connection(context.original_exception):
        return
    context.is_disconnect = True
    # SQLite closes no connection that has a statement open, and shares what it takes for read-only with the next one
    cursor = getattr(context.execution_context, "cursor", None)
    if cursor is not None:
        cursor.close()
