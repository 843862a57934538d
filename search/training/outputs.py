"""What a process of the user's own code prints: a file of bounded size for each trial, and the last of it at hand."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable

from search.training import folders

CHUNK_BYTES = 1 << 16
LOG_BYTES = 8 << 20  # of a file; the one before it is kept beside it
TAIL_BYTES = 8 << 10
DRAINED_CHUNKS = 64  # what was printed before the end of a trial and is on its way; a pipe holds one or a few
FREE_BYTES = 4 << 20  # beyond, a trial that prints without end is slowed down
BREATH_SECONDS = 0.004
SILENCE_SECONDS = 0.5
PATIENCE_SECONDS = 0.1  # with who reads what no trial has printed


class Output:
    """Reads a pipe in a thread of its own, until all who write have ended or it is closed.

    What comes while no trial runs goes to `elsewhere`, a descriptor.
    """

    def __init__(self, descriptor: int, elsewhere: int) -> None:
        self._descriptor, self._elsewhere = descriptor, elsewhere
        self._lock = threading.Lock()
        self._log: Log | None = None
        self._heard: Callable[[], None] = _nothing
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)
        self._thread.start()

    def begin(self, folder: folders.Folder, heard: Callable[[], None]) -> "Log":
        """From now on what comes is a trial's; `heard` is called when something comes."""
        with self._lock:
            self._log, self._heard = Log(folder), heard
            return self._log

    def end(self) -> str:
        """The trial has ended; what it had printed is taken in first. Returns the last of it."""
        with self._lock:
            if self._log is None:
                return ""
            for _ in range(DRAINED_CHUNKS):
                if self._closed.is_set() or not self._has_more(0.0) or not self._take():
                    break
            self._log.close()
            tail, self._log, self._heard = self._log.tail, None, _nothing
            return tail

    def close(self) -> None:
        """Nothing is read any more."""
        self._closed.set()
        self._thread.join()
        os.close(self._descriptor)

    def _has_more(self, seconds: float) -> bool:
        ready = select.poll()
        ready.register(self._descriptor, select.POLLIN)
        return bool(ready.poll(seconds * 1000))

    def _take(self) -> bool:
        """Reads once; whether there may be more."""
        chunk = os.read(self._descriptor, CHUNK_BYTES)
        if self._log is not None and chunk:
            self._log.write(chunk)
            self._heard()
        elif chunk:
            self._pass_on(chunk)
        return bool(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        """Writes it elsewhere, as far as there is soon room: a trial must not wait for who does not read."""
        room = select.poll()
        room.register(self._elsewhere, select.POLLOUT)
        with contextlib.suppress(OSError):
            for at in range(0, len(chunk), select.PIPE_BUF):  # so much never blocks where poll sees room
                if not room.poll(PATIENCE_SECONDS * 1000):
                    return
                os.write(self._elsewhere, chunk[at : at + select.PIPE_BUF])

    def _read(self) -> None:
        while not self._closed.is_set():
            if not self._has_more(SILENCE_SECONDS):
                continue
            with self._lock:
                if not self._has_more(0.0):  # the end of a trial took it
                    continue
                if not self._take():
                    return
                is_flood = self._log is not None and self._log.total > FREE_BYTES
            if is_flood:
                time.sleep(BREATH_SECONDS)


class Log:
    """What one trial prints.

    Attributes:
        total: bytes so far.
    """

    def __init__(self, folder: folders.Folder) -> None:
        self._folder, self._file = folder, -1
        self._size = self.total = 0
        self._tail = b""

    def write(self, chunk: bytes) -> None:
        """Takes in what was printed."""
        self.total += len(chunk)
        self._tail = (self._tail + chunk)[-TAIL_BYTES:]
        path = self._folder.path / folders.LOG
        try:
            if self._size > LOG_BYTES:
                self.close()
                path.replace(self._folder.path / folders.EARLIER_LOG)
            if self._file < 0:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
                self._size = os.fstat(self._file).st_size
            os.write(self._file, chunk)
            self._size += len(chunk)
        except OSError:  # a full disk, or a folder that was taken away: the trial need not end for it
            self.close()

    def close(self) -> None:
        """Closes its file; another write opens it again."""
        file, self._file, self._size = self._file, -1, 0
        if file >= 0:
            with contextlib.suppress(OSError):  # a full disk may say so as late as this
                os.close(file)

    @property
    def tail(self) -> str:
        """The last of it, from the beginning of a line where there is one."""
        kept = self._tail
        if self.total > len(kept) and b"\n" in kept:
            kept = kept[kept.index(b"\n") + 1 :]
        return kept.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _nothing() -> None:
    """Nobody listens."""
