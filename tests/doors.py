"""Requests to the dashboard's door, without a network; the real command too, and trials that it may show."""

import base64
import io
import re
import subprocess
import wsgiref.util
from typing import Any

from conftest import Processes
from optuna.trial import TrialState

from search.dashboard import passwords, servers
from search.ledger import allocations, claims, configurations, presence, studies
from search.storage import databases

PASSWORD = "to write"  # noqa: S105
HASH = passwords.hash_password(PASSWORD)
ME = presence.Identity.this()


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


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def finish(
    database: databases.Database, study: studies.Study, values: list[float], state: TrialState, reason: str = ""
) -> int:
    """A trial with these values, ended; returns its id."""
    claim = allocations.take(database, study, ME, presence.Watch(30.0))
    assert isinstance(claim, claims.Claim)
    configurations.configure(database, study, claim, database.history(study.study_id))
    attrs = {"search:worker": "host:1", **({"search:reason": reason} if reason else {})}
    value = values[-1] if values and state != TrialState.FAIL else None
    claims.tell(database, claim, state, value, attrs, 36.0, dict(enumerate(values, 1)))
    return claim.trial_id


def started(processes: Processes, *options: str, **environment: str) -> tuple[subprocess.Popen[str], int]:
    """`search dashboard` on a free port, once it says that it serves."""
    server = processes.start("dashboard", "--port", "0", *options, **environment)
    line = server.stdout.readline() if server.stdout else ""
    found = re.search(r" at http://127\.0\.0\.1:(\d+)[ /]", line)
    assert found, line + (server.stdout.read() if server.stdout else "")
    return server, int(found.group(1))
