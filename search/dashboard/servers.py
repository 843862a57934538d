"""optuna-dashboard behind a door of ours: reads for everybody, writes for who has the password, health and metrics.

What the door refuses is answered with one line of text and the status that says why. A page from elsewhere can make a
browser send requests here: the Host header must be one we know, which ends DNS rebinding, and a write from another
origin is refused even with the password.
"""

import dataclasses
import signal
from collections.abc import Callable, Iterable
from typing import Any

import optuna_dashboard
import prometheus_client
from prometheus_client import exposition

from search import errors
from search.dashboard import (
    artifacts,
    changes,
    curves,
    details,
    listeners,
    metrics,
    pages,
    passwords,
    places,
    samples,
    sheets,
)
from search.dashboard.pages import Application, Environ, StartResponse
from search.dashboard.passwords import Verdict
from search.storage import addresses
from search.storage.databases import Database

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
HEALTH_SECONDS = 1.0  # that /healthz waits for the database
SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "no-referrer"),
]


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the door's own."""

    status: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "text/plain; charset=utf-8"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """As a WSGI application."""
        body = self.text.encode()
        length = ("Content-Length", str(len(body)))
        start_response(self.status, [("Content-Type", self.content_type), length, *SECURITY_HEADERS, *self.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _Scrubbed:
    """Where the dashboard writes its tracebacks, which may repeat parts of the database's address."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> Any:
        return self._stream.write(addresses.scrub(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Door:
    """The WSGI application that is served.

    Args:
        hosts: names beside this machine's own that the Host header may have; `*` for any.
        password_hash: argon2's, of the password that opens writing; None: nothing may be written. Nor may it to a
            database that is only looked at.
        store: where files of trials are, see `stores.location`.
        sub_path: below which a proxy serves it, as `places.sub_path` makes it; what comes without it is answered too.
    """

    def __init__(
        self,
        database: Database,
        hosts: Iterable[str] = (),
        password_hash: str | None = None,
        sub_path: str = "",
        store: str | None = None,
    ) -> None:
        self._database, self._health_database = database, database.patient(HEALTH_SECONDS)
        writes = password_hash is not None and not database.only_reads
        self._guard = passwords.Guard(password_hash or "") if writes else None
        self._hosts = {*LOCAL_HOSTS, *(host.lower() for host in hosts)}
        gallery = samples.SampledGallery(database)
        dashboard: Application = optuna_dashboard.wsgi(gallery, curves.Drawings(database, gallery))
        gallery.is_read_by(dashboard)
        behind = samples.Samples(database, gallery, pages.Pages(dashboard))
        shown = details.Details(database, sheets.Sheets(database, behind))
        self._pages: Application = artifacts.Artifacts(database, shown, store)
        self._store = store
        self.sub_path = sub_path
        self._registry = prometheus_client.CollectorRegistry(auto_describe=False)
        self._registry.register(metrics.Collector(database))
        self._own: dict[str, Callable[[], Answer]] = {listeners.HEALTH: self._health, "/metrics": self._metrics}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request, or passes it on to the dashboard."""
        environ["wsgi.errors"] = _Scrubbed(environ["wsgi.errors"])
        environ["SCRIPT_NAME"] = self.sub_path
        environ["PATH_INFO"] = places.within(environ.get("PATH_INFO", ""), self.sub_path)
        path = environ["PATH_INFO"].rstrip("/")
        answer = self._own.get(path)
        if answer is not None:
            return (answer() if environ["REQUEST_METHOD"] in changes.READS else _read_only())(environ, start_response)
        refused = self._refusal(environ, path)
        if refused is not None:
            return refused(environ, start_response)
        changed = changes.carry_out(self._database, environ, path, self._store)
        if changed is not None:
            return Answer(*changed)(environ, start_response)
        if places.is_elsewhere(environ["PATH_INFO"]):
            return _elsewhere(environ["PATH_INFO"])(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = [(name, value) for name, value in headers if name.lower() != "access-control-allow-origin"]
            return start_response(status, [*kept, *SECURITY_HEADERS], *more)

        return self._pages(environ, start)

    def _refusal(self, environ: Environ, path: str) -> Answer | None:
        for header, host in zip(("Host", "X-Forwarded-Host"), map(places.name, places.hosts(environ)), strict=False):
            if host not in self._hosts and "*" not in self._hosts:
                return Answer(
                    "400 Bad Request",
                    f"{header} must be one of {', '.join(sorted(self._hosts))}, got {host!r}; "
                    "`search dashboard --host-name NAME` or SEARCH_DASHBOARD_HOSTS adds one\n",
                )
        if environ["REQUEST_METHOD"] in changes.READS:
            return None
        if self._guard is None or path.startswith("/api/artifacts"):
            return _read_only()
        # before the password: a page from elsewhere must not guess in its reader's name
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not places.is_own(origin, environ):
            asked = " and ".join(map(repr, places.hosts(environ)))
            text = f"a page of {origin!r} may not write to {asked}; a proxy between must hand on the browser's Host\n"
            return Answer("403 Forbidden", text)
        judged = self._guard.judge(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_AUTHORIZATION", ""))
        if judged.verdict is Verdict.LATER:
            text = f"too many wrong passwords; try again in {judged.seconds} s\n"
            return Answer("429 Too Many Requests", text, (("Retry-After", str(judged.seconds)),))
        if judged.verdict is Verdict.WRONG:
            challenge = ("WWW-Authenticate", 'Basic realm="write to the studies", charset="UTF-8"')
            return Answer("401 Unauthorized", "writing needs the dashboard's password\n", (challenge,))
        return None

    def _health(self) -> Answer:
        try:
            self._health_database.ping()
        except errors.SearchError as error:
            return Answer("503 Service Unavailable", f"{error}\n")
        return Answer("200 OK", "ok\n")

    def _metrics(self) -> Answer:
        try:
            text = exposition.generate_latest(self._registry).decode()
        except errors.SearchError as error:
            return Answer("503 Service Unavailable", f"{error}\n")
        return Answer("200 OK", text, content_type=exposition.CONTENT_TYPE_LATEST)


def serve(door: Door, host: str, port: int, ready: Callable[[str], None]) -> int:
    """Serves until SIGTERM or Ctrl-C; `ready` is called with the address once connections are taken.

    Returns:
        The exit code: 0, or 130 after Ctrl-C.

    Raises:
        errors.InputError: the address cannot be taken.
    """
    try:
        server = listeners.listen(door, host, port, door.sub_path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise errors.InputError(
            f"--port {port} on {host} cannot be listened on: {reason}; another with --port"
        ) from error
    interrupted = False

    def end(number: int, _: Any) -> None:
        nonlocal interrupted
        interrupted = number == signal.SIGINT
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    ready(listeners.address(server, host) + (f"{door.sub_path}/" if door.sub_path else ""))
    try:
        server.run()  # SystemExit ends it, and goes no further
    finally:
        server.close()
    return 130 if interrupted else 0


def _read_only() -> Answer:
    return Answer("405 Method Not Allowed", "this dashboard only reads\n", (("Allow", ", ".join(changes.READS)),))


def _elsewhere(path: str) -> Answer:
    above = places.above(path)
    return Answer(
        "404 Not Found",
        f"there is no page {path!r} here; where a proxy serves the dashboard below {above}, "
        f"`search dashboard --sub-path {above}` or SEARCH_DASHBOARD_SUB_PATH says so\n",
    )
