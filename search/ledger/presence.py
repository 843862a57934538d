"""Who a worker is, and when another is gone: by its dead process on this host, or by a beat that stands still."""

import dataclasses
import functools
import os
import pathlib
import socket
import threading
from collections.abc import Iterable

import psutil

GRACE_SECONDS = 30.0
BEATS_PER_GRACE = 3
START_TOLERANCE_SECONDS = 2.0  # psutil derives the start from the wall clock, which may be set


@dataclasses.dataclass(frozen=True)
class Identity:
    """A process that owns trials; `host` is the machine and process namespace in which `pid` means something."""

    name: str
    host: str
    pid: int
    pid_started: float

    @classmethod
    def this(cls) -> "Identity":
        """The present process."""
        pid = os.getpid()
        return cls(f"{socket.gethostname()}:{pid}", _host(), pid, psutil.Process(pid).create_time())

    def is_dead(self) -> bool:
        """Whether the process ran here and is gone. False for any other host, whose pids say nothing."""
        if not self.pid or self.host != _host():
            return False
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            return abs(process.create_time() - self.pid_started) > START_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


@dataclasses.dataclass(frozen=True)
class Sighting:
    """A RUNNING trial as an observer sees it. A trial that no claim of ours made has an empty owner and beat 0."""

    trial_id: int
    owner: str
    generation: int
    beat: int
    worker: Identity


class Watch:
    """One observer's memory of beats.

    A trial is an orphan when this observer has seen the same beat for `grace_seconds` of uninterrupted contact with
    the database. An outage, or a pause of this very process, starts all counts again: so neither makes anybody
    stale, and clocks of different machines are never compared.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self.grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._since: dict[int, tuple[tuple[str, int, int], float]] = {}
        self._last: float | None = None
        self._interruptions = 0

    @property
    def beat_seconds(self) -> float:
        """How often an owner beats and an observer looks."""
        return self.grace_seconds / BEATS_PER_GRACE

    def look(self, sightings: Iterable[Sighting], now: float, interruptions: int = 0) -> list[Sighting]:
        """Takes in what runs now and returns the orphans among it.

        Args:
            sightings: every RUNNING trial of the study that is not this process's own.
            now: this process's monotonic clock, seconds.
            interruptions: how often this process has lost the database so far.
        """
        with self._lock:
            pause = now - self._last if self._last is not None else 0.0
            if interruptions != self._interruptions or pause > 2 * self.beat_seconds:
                self._since.clear()
            self._last, self._interruptions = now, interruptions
            before, self._since = self._since, {}
            orphans = []
            for seen in sightings:
                mark = (seen.owner, seen.generation, seen.beat)
                old = before.get(seen.trial_id)
                since = old[1] if old and old[0] == mark else now
                self._since[seen.trial_id] = (mark, since)
                if now - since >= self.grace_seconds or seen.worker.is_dead():
                    orphans.append(seen)
            return orphans


@functools.cache
def _host() -> str:
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # containers of one machine share its boot, not their process numbers
        return f"{boot}/{pathlib.Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()
