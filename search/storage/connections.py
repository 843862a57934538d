"""Connections to either kind of database, as exact as claims need them, and the schema on the first of them."""

import contextlib
import pathlib
import random
import sqlite3
import time
import weakref
from collections.abc import Iterator
from typing import Any

import filelock
import optuna
import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.storage import addresses, outages, places, schema, storages, triggers, versions

BUSY_SECONDS = 1.0  # SQLite waits in C, deaf to signals; longer waits are ours, between tries
SCHEMA_LOCK = 0x6F707475  # any number; all processes that create the schema share it
# A process that is stopped or cut off inside a transaction keeps the study's row locked. Ours last milliseconds:
# the server ends one that sleeps, and who waited for it asks again.
SLEEP_SECONDS = 15
LOCK_SECONDS = 10
LEAVE_SECONDS = (0.03, 0.1)  # between tries; who looks has a file open for milliseconds

KEPT, MOST = 2, 5  # connections that stay open between calls, and that there are at once
POSTGRES_KWARGS: dict[str, Any] = {
    # whatever the database's or the role's default is: a snapshot that is older than the study's lock counts wrongly
    "isolation_level": "READ COMMITTED",
    "connect_args": {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,  # ms; without it a vanished server blocks a write for many minutes
        "application_name": "search",
    },
}


def postgres_kwargs(kept: int = KEPT) -> dict[str, Any]:
    """What a Postgres is opened with, and how many connections stay open."""
    return {**POSTGRES_KWARGS, "pool_size": kept, "max_overflow": MOST - kept}


class NothingOfOurs(Exception):
    """A database has no tables of ours, and none are to be made."""


def connect(url: str, makes: bool = True, kept: int = KEPT) -> optuna.storages.RDBStorage:
    """Optuna's storage at an address, with the tables of both.

    Args:
        makes: the tables where they are missing.
        kept: connections to Postgres that stay open between calls; what is needed beside them comes and goes.

    Raises:
        NothingOfOurs: they are missing.
        errors.InputError: the address, the password or the schema is wrong.
    """
    file = addresses.sqlite_file(url)
    kwargs = postgres_kwargs(kept) if file is None else {"connect_args": {"timeout": BUSY_SECONDS}}
    if file is not None:
        places.check(file)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with rules(url):
        probe, storage = sqlalchemy.create_engine(url, **kwargs), storages.Storage(url, kwargs)
    try:
        with rules(url):
            if not versions.is_current(probe):
                if not makes and not versions.has_ours(probe):
                    raise NothingOfOurs
                _prepare(storage, probe)
    finally:
        probe.dispose()
    storage.engine.dispose()  # what was opened before has none of what follows
    if file is not None:
        _make_exact(storage.engine)
        places.stay_with(storage.engine, file.absolute())
    else:
        limit_locks(storage.engine)
    sqlalchemy.event.listen(storage.engine, "handle_error", renew)
    weakref.finalize(storage, _leave, storage.engine, None if file is None else file.absolute())
    return storage


def _leave(engine: sqlalchemy.Engine, file: pathlib.Path | None) -> None:
    """Closes all connections; the last to a SQLite file puts its log back into it, unless somebody looks just then."""
    engine.dispose()
    if file is None:
        return
    for seconds in LEAVE_SECONDS:
        if not file.with_name(f"{file.name}-wal").exists():
            return
        time.sleep(seconds)
        with contextlib.suppress(sqlite3.Error):
            uri = f"file:{addresses.uri_path(file)}?mode=rw"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0)) as last:
                last.execute("PRAGMA schema_version")


@contextlib.contextmanager
def rules(url: str) -> Iterator[None]:
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
        raise kind(f"{place}: {outages.first_line(error)}{_hint(error)}") from error


def _hint(error: BaseException) -> str:
    """What may be the mistake in an address, where the server says only that something is wrong."""
    if "password authentication failed" in str(error):
        return "; in an address a password is %-encoded: % as %25, @ as %40, : as %3A"
    return ""


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
                for statement in schema.INDEXES:
                    connection.exec_driver_sql(statement)
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

    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begin)


def begin(connection: sqlalchemy.Connection) -> None:
    """Begins a transaction of SQLite's."""
    immediate = connection.get_execution_options().get("begin_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def limit_locks(engine: sqlalchemy.Engine) -> None:
    """Has Postgres end who sleeps in a transaction, and who waits for a lock too long."""

    def connected(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {SLEEP_SECONDS * 1000}")
            cursor.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000}")
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", connected)


def renew(context: sqlalchemy.engine.ExceptionContext) -> None:
    """Has the pool drop connections that an outage leaves useless."""
    if not outages.needs_new_connection(context.original_exception):
        return
    context.is_disconnect = True
    # SQLite closes no connection that has a statement open, and shares what it takes for read-only with the next one
    cursor = getattr(context.execution_context, "cursor", None)
    if cursor is not None:
        cursor.close()
