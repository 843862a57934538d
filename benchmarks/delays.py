"""A network between workers and a database, as far as its delay goes: what comes in leaves so much later.

    python benchmarks/delays.py --to /tmp/pg/.s.PGSQL.5432 --milliseconds 10    a round trip of 20 ms; prints its port

The order stays, and what arrives together leaves together: a round trip through it takes as long as was said, however
many connections there are. One process carries some hundred connections; each further one needs two of select's 1,024.
"""

import argparse
import collections
import contextlib
import pathlib
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

CHUNK = 1 << 16
SOCKETS = 1_000  # that select takes


class Delay:
    """A listening socket of 127.0.0.1, each connection to which is one to the target.

    Args:
        target: a Unix socket's path, or a port of 127.0.0.1.
        seconds: one way.
    """

    def __init__(self, target: str, seconds: float) -> None:
        self._target, self._seconds = target, seconds
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_000)
        self.port: int = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._late: collections.deque[tuple[float, socket.socket, bytes]] = collections.deque()

    def serve(self) -> None:
        """For ever."""
        while True:
            wait = max(0.0, self._late[0][0] - time.perf_counter()) if self._late else None
            readable, _, _ = select.select([self._listener, *self._peers], [], [], wait)
            now = time.perf_counter()
            for ready in readable:
                if ready is self._listener:
                    self._accept()
                else:
                    self._read(ready, now + self._seconds)
            while self._late and self._late[0][0] <= time.perf_counter():
                self._pass_on(*self._late.popleft()[1:])

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        if len(self._peers) > SOCKETS:
            near.close()
            return
        if self._target.isdigit():
            far = socket.create_connection(("127.0.0.1", int(self._target)))
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            far.connect(self._target)
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers[near], self._peers[far] = far, near

    def _read(self, ready: socket.socket, due: float) -> None:
        try:
            data = ready.recv(CHUNK)
        except OSError:
            data = b""
        if (peer := self._peers.get(ready)) is not None:
            self._late.append((due, peer, data))
        if not data:
            self._peers.pop(ready, None)

    def _pass_on(self, peer: socket.socket, data: bytes) -> None:
        with contextlib.suppress(OSError):  # it has left meanwhile
            if data:
                peer.sendall(data)
                return
            peer.shutdown(socket.SHUT_WR)
        if peer not in self._peers:  # both ends have
            peer.close()


@contextlib.contextmanager
def started(target: str, round_trip_seconds: float, count: int = 1) -> Iterator[list[int]]:
    """Ports of so many such processes, which end with the context."""
    one_way = str(1000 * round_trip_seconds / 2)
    command = [sys.executable, str(pathlib.Path(__file__)), "--to", target, "--milliseconds", one_way]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield [int(process.stdout.readline()) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.terminate()
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


def main() -> int:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--to", required=True, help="a Unix socket, or a port of 127.0.0.1")
    parser.add_argument("--milliseconds", type=float, required=True, help="one way")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    delay = Delay(options.to, options.milliseconds / 1000)
    print(delay.port, flush=True)
    delay.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
