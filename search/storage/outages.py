"""Which errors of a database an outage makes, so that the same call may succeed later."""

import sqlite3

import optuna
import psycopg2
from sqlalchemy import exc

from search.storage import addresses

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
