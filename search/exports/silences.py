"""What is said of a server that does not answer, in a phrase: what libraries say of it is hundreds of characters."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

LIBRARIES = ("requests", "urllib3")
TALKERS = ("urllib3.connectionpool", "urllib3.util.retry")  # each try is a warning there


def phrase(error: BaseException) -> str | None:
    """Why there was no answer; None where there was one."""
    found = list(_under(error))
    if not any(type(each).__module__.partition(".")[0] in LIBRARIES for each in found):
        return None
    causes = [each for each in found if isinstance(each, OSError)]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not taken: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "it speaks no TLS that is understood here"
        if isinstance(cause, socket.gaierror):
            return "its host is not known here"
    if any("Timeout" in type(each).__name__ for each in found):
        return "no answer in time"
    return next((cause.strerror.lower() for cause in causes if cause.strerror), None)


def _under(error: BaseException) -> Iterator[BaseException]:
    """It, and what has led to it: some libraries chain errors, some put one into another."""
    todo, known = [error], set[int]()
    while todo:
        each = todo.pop()
        if id(each) in known:
            continue
        known.add(id(each))
        yield each
        held = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        todo += [inner for inner in held if isinstance(inner, BaseException)]


@contextlib.contextmanager
def of_logs() -> Iterator[None]:
    """For libraries that keep a log of their own: that it cannot be written is no news beside what they were to do."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """For requests: what libraries log of each try is left out."""
    loggers = [logging.getLogger(name) for name in TALKERS]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)
