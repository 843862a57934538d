"""Opens the database of a study, SQLite or Postgres, and rides out outages."""

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import optuna
import sqlalchemy
import tenacity
from sqlalchemy import exc

from search import errors
from search.storage import addresses, connections, histories, outages, places, readers, waits

log = logging.getLogger("search")
T = TypeVar("T")
PATIENCE_SECONDS = 600.0
OPEN_SECONDS = 10.0  # a person waits for the first connection; workers wait longer


class Database:
    """A database of studies.

    Every call goes through `write` or `read`: one transaction, run again with jittered back-off while the database is
    away or busy. A write may therefore run twice though its first run was committed: it must notice that.

    Args:
        url: `sqlite:///FILE` or `postgresql://...`.
        patience_seconds: how long one call waits for the database in all.
        stop: ends a wait early, with `errors.Interrupted`: a call goes on for some seconds, since it may be the one
            that hands a trial over. Where one has done so in vain, later calls try once.
        makes: the file and the tables where they are missing.
        only_reads: it is looked at, and nothing is made, changed or left in it or beside it.
        kept: see `connections.connect`.

    Attributes:
        interruptions: how often contact was lost: a connection was, or a call waited longer than everyday life takes.
            A file or row that others held for a moment is none.

    Raises:
        errors.InputError: the address, the password or the schema is wrong.
        errors.StorageError: the database stays away.
        connections.NothingOfOurs: tables are missing, and none are to be made.
    """

    def __init__(
        self,
        url: str = addresses.DEFAULT_URL,
        patience_seconds: float = PATIENCE_SECONDS,
        stop: threading.Event | None = None,
        *,
        makes: bool = True,
        only_reads: bool = False,
        kept: int = connections.KEPT,
    ) -> None:
        self.url, self.only_reads, self.patience_seconds = addresses.check_url(url), only_reads, patience_seconds
        self.stop = stop or threading.Event()
        self.interruptions = 0
        self._away_since: float | None = None
        self._lock = threading.Lock()
        self._parting_seconds = 0.0  # nothing is handed over before it is open
        self.optuna = self._retry(
            lambda: readers.connect(self.url) if only_reads else connections.connect(self.url, makes, kept)
        )
        self._parting_seconds = waits.PARTING_SECONDS
        # threads that all wait for SQLite's lock look for it now and then; one of ours is woken when it is free
        is_file = addresses.sqlite_file(self.url) is not None
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.Lock() if is_file else contextlib.nullcontext()
        )
        self.engine: sqlalchemy.Engine = self.optuna.engine

    def write(self, transaction: Callable[[sqlalchemy.Connection], T]) -> T:
        """Runs a transaction that holds SQLite's write lock from its start.

        Raises:
            errors.InputError: the database is only looked at.
        """
        if self.only_reads:
            raise errors.InputError(
                f"storage {addresses.hide_password(self.url)} was opened to be looked at; nothing is written to it"
            )
        return self._retry(lambda: self._run(transaction, immediate=True))

    def read(self, transaction: Callable[[sqlalchemy.Connection], T], one_moment: bool = False) -> T:
        """Runs a transaction that only reads.

        Args:
            one_moment: of Postgres too it sees what was there when it began; on SQLite all do.
        """
        return self._retry(lambda: self._run(transaction, immediate=False, one_moment=one_moment))

    def history(self, study_id: int) -> histories.History:
        """A study's trials for a sampler."""
        return histories.History(self.optuna, self.read, study_id)

    def call(self, request: Callable[[], T]) -> T:
        """Runs a call of Optuna's that may be run twice, with the same patience."""
        return self._retry(request)

    def ping(self) -> None:
        """Asks whether it answers.

        Raises:
            errors.StorageError: it stayed away.
        """
        self.read(lambda connection: connection.execute(sqlalchemy.select(1)))

    def patient(self, seconds: float, stop: threading.Event | None = None) -> "Database":
        """The same database, its connections shared, for somebody who waits for it so long, or until `stop`."""
        other = copy.copy(self)
        other.patience_seconds, other.stop = seconds, stop or threading.Event()
        other._away_since, other._lock, other._parting_seconds = None, threading.Lock(), waits.PARTING_SECONDS
        return other

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()

    def _run(self, transaction: Callable[[sqlalchemy.Connection], T], immediate: bool, one_moment: bool = False) -> T:
        turn = self._turn if immediate else contextlib.nullcontext()
        with turn, self.engine.connect() as connection:
            connection = connection.execution_options(begin_immediate=immediate)
            if one_moment and connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin() as begun:
                result = transaction(connection)
                if not begun.is_active:  # rolled back by `transaction`
                    return result
            return result

    def _retry(self, transaction: Callable[[], T]) -> T:
        wait = waits.Wait(self.patience_seconds, self.stop, self._parting_seconds)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(wait.is_worth_it),
            wait=wait.seconds,
            stop=wait.is_over,
            sleep=wait.sleep,
            before_sleep=self._note_outage,
        )
        try:
            result = retrying(transaction)
        except tenacity.RetryError as failure:
            error = failure.last_attempt.exception()
            if self.stop.is_set():
                self._parting_seconds = 0.0
                raise errors.Interrupted("interrupted while waiting for the database") from error
            raise errors.StorageError(
                f"storage {addresses.hide_password(self.url)} stayed away for {self.patience_seconds:.0f} s: "
                f"{outages.first_line(error)}; check that it runs, then start again: nothing is lost"
            ) from error
        except exc.IntegrityError:
            raise  # a taken name or key: the caller's to explain
        except (exc.DBAPIError, optuna.exceptions.StorageInternalError) as error:
            raise errors.StorageError(f"storage {addresses.hide_password(self.url)}: {self._rule(error)}") from error
        if self._away_since is not None:
            self._note_return()
        return result

    def _rule(self, error: BaseException) -> str:
        """What the database says, and what to type where that is known."""
        said = outages.first_line(error)
        if not outages.is_statement_timeout(error):
            return said
        role = sqlalchemy.make_url(self.url).username or "ROLE"
        return f"{said}, {waits.TIMEOUT_TRIES} times: `ALTER ROLE {role} SET statement_timeout = '5min'` lets it end"

    def _note_outage(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        with self._lock:
            # a busy SQLite file is everyday life; only a wait that a user would notice is worth a line
            waited = state.seconds_since_start or 0.0
            is_long = waited >= waits.BACKOFF_LIMIT_SECONDS
            if is_long or error is None or not outages.is_busy(error):
                self.interruptions += 1
            if self._away_since is not None or not is_long:
                return
            self._away_since = time.monotonic() - waited
        log.warning(
            "event=storage-away patience_seconds=%.0f reason=%r", self.patience_seconds, outages.first_line(error)
        )

    def _note_return(self) -> None:
        with self._lock:
            if self._away_since is None:
                return
            away, self._away_since = time.monotonic() - self._away_since, None
        log.warning("event=storage-back after_seconds=%.0f", away)


def open_to_read(url: str, patience_seconds: float = OPEN_SECONDS) -> Database:
    """A database that is there, to look at: nothing is made, changed or left in it or beside it.

    Raises:
        errors.StudyNotFound: there is no such file.
        errors.InputError: it cannot be read, or is of another version.
    """
    _check_there(url)
    return Database(url, patience_seconds, only_reads=True)


def open_existing(
    url: str,
    patience_seconds: float = OPEN_SECONDS,
    stop: threading.Event | None = None,
    foreign: bool = False,
    kept: int = connections.KEPT,
) -> Database:
    """A database that is there already: a mistyped SQLite path, or one whose mount is away, becomes no empty file.

    One without tables of ours has no study to write to: it is opened to be looked at, and stays as it is.

    Args:
        foreign: what is written may be to another tool's study.

    Raises:
        errors.StudyNotFound: there is no such file.
    """
    _check_there(url)
    try:
        return Database(url, patience_seconds, stop, makes=foreign, kept=kept)
    except connections.NothingOfOurs:
        return Database(url, patience_seconds, stop, only_reads=True)


def _check_there(url: str) -> None:
    file = addresses.sqlite_file(url)
    if file is not None and not places.is_there(file):
        raise errors.StudyNotFound(f"no database at {file}; `search run STUDY` or `search create STUDY` makes one")


def open_known(url: str, patience_seconds: float, stop: threading.Event, kept: int = connections.KEPT) -> Database:
    """The same for a worker that is started again where it ends: a SQLite file that is away or read-only is waited for.

    Raises:
        errors.StudyNotFound, errors.Misplaced: it stayed so.
    """
    ends = time.monotonic() + patience_seconds
    while True:
        try:
            return open_existing(url, patience_seconds, stop, kept=kept)
        except (errors.StudyNotFound, errors.Misplaced) as error:
            if time.monotonic() >= ends or stop.is_set():
                raise
            log.warning("event=storage-away patience_seconds=%.0f reason=%r", patience_seconds, str(error))
            stop.wait(waits.BACKOFF_LIMIT_SECONDS)
