"""The web server under the door: waitress, in which neither slow answers nor idle connections hold up /healthz.

Waitress reads requests without a thread for each connection. What it lacks is here: threads of their own for /healthz,
an end to requests that are sent byte by byte, and room for the next connection when there are too many.
"""

import time
from collections.abc import Callable
from typing import Any

import waitress
from waitress import channel, server, task

HEALTH = "/healthz"
# One less than a pool of Postgres has connections (search/storage/connections.py): /healthz finds one.
THREADS = 4
HEALTH_THREADS = 2
CONNECTIONS = 256  # more are taken, and the one that has been idle for longest is closed
WAITING = 200  # requests that wait for a thread; the connections of more are closed
CONNECTION_LIMIT = 2 * CONNECTIONS  # waitress takes none beyond; the two above let it not come to that
IDLE_SECONDS = 30  # of a connection without a request, and of a request until all of it is there
LOOK_SECONDS = 5
BODY_LIMIT_BYTES = 1_000_000
HEADER_LIMIT_BYTES = 64_000
# An answer that is not read waits in a file instead of a thread: more than any answer has
UNREAD_LIMIT_BYTES = 1 << 30


class Channel(channel.HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection: the time for a request runs from its first byte, and newcomers have room."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun: float | None = None
        others = [each for each in self.server.active_channels.values() if each is not self]
        if len(others) >= CONNECTIONS and (idle := [each for each in others if each.is_idle]):
            min(idle, key=lambda each: each.last_activity).handle_close()

    @property
    def is_idle(self) -> bool:
        """Whether no answer is being made: nothing is asked for, or not wholly yet, or an answer is not read."""
        return not self.requests

    def received(self, data: bytes) -> Any:
        """Takes bytes of a request; waitress would count each of them as a sign of life."""
        found = super().received(data)
        if self.request is None:
            self._begun = None
        else:
            self._begun = self.last_activity = self._begun or time.time()
        return found


class Dispatcher(task.ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads that answer, and a few that answer /healthz alone, below a sub-path too."""

    def __init__(self, sub_path: str = "") -> None:
        super().__init__()
        self._health_paths = (HEALTH, sub_path + HEALTH)
        self.set_thread_count(THREADS)
        self._health = task.ThreadedTaskDispatcher()
        self._health.set_thread_count(HEALTH_THREADS)

    def add_task(self, task: Any) -> None:
        """Queues a connection, of which a request is there."""
        path = getattr(task.requests[0], "path", "") if task.requests else ""
        if path.rstrip("/") in self._health_paths:
            self._health.add_task(task)
        elif len(self.queue) < WAITING:
            super().add_task(task)
        else:
            task.cancel()

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> Any:
        """Ends the threads."""
        self._health.shutdown(cancel_pending, timeout)
        return super().shutdown(cancel_pending, timeout)


def listen(application: Callable[..., Any], host: str, port: int, sub_path: str = "") -> Any:
    """Waitress's server for an application, listening; `run` serves.

    Args:
        sub_path: below which the application is asked for, beside the root.

    Raises:
        OSError, ValueError: the address cannot be taken.
    """
    made = waitress.create_server(
        application,
        _dispatcher=Dispatcher(sub_path),
        host=host,
        port=port,
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=IDLE_SECONDS,
        cleanup_interval=LOOK_SECONDS,
        max_request_body_size=BODY_LIMIT_BYTES,
        max_request_header_size=HEADER_LIMIT_BYTES,
        outbuf_high_watermark=UNREAD_LIMIT_BYTES,
        asyncore_use_poll=True,  # select() knows no file above 1,023
        ident=None,
        clear_untrusted_proxy_headers=False,  # the door reads X-Forwarded-Host, and knows what it is worth
    )
    for each in made.map.values() if isinstance(made, server.MultiSocketServer) else [made]:
        if isinstance(each, server.BaseWSGIServer):
            each.channel_class = Channel
    return made


def address(listening: Any, host: str) -> str:
    """Where what `listen` made can be asked."""
    several = isinstance(listening, server.MultiSocketServer)  # a name of several addresses
    port = listening.effective_listen[0][1] if several else listening.effective_port
    return f"http://{'127.0.0.1' if host == '0.0.0.0' else f'[{host}]' if ':' in host else host}:{port}"  # noqa: S104
