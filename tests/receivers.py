"""A real receiver of messages on loopback: it counts them, and fails, hangs or drips where it is told to."""

import http.server
import json
import pathlib
import threading
import time
from typing import Any


class Receiver:
    """An HTTP server of the tests' own.

    Attributes:
        answers: status codes of the next requests, with headers; then 200.
        got: the body of each request that was answered with 2xx.
        heads: their headers; `paths` their paths.
        refused: how many were not; `asked`: how many have come.
        hang_seconds: before each answer.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[dict[str, Any]] = []
        self.heads: list[Any] = []
        self.paths: list[str] = []
        self.refused, self.asked, self.hang_seconds, self.drips = 0, 0, 0.0, False
        self._lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/sEcReT-ToKeN-0123"

    @property
    def events(self) -> list[str]:
        return [each["event"] for each in self.got]

    def file(self, folder: pathlib.Path, *more: str) -> pathlib.Path:
        """A file of addresses, this one's the first."""
        path = folder / "notify-urls"
        path.write_text("\n".join(["# who is told", self.url, *more, ""]))
        return path

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        with self._lock:
            self.asked += 1
            status, headers = self.answers.pop(0) if self.answers else (200, {})
        if self.drips:
            try:
                for _ in range(1_000):
                    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: 1\r\n"[:1])
                    request.wfile.flush()
                    time.sleep(0.2)
            except OSError:
                return
        time.sleep(self.hang_seconds)
        with self._lock:
            if status < 300:
                self.got.append(json.loads(body))
                self.heads.append(request.headers)
                self.paths.append(request.path)
            else:
                self.refused += 1
        try:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
        except OSError:  # nobody waits for it any more
            pass

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()
