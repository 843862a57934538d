"""Who is asked to stop, and who is not."""

import os
import signal
import threading

from search.worker import signals


def _handlers_of_a_child() -> str:
    """What a forked child answers signals with."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        kinds = [signal.getsignal(number) for number in signals.SIGNALS]
        default = {signal.SIG_DFL: "default", signal.default_int_handler: "interrupt"}
        os.write(writing, " ".join(default.get(kind, "ours") for kind in kinds).encode())  # type: ignore[call-overload]
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_a_child_ends_where_it_is_asked_to() -> None:
    """While this process hands over on SIGTERM, a child that it forks ends at once; afterwards nothing is left."""
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    own = [signal.signal(number, lambda *_: None) for number in signals.SIGNALS]
    try:
        for _ in range(3):
            stop = threading.Event()
            with signals.stopping(stop, then=lambda: None) as interrupted:
                assert _handlers_of_a_child() == "default default default interrupt"
                os.kill(os.getpid(), signal.SIGTERM)
                assert stop.wait(5)
                assert not interrupted.is_set()
            # a notebook's own handlers are not ours to reset, in its children neither
            assert _handlers_of_a_child() == "ours ours ours ours"
    finally:
        for number, handler in zip(signals.SIGNALS, own, strict=True):
            signal.signal(number, handler)
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
