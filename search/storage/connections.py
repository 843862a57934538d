"""Connections to either kind of database, as exact as claims need them, and the schema on the first of them."""

import contextlib
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
from search.storage import addresses, outages, schema, storages, triggers, versions

BUSY_SECONDS = 1.0  # SQLite waits in C, deaf to signals; longer waits are ours, between tries
SCHEMA_LOCK = 0x6F707475  # any number; all processes that create the schema share it
# A process that is stopped or cut off inside a transaction keeps the study's row locked. Ours last milliseconds:
# the server ends one that sleeps, and who waited for it asks again.
SLEEP_SECONDS = 15
LOCK_SECONDS = 10

POSTGRES_KWARGS: dict[str, Any] = {
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
    kwargs = POSTGRES_KWARGS
    if (file := addresses.sqlite_file(url)) is not None:
        kwargs = {"connect_args": {"timeout": BUSY_SECONDS}}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.InputError(f"--storage: the folder of {file} cannot be made: {error}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    probe, storage = sqlalchemy.create_engine(url, **kwargs), storages.Storage(url, kwargs)
    try:
        if not versions.is_current(probe):
            _prepare(storage, probe)
    except RuntimeError as error:  # Optuna's word for a schema of another version
        raise errors.InputError(f"--storage {addresses.hide_password(url)}: {error}") from error
    except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
        if outages.is_outage(error):
            raise
        raise errors.InputError(f"--storage {addresses.hide_password(url)}: {outages.first_line(error)}") from error
    finally:
        probe.dispose()
    if file is not None:
        _make_exact(storage.engine)
    else:
        _limit_locks(storage.engine)
    # SQLite's log goes back into its file when the last connection is closed
    weakref.finalize(storage, storage.engine.dispose)
    return storage


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
        with filelock.FileLock(f"{engine.url.database}.lock"):
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

    engine.dispose()  # what was opened before has neither
    sqlalchemy.event.listen(engine, "connect", connected)
    sqlalchemy.event.listen(engine, "begin", begun)


def _limit_locks(engine: sqlalchemy.Engine) -> None:
    def connected(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {SLEEP_SECONDS * 1000}")
            cursor.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000}")
        connection.commit()

    engine.dispose()  # what was opened before has neither
    sqlalchemy.event.listen(engine, "connect", connected)
