"""Which errors of a database an outage makes, so that the same call may succeed later, and which no wait mends."""

import re
import sqlite3
from collections.abc import Iterator

import optuna
import psycopg2
from sqlalchemy import exc

from search.storage import addresses

# SQLite's primary codes. Another writes: everyday life. The file is away or read-only, or its log has no room.
SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
SQLITE_AWAY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
SQLITE_OUTAGES = (*SQLITE_BUSY, *SQLITE_AWAY, sqlite3.SQLITE_FULL)
# What no wait mends; libpq gives no code for a connection that came to nothing, so the text has to do.
HOPELESS_CONNECTIONS = (
    "password authentication failed",
    "Peer authentication failed",
    "Ident authentication failed",
    "does not exist",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "permission denied",
    "does not support",  # TLS that is required; a protocol or a feature of another age
    "unsupported",
    "certificate",  # refused, missing, for another host
    "private key file",
    "alert protocol version",
    "encryption required",
    "channel binding required",
    "invalid ",  # sslmode, port, option, value
    "unrecognized configuration parameter",
    "requires a value",
    "definition of service",
)
# lock not to be had in time; deadlock; statement timeout or cancelled; serialization
POSTGRES_BUSY = ("55P03", "40P01", "57014", "40001")
STATEMENT_TIMEOUT = "57014"
READ_ONLY = "25006"
# read-only transaction; session ended for sleeping in a transaction
POSTGRES_OUTAGES = (READ_ONLY, "25P03")
# classes of codes: not allowed in; no such database; more than Postgres can do at all
HOPELESS_CLASSES = ("28", "3D", "54")


def is_outage(error: BaseException) -> bool:
    """Whether the database is away or busy, so that the same call may succeed later."""
    if _is_cut_in_session(error):
        return True
    found = _of_driver(error)
    if found is None:
        return isinstance(error, exc.TimeoutError)  # all pooled connections are in use
    original = found.orig
    if isinstance(original, sqlite3.Error):
        return _sqlite_code(original) in SQLITE_OUTAGES
    code = _postgres_code(original)
    if code is not None and code[:2] in HOPELESS_CLASSES:
        return False
    if found.connection_invalidated or isinstance(original, psycopg2.InterfaceError):
        return True
    if isinstance(original, psycopg2.OperationalError) and code is None:
        said = re.sub('"[^"]*"', "", str(original))  # what stands in quotes is a name
        return not any(text in said for text in HOPELESS_CONNECTIONS)
    return isinstance(original, psycopg2.OperationalError) or code in POSTGRES_OUTAGES


def is_busy(error: BaseException) -> bool:
    """Whether others are at work in the database, which answers: an outage only where it lasts."""
    if _is_cut_in_session(error):
        return False
    found = _of_driver(error)
    if found is None:
        return isinstance(error, exc.TimeoutError)
    if isinstance(found.orig, sqlite3.Error):
        return _sqlite_code(found.orig) in SQLITE_BUSY
    return not found.connection_invalidated and _postgres_code(found.orig) in POSTGRES_BUSY


def is_misplaced(error: BaseException) -> bool:
    """Whether a SQLite file cannot be opened or written: a mistake in its address, unless it was open before."""
    found = _of_driver(error)
    return found is not None and _sqlite_code(found.orig) in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def is_statement_timeout(error: BaseException) -> bool:
    """Whether the server ended a statement since it took longer than the role or the database may."""
    found = _of_driver(error)
    return found is not None and _postgres_code(found.orig) == STATEMENT_TIMEOUT


def needs_new_connection(original: BaseException | None) -> bool:
    """Whether a driver's error lasts as long as the connection, though the database may be well by now.

    A file that was opened while its place was read-only stays so; a Postgres that was the primary, or was made
    read-only by its settings, stays so for the sessions that it had then.
    """
    return _sqlite_code(original) in SQLITE_AWAY or _postgres_code(original) == READ_ONLY


def first_line(error: BaseException | None) -> str:
    """What the database itself says, without what Optuna and SQLAlchemy put around it."""
    original = error
    while isinstance(original, (optuna.exceptions.StorageInternalError, exc.DBAPIError)):
        inner = original.orig if isinstance(original, exc.DBAPIError) else original.__cause__
        if inner is None:
            break
        original = inner
    text = str(original).strip()
    # it may repeat parts of the address
    return addresses.scrub(text.splitlines()[0]) if text else type(original).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what Optuna has wrapped in it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = None if isinstance(cause, exc.DBAPIError) else cause.__cause__


def _of_driver(error: BaseException) -> exc.DBAPIError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, exc.DBAPIError)), None)


def _is_cut_in_session(error: BaseException) -> bool:
    """Optuna tried once more in a session whose connection had just been cut."""
    return any(isinstance(cause, exc.PendingRollbackError) for cause in _causes(error))


def _sqlite_code(original: BaseException | None) -> int | None:
    """The primary code; the driver's own errors have none."""
    code = getattr(original, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _postgres_code(original: BaseException | None) -> str | None:
    return getattr(original, "pgcode", None)
