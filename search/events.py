"""Lines of a log as JSON: an object a line, with the fields that a call of the log names and their values.

A call says `log.info("trial=%d event=paused reason=%r", 7, "...")`: its template has names, its arguments have values.
Nothing is read out of the finished line. What has no such template, as what libraries say, is a `message` alone.
"""

import contextlib
import datetime
import io
import json
import logging
import math
import re
import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TextIO

from search import lines

PLAIN, JSON = "plain", "json"
VARIABLE = "SEARCH_LOG_FORMAT"  # of the environment
# of a line: POSIX writes so much into a pipe at once, so that lines of several workers are never mixed
LONGEST_BYTES = 4096
FIELD = re.compile(r"([a-z_]+)=(?:(%[-#0 +]*\d*(?:\.\d+)?[a-z])|'([^'%]*)'|([^\s'%]+))")
OURS = ("time", "level", "logger", "message", "exception")  # keys that no template may name

_about: dict[str, str] = {}  # what all lines of this process are about


def fields(template: str, arguments: Any) -> dict[str, Any] | None:
    """What a call of the log names, with its values; None where the template is anything else than `NAME=VALUE ...`."""
    found: dict[str, Any] = {}
    values, place = iter(arguments if isinstance(arguments, tuple) else ()), 0
    while match := FIELD.match(template, place):
        name, is_given, quoted, bare = match.groups()
        try:
            found[name] = next(values) if is_given else bare if quoted is None else quoted
        except StopIteration:
            return None
        place = match.end()
        if place == len(template):
            return found
        if template[place] != " ":
            return None
        place += 1
    return None


@contextlib.contextmanager
def about(**named: str) -> Iterator[None]:
    """All lines that this process logs meanwhile have these fields, unless they say otherwise."""
    before = dict(_about)
    _about.update(named)
    try:
        yield
    finally:
        _about.clear()
        _about.update(before)


class Formatter(logging.Formatter):
    """Of lines of a log, as JSON.

    Args:
        scrub: takes secrets out of a text.
    """

    def __init__(self, scrub: Callable[[str], str] = lambda text: text) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return _fitting(self.read(record))

    def read(self, record: logging.LogRecord) -> dict[str, Any]:
        """The object."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # a library's own mistake
            message = f"{record.msg} {record.args!r}"
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        said = fields(record.msg, record.args) if isinstance(record.msg, str) else None
        line = {
            **{"time": when, "level": record.levelname, "logger": record.name},
            **_about,
            **{name: self._plain(value) for name, value in (said or {}).items()},
            "message": lines.clean(self._scrub(message)),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = self._scrub(self.formatException(record.exc_info))
        return line

    def _plain(self, value: Any) -> Any:
        """A value as JSON has it: nan and infinities are texts there."""
        value = value.item() if hasattr(value, "item") else value  # of NumPy
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value if value is None or isinstance(value, bool | int | float) else self._scrub(str(value))


def _fitting(line: dict[str, Any]) -> str:
    """The object on one line, its longest texts cut where it would be longer than a pipe takes at once."""
    limit, shown = LONGEST_BYTES, line
    while len((text := _dumps(shown)).encode()) >= LONGEST_BYTES:
        limit //= 2
        shown = {key: lines.cut_within(each, limit) if isinstance(each, str) else each for key, each in line.items()}
    return text


def _dumps(line: dict[str, Any]) -> str:
    text = json.dumps(line, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(line)


def event(template: str, *arguments: Any) -> dict[str, Any]:
    """The object of an event that is told in another place than the log."""
    return Formatter().read(logging.LogRecord("search", logging.INFO, "", 0, template, arguments, None))


class Stream(io.TextIOBase):
    """What stands in for stderr: each line that anything prints there is an object too, with the line as `message`."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO, formatter: Formatter) -> None:
        self._stream, self._formatter = stream, formatter
        self._rest, self._lock = "", threading.RLock()

    def write(self, text: str) -> int:
        """See `io.TextIOBase`."""
        with self._lock:
            *whole, self._rest = (self._rest + text).split("\n")
            for each in whole:
                self._say(each)
        return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`."""
        with self._lock:
            rest, self._rest = self._rest, ""
            self._say(rest)

    def fileno(self) -> int:
        """See `io.TextIOBase`."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """See `io.TextIOBase`."""
        return True

    def _say(self, text: str) -> None:
        if text.strip():
            record = logging.LogRecord("stderr", logging.INFO, "", 0, "%s", (text,), None)
            self._stream.write(f"{self._formatter.format(record)}\n")
            self._stream.flush()


def is_on() -> bool:
    """Whether this process says all in JSON."""
    return isinstance(sys.stderr, Stream)


def turn_on(level: int, scrub: Callable[[str], str] = lambda text: text) -> None:
    """From now on all that this process says on stderr is JSON: its log, warnings, errors, what libraries print."""
    if is_on():
        return
    formatter, stream = Formatter(scrub), sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.stderr = Stream(stream, formatter)
    sys.excepthook = lambda _, error, trace: _crashed(error, trace)
    threading.excepthook = lambda given: _crashed(given.exc_value, given.exc_traceback)


def _crashed(error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None:
        logging.getLogger("search").critical("event=crashed", exc_info=(type(error), error, trace))
