"""The address of a database: SQLite file or Postgres, with its secrets or as it may be shown."""

import logging
import os
import pathlib
import re
from collections.abc import Iterable
from urllib import parse

import sqlalchemy
from sqlalchemy import exc

from search import errors, files, lines

DEFAULT_URL = "sqlite:///runs/search.db"
DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg2"}  # the ones that are installed, and whose errors are known
SQLITE_OPTIONS = {"timeout", "isolation_level", "detect_types", "check_same_thread", "cached_statements"}
VARIABLE, PASSWORD_VARIABLE = "SEARCH_STORAGE", "SEARCH_STORAGE_PASSWORD_FILE"  # of the environment
HIDDEN = "***"
QUOTES = ("'", '"')
# What may be shown of a query. All else is hidden, keys too: an unencoded password may go on behind a ? or a &
SHOWN = frozenset(
    (
        *("host", "hostaddr", "port", "dbname", "user", "passfile", "service", "sslmode", "sslrootcert"),
        *("connect_timeout", "application_name", "target_session_attrs"),
        *("mode", "cache", "uri", "timeout"),  # of SQLite
    )
)
# without what separates the parts of an address: a part that has it may hold the end of a password
PLAIN_HOST, PLAIN_NAME = re.compile(r"[\w.,:%\[\]-]*"), re.compile(r"[\w.@$+~ -]*")
PLAIN_PATH = re.compile(r"[\w./ -]*")
SEPARATORS = re.compile(r"[@:/?&=#,;\s]+")
LEAST_OF_PIECES = 10  # of an address that may be secret in any of its parts
LEAST_CHARACTERS = 3  # of a piece of a secret: a shorter one tells nothing, and would blank out sentences

_secrets: set[str] = set()  # pieces of those of all addresses that this process was given


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
    _check_quotes(url)
    parts = _parts(url)
    kind = parts.get_backend_name() if parts else None
    if parts is None or kind not in ("sqlite", "postgresql", "postgres"):
        raise errors.InputError(
            "--storage must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE, a password %-encoded "
            f"(@ as %40, / as %2F, : as %3A), got {hide_password(url)!r}"
        )
    if _is_ambiguous(url, parts):
        raise errors.InputError(
            "--storage must have @ as %40, / as %2F and ? as %3F within its user, password and options, "
            f"got {hide_password(url)!r}"
        )
    if kind == "sqlite" and (not parts.database or parts.database == ":memory:"):
        raise errors.InputError(f"--storage must name a file, since workers share it, got {hide_password(url)!r}")
    if kind == "sqlite" and parts.host:
        raise errors.InputError(f"--storage must be sqlite:///FILE, with three slashes, got {hide_password(url)!r}")
    # SQLAlchemy drops what it cannot read as KEY=VALUE, and opens the file that is named before it
    is_cut = "?" in url and "uri" not in parts.query and not SQLITE_OPTIONS.issuperset(parts.query or "?")
    if kind == "sqlite" and is_cut:
        raise errors.InputError(
            "--storage: a path with '?' is written sqlite:///file:PATH?uri=true, with %3F for it, "
            f"got {hide_password(url)!r}"
        )
    if kind == "postgres":
        parts = parts.set(drivername=parts.drivername.replace("postgres", "postgresql", 1))
    if kind == "sqlite":
        parts = parts.set(database=_at_home(parts.database or ""))
    name, _, driver = parts.drivername.partition("+")
    if driver not in ("", DRIVERS[name]):
        raise errors.InputError(f"--storage must use the driver {DRIVERS[name]}, as {name}:// does, got {driver!r}")
    _remember(parts)
    return parts.render_as_string(hide_password=False)


def _check_quotes(url: str) -> None:
    if url[:1] in QUOTES or (url[-1:] in QUOTES and not url.startswith("sqlite")):
        raise errors.InputError(
            "--storage must have no quotes around it: `docker --env-file` takes those of its file for a part of the "
            f"value, got {HIDDEN!r}"
        )


def with_password(url: str, password: str) -> str:
    """A Postgres address with this password; SQLite has none, and its address stays."""
    parts = _parts(check_url(url))
    if parts is None or parts.get_backend_name() == "sqlite":
        return url
    return check_url(parts.set(password=password).render_as_string(hide_password=False))


def sqlite_file(url: str) -> pathlib.Path | None:
    """The file of a SQLite address; None for any other."""
    parts = _parts(url)
    if parts is None or parts.get_backend_name() != "sqlite" or not parts.database:
        return None
    if "uri" in parts.query and parts.database.startswith("file:"):
        return pathlib.Path(from_uri(parts.database))
    return pathlib.Path(parts.database)


def from_uri(uri: str, is_windows: bool = os.name == "nt") -> str:
    """The path in an address that begins with `file:`; on Windows a drive has a slash before it there."""
    path = parse.unquote(uri.removeprefix("file:"))
    return re.sub(r"^/+(?=[A-Za-z]:)", "", path) if is_windows else path


def of_file(file: pathlib.Path) -> str:
    """The address of a SQLite file, whatever characters its path has."""
    return f"sqlite:///file:{uri_path(file)}?uri=true" if "?" in str(file) else f"sqlite:///{file.as_posix()}"


def uri_path(file: pathlib.PurePath) -> str:
    """The path as SQLite reads it in an address that begins with `file:`, with a drive or a share of Windows too."""
    path = file.as_posix()
    if path.startswith("//"):  # what follows would be a host
        return f"//{parse.quote(os.fsencode(path))}"
    if file.drive:
        return f"/{file.drive}{parse.quote(os.fsencode(path.removeprefix(file.drive)))}"
    return parse.quote(os.fsencode(path))


def hide_password(url: str) -> str:
    """The address as it may be shown: without its password, and without all that may be a piece of a secret."""
    parts = _parts(url)
    if parts is None or _is_ambiguous(url, parts) or not _is_plain(url, parts):
        scheme, mark, _ = url.partition("://")
        if mark and scheme.replace("+", "").isalnum():
            return f"{scheme}://{HIDDEN}"
        return url if PLAIN_PATH.fullmatch(url) else HIDDEN
    shown = parts.set(query=_shown(parts)).render_as_string(hide_password=True)
    if len(parts.query) == len(_shown(parts)):
        return shown
    return f"{shown}{'&' if '?' in shown else '?'}{HIDDEN}"


def scrub(text: str) -> str:
    """A text of a driver's, or a traceback, without the secrets of any address that this process was given."""
    if not _secrets:
        return text
    found = "|".join(re.escape(piece) for piece in sorted(_secrets, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{found})(?!\w)", HIDDEN, text)


def hide(secrets: Iterable[str]) -> None:
    """From now on `scrub` knows these, too, whole and in pieces that are long enough to be none of a sentence."""
    found = {secret for secret in secrets if len(secret) >= LEAST_CHARACTERS}
    _secrets.update(found, (piece for piece in _pieces(found) if len(piece) >= LEAST_OF_PIECES))


class Formatter(logging.Formatter):
    """Of log lines, tracebacks among them, that may repeat an address, or what an objective says."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, scrubbed and clean."""
        return lines.block(scrub(super().format(record)))


def _remember(parts: sqlalchemy.URL) -> None:
    hidden = [item for item in parts.normalized_query.items() if item[0] not in SHOWN]
    user, _, more = (parts.username or "").partition(":")  # encoded, it is no end of a name for SQLAlchemy
    secrets = [parts.password or "", more, *(text for key, values in hidden for text in (key, *values))]
    secrets += [parse.quote(text, safe=" +") for text in secrets]  # as the address has them
    shown = [parts.drivername, user, parts.host, parts.database, *_shown(parts).values()]
    known = {"password", "sslpassword", "options"}  # a driver says which option it does not like
    found = _pieces(secrets) - _pieces(text for text in shown if isinstance(text, str))
    _secrets.update(piece for piece in found if piece.lower() not in known)


def _pieces(texts: Iterable[str]) -> set[str]:
    found = {piece for text in texts for piece in (text, *SEPARATORS.split(text))}
    return {piece for piece in found if len(piece) >= LEAST_CHARACTERS}


def _shown(parts: sqlalchemy.URL) -> dict[str, str | tuple[str, ...]]:
    return {key: value for key, value in parts.query.items() if key in SHOWN}


def _at_home(path: str) -> str:
    """The path of a file, where it begins with ~ in the home folder that a shell would take: no shell has seen it."""
    scheme = "file:" if path.startswith("file:") else ""
    path = path.removeprefix(scheme)
    if not path.startswith("~"):
        return scheme + path
    try:
        home = pathlib.Path(path).expanduser()
    except RuntimeError as error:
        raise errors.InputError(
            f"--storage: no home folder is known for {path!r}; ./{path} is a file of that name"
        ) from error
    return scheme + (uri_path(home) if scheme else str(home))


def _is_ambiguous(url: str, parts: sqlalchemy.URL) -> bool:
    """Whether its user, password or options seem to hold what should have been encoded: its parts are wrong then."""
    if parts.username is None:  # no @ was taken as the end of a password
        return False
    rest = url.partition("://")[2]
    return rest.count("@") > 1 or re.search(r"\?.*=", rest.partition("@")[0]) is not None


def _is_plain(url: str, parts: sqlalchemy.URL) -> bool:
    if parts.get_backend_name() == "sqlite" and parts.username is None:
        return True  # a path may hold anything
    userinfo = url.partition("://")[2].partition("@")[0] if parts.username is not None else ""
    return (
        not re.search(r"[/?#]", userinfo)
        and PLAIN_HOST.fullmatch(parts.host or "") is not None
        and all(PLAIN_NAME.fullmatch(text or "") for text in (parts.username, parts.database))
    )


def _parts(url: str) -> sqlalchemy.URL | None:
    try:
        return sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):  # a port that is no number is a bare ValueError
        return None
