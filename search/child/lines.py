"""What a program says, line by line: its output, or a file that it writes."""

import abc
import collections
import contextlib
import os
import pathlib
import select
from typing import IO

LINE_BYTES = 1 << 20  # of a line of output; a longer one is read in pieces
CHUNK_BYTES = 1 << 16
TURN_BYTES = 1 << 24  # of a file, in one turn
TAIL_BYTES = 64  # by which a file that was begun anew is told from one that has grown
REST_TURNS = 16  # of what is left at the end: all that a pipe holds; what was left running may print for ever


class Source(abc.ABC):
    """Where a program says something.

    Args:
        nudge: a descriptor; waiting ends when there is something to read from it.

    Attributes:
        lines: read, and not yet taken.
    """

    def __init__(self, nudge: int) -> None:
        self.lines: collections.deque[str] = collections.deque()
        self._nudge = nudge

    @abc.abstractmethod
    def read(self, seconds: float) -> bool:
        """Reads some of what is there, or waits for so long; returns whether there was something."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Takes the end of what was said, which need not be a whole line."""

    def read_all(self) -> None:
        """What is there now."""
        for _ in range(REST_TURNS):
            if not self.read(0):
                break


class Output(Source):
    """The output, which goes on to ours.

    Args:
        output: its descriptor.
    """

    def __init__(self, output: int, nudge: int) -> None:
        super().__init__(nudge)
        self._output, self._half = output, b""
        self._readable = select.poll()
        self._readable.register(nudge, select.POLLIN)
        self._readable.register(output, select.POLLIN)

    def read(self, seconds: float) -> bool:
        """See `Source`."""
        if self._output not in [descriptor for descriptor, _ in self._readable.poll(seconds * 1000)]:
            return False
        if not (chunk := os.read(self._output, CHUNK_BYTES)):
            self._readable.unregister(self._output)
            return False
        write(1, chunk)
        *whole, self._half = (self._half + chunk).split(b"\n")
        if len(self._half) > LINE_BYTES:
            whole, self._half = [*whole, self._half], b""
        self.lines += map(_text, whole)
        return True

    def finish(self) -> None:
        """See `Source`."""
        if self._half:
            self.lines.append(_text(self._half))
            self._half = b""


class File(Source):
    """A file that grows, from what is there now on.

    Args:
        folder: the trial's own; a file in it that an earlier owner of the trial has left is removed.
    """

    def __init__(self, path: pathlib.Path, folder: pathlib.Path, nudge: int) -> None:
        super().__init__(nudge)
        self._path, self._read, self._tail = path, 0, b""
        self._found: os.stat_result | None = None
        with contextlib.suppress(OSError):
            if path.parent.resolve().is_relative_to(folder.resolve()):
                path.unlink()
                return
            with path.open("rb") as stream:
                self._found = os.fstat(stream.fileno())
                self._read = self._found.st_size
                stream.seek(max(0, self._read - TAIL_BYTES))
                self._tail = stream.read(TAIL_BYTES)

    def read(self, seconds: float) -> bool:
        """See `Source`."""
        if self._grow(is_last=False):
            return True
        select.select([self._nudge], [], [], seconds)
        return False

    def finish(self) -> None:
        """See `Source`."""
        self._grow(is_last=True)

    def _grow(self, is_last: bool) -> bool:
        before = len(self.lines)
        with contextlib.suppress(OSError), self._path.open("rb") as stream:
            if self._is_anew(stream):
                self._read, self._tail, self._found = 0, b"", None
            stream.seek(self._read)
            limit = self._read + TURN_BYTES
            while self._read < limit and (line := stream.readline()):
                if not line.endswith(b"\n") and not is_last:
                    break
                self._read, self._tail, self._found = self._read + len(line), line[-TAIL_BYTES:], None
                self.lines.append(line.decode(errors="replace"))
        return len(self.lines) > before

    def _is_anew(self, stream: IO[bytes]) -> bool:
        """Whether it is another file than the one that was read, or was emptied since."""
        stream.seek(self._read - len(self._tail))
        if stream.read(len(self._tail)) != self._tail:
            return True
        about = os.fstat(stream.fileno())
        # one that the same lines were written into again, before anybody looked
        return self._found is not None and (
            about.st_size == self._read and about.st_mtime_ns != self._found.st_mtime_ns
        )


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def write(descriptor: int, chunk: bytes) -> None:
    """All of it."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
