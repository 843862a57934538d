"""Which study a line of the log is about, where a process works on several: of trials it says the numbers alone."""

import contextlib
import contextvars
import logging
from collections.abc import Iterator

_study: contextvars.ContextVar[str | None] = contextvars.ContextVar("study", default=None)


class Byline(logging.Filter):
    """Puts the study's name before what is logged while one is `named`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if (name := _study.get()) is not None:
            said = record.msg if record.args else str(record.msg).replace("%", "%%")
            record.msg, record.args = f"study=%r {said}", (name, *(record.args or ()))
        return True


@contextlib.contextmanager
def shown(log: logging.Logger) -> Iterator[None]:
    """The lines of a log have it, as long as the context lasts."""
    byline = Byline()
    log.addFilter(byline)
    try:
        yield
    finally:
        log.removeFilter(byline)


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """What this thread logs meanwhile is about this study."""
    token = _study.set(name)
    try:
        yield
    finally:
        _study.reset(token)
