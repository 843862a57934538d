"""Signals that a process of the user's own code is sent: it is the worker that answers them."""

import signal
import threading

NUDGE: int = getattr(signal, "SIGUSR1", 0)  # Windows, which has no such processes, must be able to import it
ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name))
asked = threading.Event()  # one of them came


def leave() -> None:
    """None of them ends the process; schedulers send SIGUSR1, too.

    They get a handler, since what is ignored would be ignored by programs that are started, too.
    """
    for number in (*ASKING, NUDGE):
        signal.signal(number, _leave_it)


def forget() -> None:
    """A fork, as of multiprocessing, ends where it is asked to."""
    signal.signal(NUDGE, signal.SIG_DFL)
    for number in ASKING:
        if signal.getsignal(number) is _leave_it:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def _leave_it(number: int, _: object) -> None:
    """Nothing is done."""
    if number in ASKING:
        asked.set()
