"""Opens the database of a study, SQLite or Postgres, and rides out outages."""

import contextlib
import logging
import pathlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import filelock
import optuna
import psycopg2
import sqlalchemy
import tenacity
from sqlalchemy import exc

from search import errors
from search.storage import tables

log = logging.getLogger("search")
T = TypeVar("T")

DEFAULT_URL = "sqlite:///runs/search.db"
PATIENCE_SECONDS = 600.0
BACKOFF_SECONDS = 0.05
BACKOFF_LIMIT_SECONDS = 2.0
BUSY_SECONDS = 1.0  # SQLite waits in C, deaf to signals; longer waits are ours, between tries
SCHEMA_LOCK = 0x6F707475  # any number; all processes that create the schema share it

SQLITE_OUTAGES = ("database is locked", "database table is locked", "database is busy", "disk is full")
# What no wait mends; libpq gives no code for a refused connection, so the text has to do.
HOPELESS_CONNECTIONS = (
    "password authentication failed",
    "does not exist",
    "no password supplied",
    "no pg_hba.conf entry",
)
# read-only transaction; session ended for sleeping in a transaction
POSTGRES_OUTAGES = ("25006", "25P03")
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


class Store:
    """A database of studies.

    Every call goes through `write` or `read`: one transaction, run again with jittered back-off while the database is
    away or busy. A write may therefore run twice though its first run was committed: it must notice that.

    Args:
        url: `sqlite:///FILE` or `postgresql://...`.
        patience_seconds: how long one call waits for the database in all.
        stop: ends a wait early, with `errors.Interrupted`.

    Raises:
        errors.InputError: the address, the password or the schema is wrong.
        errors.StorageError: the database stays away.
    """

    def __init__(
        self, url: str = DEFAULT_URL, patience_seconds: float = PATIENCE_SECONDS, stop: threading.Event | None = None
    ) -> None:
        self.url = check_url(url)
        self.patience_seconds = patience_seconds
        self.stop = stop or threading.Event()
        self.interruptions = 0
        self._away_since: float | None = None
        self._lock = threading.Lock()
        self.optuna = self._retry(self._open)
        self.engine: sqlalchemy.Engine = self.optuna.engine

    def write(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """Runs `work` in one transaction that holds SQLite's write lock from its start."""
        return self._retry(lambda: self._transaction(work, immediate=True))

    def read(self, work: Callable[[sqlalchemy.Connection], T]) -> T:
        """Runs `work` in one transaction that only reads."""
        return self._retry(lambda: self._transaction(work, immediate=False))

    def history(self, study_id: int) -> tables.History:
        """A study's trials for a sampler; refresh it through `call`."""
        return tables.History(self.optuna, study_id)

    def call(self, work: Callable[[], T]) -> T:
        """Runs a call of Optuna's that may be run twice, with the same patience."""
        return self._retry(work)

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()

    def _open(self) -> optuna.storages.RDBStorage:
        kwargs = POSTGRES_KWARGS
        if (file := sqlite_file(self.url)) is not None:
            kwargs = {"connect_args": {"timeout": BUSY_SECONDS}}
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise errors.InputError(f"--storage: the folder of {file} cannot be made: {error}") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        probe = sqlalchemy.create_engine(self.url, **kwargs)
        try:
            # create_all and alembic's stamp are not atomic: two first workers would collide
            with _schema_lock(self.url, probe):
                storage = optuna.storages.RDBStorage(self.url, engine_kwargs=kwargs)
                if self.url.startswith("sqlite"):
                    _make_exact(storage.engine)
                else:
                    _limit_locks(storage.engine)
                tables.ours.create_all(storage.engine)
                _check_columns(self.url, storage.engine)
        except RuntimeError as error:  # Optuna's word for a schema of another version
            raise errors.InputError(f"--storage {hide_password(self.url)}: {error}") from error
        except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            if is_outage(error):
                raise
            raise errors.InputError(f"--storage {hide_password(self.url)}: {_first_line(error)}") from error
        finally:
            probe.dispose()
        return storage

    def _transaction(self, work: Callable[[sqlalchemy.Connection], T], immediate: bool) -> T:
        with self.engine.connect() as connection:
            connection = connection.execution_options(begin_immediate=immediate)
            with connection.begin() as transaction:
                result = work(connection)
                if not transaction.is_active:  # rolled back by `work`
                    return result
            return result

    def _retry(self, work: Callable[[], T]) -> T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(is_outage),
            wait=tenacity.wait_random_exponential(multiplier=BACKOFF_SECONDS, max=BACKOFF_LIMIT_SECONDS),
            stop=tenacity.stop_any(
                tenacity.stop_after_delay(self.patience_seconds), tenacity.stop_when_event_set(self.stop)
            ),
            sleep=tenacity.sleep_using_event(self.stop),
            before_sleep=self._note_outage,
        )
        try:
            result = retrying(work)
        except tenacity.RetryError as failure:
            error = failure.last_attempt.exception()
            if self.stop.is_set():
                raise errors.Interrupted("interrupted while waiting for the database") from error
            raise errors.StorageError(
                f"storage {hide_password(self.url)} stayed away for {self.patience_seconds:.0f} s: "
                f"{_first_line(error)}; check that it runs, then start again: nothing is lost"
            ) from error
        except exc.IntegrityError:
            raise  # a taken name or key: the caller's to explain
        except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            raise errors.StorageError(f"storage {hide_password(self.url)}: {_first_line(error)}") from error
        if self._away_since is not None:
            self._note_return()
        return result

    def _note_outage(self, state: tenacity.RetryCallState) -> None:
        with self._lock:
            self.interruptions += 1
            # a busy SQLite file is everyday life; only a wait that a user would notice is worth a line
            waited = state.seconds_since_start or 0.0
            if self._away_since is not None or waited < BACKOFF_LIMIT_SECONDS:
                return
            self._away_since = time.monotonic() - waited
        error = state.outcome.exception() if state.outcome else None
        log.warning("event=storage-away patience_seconds=%.0f reason=%r", self.patience_seconds, _first_line(error))

    def _note_return(self) -> None:
        with self._lock:
            if self._away_since is None:
                return
            away = time.monotonic() - self._away_since
            self._away_since = None
        log.warning("event=storage-back after_seconds=%.0f", away)


def check_url(url: str) -> str:
    """The address in SQLAlchemy's form.

    Raises:
        errors.InputError: neither SQLite file nor Postgres.
    """
    parts = _parts(url)
    kind = parts.get_backend_name() if parts else None
    if parts is None or kind not in ("sqlite", "postgresql", "postgres"):
        raise errors.InputError(
            f"--storage must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE, got {hide_password(url)!r}"
        )
    if kind == "sqlite" and (not parts.database or parts.database == ":memory:"):
        raise errors.InputError(f"--storage must name a file, since workers share it, got {url!r}")
    if kind == "postgres":
        parts = parts.set(drivername="postgresql")
    return parts.render_as_string(hide_password=False)


def with_password(url: str, password: str) -> str:
    """A Postgres address with this password; SQLite has none, and its address stays."""
    parts = _parts(check_url(url))
    if parts is None or parts.get_backend_name() == "sqlite":
        return url
    return parts.set(password=password).render_as_string(hide_password=False)


def sqlite_file(url: str) -> pathlib.Path | None:
    """The file of a SQLite address; None for any other."""
    parts = _parts(url)
    return pathlib.Path(parts.database) if parts and parts.get_backend_name() == "sqlite" and parts.database else None


def hide_password(url: str) -> str:
    """The address as it may be shown."""
    parts = _parts(url)
    return parts.render_as_string(hide_password=True) if parts else url.rpartition("@")[2]


def is_outage(error: BaseException) -> bool:
    """Whether the database is away or busy, so that the same call may succeed later."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, exc.DBAPIError):
        if isinstance(cause, exc.PendingRollbackError):
            return True  # Optuna tried once more in a session whose connection had just been cut
        cause = cause.__cause__  # Optuna wraps SQLAlchemy's error
    if cause is None:
        return isinstance(error, exc.TimeoutError)  # all pooled connections are in use
    original = cause.orig
    if isinstance(original, sqlite3.Error):
        return any(text in str(original) for text in SQLITE_OUTAGES)
    if cause.connection_invalidated or isinstance(original, psycopg2.InterfaceError):
        return True
    if isinstance(original, psycopg2.Error) and original.pgcode in POSTGRES_OUTAGES:
        return True
    if isinstance(original, psycopg2.OperationalError):
        return not any(text in str(original) for text in HOPELESS_CONNECTIONS)
    return False


def _parts(url: str) -> sqlalchemy.URL | None:
    try:
        return sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number is a bare ValueError
        return None


def _check_columns(url: str, engine: sqlalchemy.Engine) -> None:
    """`create_all` leaves a table alone that an older version of this project has made."""
    inspector = sqlalchemy.inspect(engine)
    for table in tables.ours.tables.values():
        there = {column["name"] for column in inspector.get_columns(table.name)}
        if missing := [column.name for column in table.columns if column.name not in there]:
            raise errors.InputError(
                f"--storage {hide_password(url)}: table {table.name} has no column {missing[0]}: it was made by an "
                "older version; take another file or database for new studies"
            )


@contextlib.contextmanager
def _schema_lock(url: str, engine: sqlalchemy.Engine) -> Iterator[None]:
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


def _first_line(error: BaseException | None) -> str:
    original = error
    while isinstance(original, (optuna.exceptions.StorageInternalError, exc.DBAPIError)):
        inner = original.orig if isinstance(original, exc.DBAPIError) else original.__cause__
        if inner is None:
            break
        original = inner
    text = str(original).strip()
    return text.splitlines()[0] if text else type(original).__name__
