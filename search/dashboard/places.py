"""Where a request comes from, behind a proxy too: the host that was asked for, the page that asks, the path.

A proxy may put a name of its own into Host; X-Forwarded-Host has the browser's then. A page from elsewhere can make a
browser send neither: before a header that is not its own a browser asks, and is refused. A page that reaches us by a
name of its own can, so neither stands in for the other: each has to be known.
"""

import re
from typing import Any
from urllib import parse

from search import errors

OWN = ("api", "artifacts", "csv", "dashboard", "favicon.ico", "healthz", "incompatible-rdb-schema", "metrics", "static")
PORTS = {"http": 80, "https": 443}
SUB_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def sub_path(text: str) -> str:
    """A path below which a proxy serves the dashboard, without its last slash; of `/` nothing is left.

    Raises:
        errors.InputError: it is none, or begins with what the dashboard has itself.
    """
    path = text.rstrip("/")
    if path and (not SUB_PATH.fullmatch(path) or {".", ".."} & {*path.split("/")}):
        raise errors.InputError(f"--sub-path must be like /hpo: letters, digits, ._~- and slashes, got {text!r}")
    if path.split("/")[1:2] and path.split("/")[1] in OWN:
        raise errors.InputError(
            f"--sub-path must not begin with /{path.split('/')[1]}, a path of the dashboard's own, got {text!r}; "
            "where the proxy takes it away none is needed"
        )
    return path


def within(path: str, below: str) -> str:
    """A path as the dashboard knows it: what a proxy has left of `below` is taken away, as are doubled slashes."""
    path = f"/{path.lstrip('/')}"
    if below and (path == below or path.startswith(f"{below}/")):
        path = f"/{path[len(below) :].lstrip('/')}"
    return path


def is_elsewhere(path: str) -> bool:
    """Whether nothing of the dashboard's can be at a path."""
    return path.split("/")[1] not in ("", *OWN)


def above(path: str) -> str:
    """What a proxy has probably put before a path of the dashboard's."""
    parts = path.split("/")[1:]
    known = next((place for place, part in enumerate(parts) if part in OWN), 1)
    return "/" + "/".join(parts[:known])


def hosts(environ: dict[str, Any]) -> list[str]:
    """Host and, where a proxy tells it, the first X-Forwarded-Host, which is the browser's."""
    forwarded = environ.get("HTTP_X_FORWARDED_HOST", "").partition(",")[0].strip()
    return [environ.get("HTTP_HOST", ""), *([forwarded] if forwarded else [])]


def name(host: str) -> str:
    """The name in a Host header, without its port."""
    return _split(f"//{host}")[0]


def is_own(origin: str, environ: dict[str, Any]) -> bool:
    """Whether a page of this origin is the dashboard's, as its host was asked for."""
    scheme = origin.partition(":")[0].lower()
    asking = _split(origin, PORTS.get(scheme))
    return asking[0] != "" and asking in [_split(f"//{host}", PORTS.get(scheme)) for host in hosts(environ)]


def _split(url: str, port: int | None = None) -> tuple[str, int | None]:
    """Name and port of an address; the port that is given where it names none."""
    try:
        found = parse.urlsplit(url)
        return (found.hostname or "").rstrip("."), found.port or port
    except ValueError:
        return "", None
