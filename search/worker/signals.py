"""Asks this process to stop: SIGTERM, SIGHUP, SIGUSR1, Ctrl-C; and Ctrl-C twice, at once."""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator

# Windows has neither SIGHUP nor SIGUSR1, which schedulers as Slurm are mostly told to send some time before the end
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT") if hasattr(signal, name))


@contextlib.contextmanager
def stopping(stop: threading.Event, then: Callable[[], None]) -> Iterator["Interruption"]:
    """`stop_on`, for as long as it lasts: afterwards a notebook answers Ctrl-C as it did before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield stop_on(stop, then)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on(stop: threading.Event, then: Callable[[], None] = lambda: None) -> "Interruption":
    """SIGTERM, SIGHUP, SIGUSR1 and Ctrl-C set `stop`; a second Ctrl-C ends the process at once, after `then`.

    Returns:
        An event that is set where it was Ctrl-C.
    """
    handler = _Handler(stop, then)
    for number in SIGNALS:
        signal.signal(number, handler)
    _mind_forks()
    return handler.interrupted


def are_handled() -> bool:
    """Whether Ctrl-C asks this process to stop, and raises nothing: a KeyboardInterrupt is somebody else's then."""
    return isinstance(signal.getsignal(signal.SIGINT), _Handler)


class Interruption(threading.Event):
    """Set where it was Ctrl-C; `number` is that of the first signal, whichever it was."""

    number: signal.Signals | None = None


class _Handler:
    def __init__(self, stop: threading.Event, then: Callable[[], None]) -> None:
        self._stop, self._then = stop, then
        self.interrupted = Interruption()

    def __call__(self, number: int, _: object) -> None:
        if self.interrupted.number is None:
            self.interrupted.number = signal.Signals(number)
        if number == signal.SIGINT:
            if self.interrupted.is_set():
                self._then()
                os._exit(130)
            self.interrupted.set()
        self._stop.set()


@functools.cache
def _mind_forks() -> None:
    """Once in the life of a process: a hook at forks cannot be taken back."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """A child that an objective forks, as multiprocessing does, ends where it is asked to."""
    for number in SIGNALS:
        if isinstance(signal.getsignal(number), _Handler):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
