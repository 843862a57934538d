"""Requests to the dashboard's door, without a network."""

import io
import wsgiref.util
from typing import Any

from search.dashboard import passwords, servers

PASSWORD = "to write"  # noqa: S105
HASH = passwords.hash_password(PASSWORD)


def ask(door: servers.Door, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, str]:
    """The door's answer to a request: status and text."""
    status, out = ask_bytes(door, path, method, body, **headers)
    return status, out.decode()


def ask_bytes(
    door: servers.Door, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {"HTTP_HOST": "localhost:8080", "REQUEST_METHOD": method, "PATH_INFO": path}
    environ |= {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= {"CONTENT_TYPE": "application/json"} | headers
    wsgiref.util.setup_testing_defaults(environ)
    seen: list[str] = []
    answer = b"".join(door(environ, lambda status, headers, *more: seen.append(status)))
    return int(seen[0].split()[0]), answer
