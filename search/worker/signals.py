"""Asks this process to stop: SIGTERM, SIGHUP, Ctrl-C; and Ctrl-C twice, at once."""

import contextlib
import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

_handlers: set[Any] = set()  # those of ours that are set


@contextlib.contextmanager
def stopping(stop: threading.Event, then: Callable[[], None]) -> Iterator[threading.Event]:
    """`stop_on`, for as long as it lasts: afterwards a notebook answers Ctrl-C as it did before."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = set(_handlers)
    try:
        yield stop_on(stop, then)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _handlers.intersection_update(handlers)


def stop_on(stop: threading.Event, then: Callable[[], None] = lambda: None) -> threading.Event:
    """SIGTERM, SIGHUP and Ctrl-C set `stop`; a second Ctrl-C ends the process at once, after `then`.

    Returns:
        An event that is set where it was Ctrl-C.
    """
    interrupted = threading.Event()

    def on_signal(number: int, _: Any) -> None:
        if number == signal.SIGINT:
            if interrupted.is_set():
                then()
                os._exit(130)
            interrupted.set()
        stop.set()

    for number in SIGNALS:
        signal.signal(number, on_signal)
    _handlers.add(on_signal)
    _mind_forks()
    return interrupted


@functools.cache
def _mind_forks() -> None:
    """Once in the life of a process: a hook at forks cannot be taken back."""
    os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    """A child that an objective forks, as multiprocessing does, ends where it is asked to."""
    for number in SIGNALS:
        if signal.getsignal(number) in _handlers:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
