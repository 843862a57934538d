"""Who a worker is, and when another is gone: by its dead process on this host, or by a beat that stands still."""

import dataclasses
import functools
import hashlib
import os
import pathlib
import random
import socket
import sys
import threading
from collections.abc import Collection, Iterable

import psutil

GRACE_SECONDS = 30.0
BEATS_PER_GRACE = 3
# A process that lives on this host, but does not beat, may hold the interpreter's lock or be stopped: it keeps its
# trials for so many graces (10 minutes by default). Then it counts as hung.
LIVING_GRACES = 20
LOOKERS = 100  # of all who have trials of a study look at the others with each beat: what that costs grows no faster
LOT = random.SystemRandom()  # an objective may seed the module's
LEFT = -1.0  # as `pid_started` of a trial's owner that lives, and has let go of the trial: its device has failed
STARTED = 22 - 3  # of /proc/PID/stat behind the name: when the process began, in ticks since boot


@dataclasses.dataclass(frozen=True)
class Identity:
    """A process that owns trials.

    Attributes:
        host: the machine and process namespace in which `pid` means something.
        pid_started: in ticks since the host's boot, so that a step of its clock changes nothing.
    """

    name: str
    host: str
    pid: int
    pid_started: float

    @classmethod
    def this(cls) -> "Identity":
        """The present process."""
        pid = os.getpid()
        return cls(f"{socket.gethostname()}:{pid}", _host(), pid, _started(pid) or 0.0)

    @property
    def machine(self) -> str:
        """The machine alone: containers of one share it."""
        return self.host.rpartition("/")[0] or self.host

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this host, of which more than silence can be known."""
        return bool(self.pid) and self.host == _host()

    @property
    def has_left(self) -> bool:
        """Whether it has let go of the trial itself, since its device failed; the process may live on."""
        return self.pid_started == LEFT

    def is_dead(self) -> bool:
        """Whether the process ran here and is gone, or has let go itself. Pids of another host say nothing."""
        return self.has_left or (self.is_here and _started(self.pid) != self.pid_started)


@dataclasses.dataclass(frozen=True)
class Sighting:
    """A RUNNING trial as an observer sees it.

    Attributes:
        owner: token of the claim; empty where another tool runs the trial.
        grace_seconds: the owner's own.
        is_dead: whether its process is known to be gone, or has let go; otherwise an orphan has been silent.
        backend: what the trial must be trained with to its end; None where anything will do.
    """

    trial_id: int
    owner: str
    generation: int
    beat: int
    worker: Identity
    grace_seconds: float = GRACE_SECONDS
    is_dead: bool = False
    backend: str | None = None


class Watch:
    """One observer's memory of beats.

    A trial is an orphan when its process is known to be dead, or when this observer has seen the same beat for the
    owner's grace of uninterrupted contact with the database; where the process is known to live on this host, for
    `LIVING_GRACES` of them. An outage, or a pause of this very process, starts all counts again: so neither makes
    anybody stale, and clocks of different machines are never compared. What another tool runs is never an orphan: it
    does not beat.

    Where many trials run, a beat looks by lot (`is_drawn`). An orphan is taken by the first who asks for a trial and
    has seen its beat stand still for long enough: of many who look seldom, one has nearly as soon.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self.grace_seconds = grace_seconds
        self._lock = threading.Lock()
        self._since: dict[int, tuple[tuple[str, int, int], float]] = {}
        self._seen = 0
        self._last: float | None = None
        self._interruptions = 0

    @property
    def beat_seconds(self) -> float:
        """How often an owner beats and an observer looks."""
        return self.grace_seconds / BEATS_PER_GRACE

    @property
    def seen(self) -> int:
        """How many trials ran when it last looked."""
        return self._seen

    def keep(self, now: float, interruptions: int = 0) -> None:
        """The contact with the database goes on, without a look; see `look`."""
        with self._lock:
            self._keep(now, interruptions)

    def note(self, sightings: Iterable[Sighting], now: float, interruptions: int = 0) -> None:
        """Takes in what runs now; see `look`."""
        with self._lock:
            self._note([seen for seen in sightings if seen.owner], now, interruptions)

    def look(self, sightings: Iterable[Sighting], now: float, interruptions: int = 0) -> list[Sighting]:
        """Takes in what runs now and returns the orphans among it.

        Args:
            sightings: every RUNNING trial of the study that is not this process's own.
            now: this process's monotonic clock, seconds.
            interruptions: how often this process has lost the database so far.
        """
        owned = [seen for seen in sightings if seen.owner]
        with self._lock:
            self._note(owned, now, interruptions)
            silent = {seen.trial_id: now - self._since[seen.trial_id][1] for seen in owned}
        orphans = []
        for seen in owned:
            if seen.worker.is_dead():
                orphans.append(dataclasses.replace(seen, is_dead=True))
            elif silent[seen.trial_id] >= seen.grace_seconds * (LIVING_GRACES if seen.worker.is_here else 1):
                orphans.append(seen)
        return orphans

    def _note(self, owned: Collection[Sighting], now: float, interruptions: int) -> None:
        self._keep(now, interruptions)
        before, self._since, self._seen = self._since, {}, len(owned)
        for seen in owned:
            mark = (seen.owner, seen.generation, seen.beat)
            old = before.get(seen.trial_id)
            self._since[seen.trial_id] = (mark, old[1] if old and old[0] == mark else now)

    def _keep(self, now: float, interruptions: int) -> None:
        pause = now - self._last if self._last is not None else 0.0
        if interruptions != self._interruptions or pause > 2 * self.beat_seconds:
            self._since.clear()
        self._last, self._interruptions = now, interruptions


def is_drawn(seen: int) -> bool:
    """Whether a beat is to look where so many trials ran: always up to `LOOKERS`, of more that many do."""
    return LOT.random() * seen < LOOKERS


def _started(pid: int) -> float | None:
    """When a process began, in ticks since boot; None where it is gone, or dead and not yet waited for.

    Where there is no /proc it is what the system kept when the process began.
    """
    if not sys.platform.startswith("linux"):
        try:
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
        except psutil.NoSuchProcess:
            return None
    try:
        # a name may hold anything, brackets too
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZXx" else float(fields[STARTED])


@functools.cache
def _host() -> str:
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # containers of one machine share its boot, not their process numbers; a clone of a running virtual machine
        # shares both, but not the address of its network card
        namespace = pathlib.Path("/proc/self/ns/pid").readlink()
        cards = sorted(
            path.read_text().strip() for path in pathlib.Path("/sys/class/net").glob("*/address") if _is_card(path)
        )
        return f"{boot}/{hashlib.sha256(' '.join(cards).encode()).hexdigest()[:12]}/{namespace}"
    except OSError:
        return socket.gethostname()


def _is_card(address: pathlib.Path) -> bool:
    """Virtual ones, of containers, come and go."""
    return (address.parent / "device").exists()
