"""The address of a database: SQLite file or Postgres, with or without its password."""

import os
import pathlib
import urllib.parse

import sqlalchemy
from sqlalchemy import exc

from search import errors, files

DEFAULT_URL = "sqlite:///runs/search.db"
DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg2"}  # the ones that are installed, and whose errors are known
SQLITE_OPTIONS = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
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
    if kind == "sqlite" and parts.host:
        raise errors.InputError(f"--storage must be sqlite:///FILE, with three slashes, got {hide_password(url)!r}")
    # SQLAlchemy drops what it cannot read as KEY=VALUE, and opens the file that is named before it
    is_cut = "?" in url and "uri" not in parts.query and not SQLITE_OPTIONS.issuperset(parts.query or "?")
    if kind == "sqlite" and is_cut:
        raise errors.InputError(
            f"--storage: a path with '?' is written sqlite:///file:PATH?uri=true, with %3F for it, got {url!r}"
        )
    if kind == "postgres":
        parts = parts.set(drivername=parts.drivername.replace("postgres", "postgresql", 1))
    name, _, driver = parts.drivername.partition("+")
    if driver not in ("", DRIVERS[name]):
        raise errors.InputError(f"--storage must use the driver {DRIVERS[name]}, as {name}:// does, got {driver!r}")
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
    if parts is None or parts.get_backend_name() != "sqlite" or not parts.database:
        return None
    if "uri" in parts.query and parts.database.startswith("file:"):
        return pathlib.Path(urllib.parse.unquote(parts.database.removeprefix("file:")))
    return pathlib.Path(parts.database)


def of_file(file: pathlib.Path) -> str:
    """The address of a SQLite file, whatever characters its path has."""
    return f"sqlite:///file:{uri_path(file)}?uri=true" if "?" in str(file) else f"sqlite:///{file}"


def uri_path(file: pathlib.Path) -> str:
    """The path as SQLite reads it in an address that begins with `file:`."""
    return urllib.parse.quote(os.fsencode(file))


def hide_password(url: str) -> str:
    """The address as it may be shown."""
    parts = _parts(url)
    return parts.render_as_string(hide_password=True) if parts else url.rpartition("@")[2]


def _parts(url: str) -> sqlalchemy.URL | None:
    try:
        return sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number is a bare ValueError
        return None
