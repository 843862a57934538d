"""The database that a function was given, or is to open."""

from search.storage import addresses, databases

Storage = str | databases.Database | None


def url(storage: Storage) -> str:
    """Its address; the environment's where none is given.

    Raises:
        errors.InputError: neither SQLite file nor Postgres.
    """
    return storage.url if isinstance(storage, databases.Database) else addresses.from_environment(storage)


def open_any(storage: Storage) -> databases.Database:
    """One that is there, or a new one."""
    if isinstance(storage, databases.Database):
        return storage
    return databases.Database(url(storage), databases.OPEN_SECONDS)


def open_to_read(storage: Storage) -> databases.Database:
    """One that is there, to look at: nothing is made, changed or left in it or beside it.

    Raises:
        errors.StudyNotFound: no such file.
    """
    return storage if isinstance(storage, databases.Database) else databases.open_to_read(url(storage))


def open_existing(storage: Storage, foreign: bool = False) -> databases.Database:
    """One that is there.

    Args:
        foreign: what is written may be to another tool's study.

    Raises:
        errors.StudyNotFound: no such file.
    """
    if isinstance(storage, databases.Database):
        return storage
    return databases.open_existing(url(storage), foreign=foreign)
