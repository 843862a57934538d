"""The web server under the door, by real sockets: what many, slow and idle clients cannot hold up."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from processes import until
from waitress import wasyncore

from search.dashboard import listeners

PATIENCE_SECONDS = 5.0  # of a client for /healthz: it takes milliseconds, or for ever
LARGE = 48 << 20  # bytes: more than sockets buffer, and more than waitress's own limit


class Pages:
    """An application: /slow waits to be released, /large is long, all else is at once."""

    def __init__(self) -> None:
        self.release, self.inside = threading.Event(), 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            with self._lock:
                self.inside += 1
            self.release.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x" * (1 << 20)] * (LARGE >> 20) if environ["PATH_INFO"] == "/large" else [b"ok"]


class Served:
    """Pages that are served, and clients of them."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.server = listeners.listen(self.pages, "127.0.0.1", 0)
        self.address = ("127.0.0.1", int(self.server.effective_port))
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()

    def get(self, path: str, seconds: float = PATIENCE_SECONDS) -> bytes:
        connection = http.client.HTTPConnection(*self.address, timeout=seconds)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def begin(self, text: str = "") -> socket.socket:
        """A connection on which so much was sent."""
        client = socket.create_connection(self.address, 30)
        client.sendall(text.encode())
        return client

    @property
    def connections(self) -> int:
        return len(self.server.active_channels)

    def end(self) -> None:
        self.pages.release.set()
        self.server.task_dispatcher.shutdown()
        wasyncore.close_all(self.server._map)
        self._thread.join(10)


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """With the shortest time-outs that waitress knows."""
    monkeypatch.setattr(listeners, "IDLE_SECONDS", 1)
    monkeypatch.setattr(listeners, "LOOK_SECONDS", 1)
    found = Served()
    yield found
    found.end()


def is_closed(client: socket.socket) -> bool:
    """Whether the server has ended a connection on which it never answered."""
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


SLOW = "GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_health_is_answered_while_every_thread_is_busy(served: Served) -> None:
    """Slow pages, more than there are threads, wait for one another; /healthz waits for none of them."""
    clients = [served.begin(SLOW) for _ in range(5 * listeners.THREADS)]
    until(lambda: served.pages.inside == listeners.THREADS, 30)
    assert [served.get(path) for path in ("/healthz", "/healthz/")] == [b"ok", b"ok"]
    assert served.pages.inside == listeners.THREADS
    served.pages.release.set()
    for client in clients:
        assert client.makefile("rb").read().endswith(b"ok")


def test_idle_connections_make_room(served: Served) -> None:
    """However many are opened, the next one is taken: who has been idle for longest goes, who is answered stays."""
    busy = served.begin(SLOW)
    until(lambda: served.pages.inside == 1, 30)
    clients = [served.begin("" if number % 2 else "GET /") for number in range(listeners.CONNECTION_LIMIT + 88)]
    assert served.get("/healthz") == b"ok"
    assert served.get("/") == b"ok"
    until(lambda: served.connections <= listeners.CONNECTIONS + 1, 30)
    assert is_closed(clients[0])
    assert not is_closed(clients[-1])
    served.pages.release.set()
    assert busy.makefile("rb").read().endswith(b"ok")
    for client in clients:
        client.close()


@pytest.mark.parametrize("start", ["", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 90000\r\n\r\n"])
def test_a_request_that_does_not_come_is_not_waited_for(impatient: Served, start: str) -> None:
    """Silence, headers and bodies byte by byte: the time runs from the first byte; a slow answer has all the time."""
    client, answered = impatient.begin(start), impatient.begin(SLOW)

    def ended() -> bool:
        with contextlib.suppress(OSError):
            client.sendall(b"x" if start else b"")
        return is_closed(client)

    until(ended, 30)
    impatient.pages.release.set()
    assert answered.makefile("rb").read().endswith(b"ok")


def test_an_answer_that_nobody_reads_holds_no_thread(served: Served) -> None:
    """It waits in a file, as many of them as there are threads and one more; who reads late gets all of it."""
    clients = [served.begin(SLOW.replace("slow", "large")) for _ in range(listeners.THREADS + 1)]
    assert served.get("/", 30) == b"ok"
    head, _, body = clients[0].makefile("rb").read().partition(b"\r\n\r\n")
    assert (head[:15], len(body) >= LARGE) == (b"HTTP/1.1 200 OK", True)
    for client in clients:
        client.close()


def test_too_many_requests_are_sent_away(served: Served) -> None:
    """So many wait for a thread, the rest is closed, and /healthz is answered all the while."""
    clients = [served.begin(SLOW) for _ in range(listeners.THREADS)]
    until(lambda: served.pages.inside == listeners.THREADS, 30)
    clients += [served.begin(SLOW) for _ in range(listeners.WAITING)]
    more = [served.begin(SLOW) for _ in range(20)]
    until(lambda: all(map(is_closed, more)), 30)
    assert served.get("/healthz") == b"ok"
    served.pages.release.set()
    for client in clients:
        client.settimeout(30)
        assert client.makefile("rb").read().endswith(b"ok")
