"""The address of a database: SQLite file or Postgres, with or without its password."""

import os
import pathlib

import sqlalchemy
from sqlalchemy import exc

from search import errors, files

DEFAULT_URL = "sqlite:///runs/search.db"
VARIABLE, PASSWORD_VARIABLE = "SEARCH_STORAGE", "SEARCH_STORAGE_PASSWORD_FILE"  # of the environment


def from_environment(url: str | None = None) -> str:
    """An address that is given, or else the environment's, or else the default; with the environment's password file.

    Raises:
        errors.InputError: neither SQLite file nor Postgres, or a password file that holds none.
    """
    file = os.environ.get(PASSWORD_VARIABLE)
    return complete(url or os.environ.get(VARIABLE) or DEFAULT_URL, pathlib.Path(file) if file else None)


def complete(url: str, password_file: pathlib.Path | None) -> str:
    """An address in SQLAlchemy's form, with the password of a file.

    Raises:
        errors.InputError: neither SQLite file nor Postgres, or the file cannot be read.
    """
    if password_file is None:
        return check_url(url)
    return with_password(url, files.read_secret(password_file, "--storage-password-file"))


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


def _parts(url: str) -> sqlalchemy.URL | None:
    try:
        return sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number is a bare ValueError
        return None
