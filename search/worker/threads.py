"""Trains several trials at once in one process: each in a thread of its own, admitted where its memory fits."""

import collections
import contextlib
import dataclasses
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import psutil

from search.worker import occupancies

log = logging.getLogger("search")

LOOK_SECONDS = 0.1
SETTLE_SECONDS = 5.0  # until what a training needs is taken, and shows in what is free
CGROUP = pathlib.Path("/sys/fs/cgroup")  # version 2: what a container sees of its own limit


@dataclasses.dataclass(eq=False)
class _Ticket:
    need: int
    alone: bool
    device: str
    since: float = 0.0


class Admission:
    """Who may train now. First come, first served, so that a large training is not passed over for ever.

    A training enters where a slot is free and the memory holds it beside those that have entered just now; one that
    finds nobody there always enters. Where memory runs out all the same, one slot fewer is used from then on, and a
    slot comes back for each round of trainings that end well.

    Args:
        slots: trainings at once, at most.
        free: bytes that are free now, by the kind of a device; what trains on a GPU takes of its memory.
        occupied: by which processes their GPU is; None where only this one trains there.
    """

    def __init__(self, slots: int, free: Callable[[str], int], occupied: occupancies.Occupancy | None = None) -> None:
        self._slots, self._free, self._occupied = slots, free, occupied
        self._allowed = float(slots)
        self._inside: list[_Ticket] = []
        self._queue: collections.deque[_Ticket] = collections.deque()
        self._lock = threading.Lock()
        self._shares: dict[str, tuple[float, float]] = {}  # seconds of a share of a device, and when that was so

    @property
    def allowed(self) -> int:
        """How many may train at once after what memory has taught so far."""
        return int(self._allowed)

    @property
    def is_shared(self) -> bool:
        """Whether more than one trains now."""
        with self._lock:
            return len(self._inside) > 1

    @property
    def is_open(self) -> bool:
        """Whether one more may come: a slot is free, and nobody waits or needs to be alone."""
        with self._lock:
            return not self._queue and len(self._inside) < self.allowed and not any(t.alone for t in self._inside)

    @contextlib.contextmanager
    def enter(self, need: int, check: Callable[[], None], alone: bool = False, device: str = "cpu") -> Iterator[None]:
        """Waits for room and keeps it as long as the context lasts.

        Args:
            need: bytes of the training.
            check: called while it waits; what it raises ends the wait.
            alone: with no other training beside it, from its start to its end.
            device: the kind of the one that it takes its memory of.
        """
        ticket = _Ticket(need, alone, device)
        with self._lock:
            self._queue.append(ticket)
        try:
            while not self._admit(ticket):
                check()
                time.sleep(LOOK_SECONDS)
            yield
        finally:
            with self._lock:
                self._share(device)
                for where in (self._queue, self._inside):
                    if ticket in where:
                        where.remove(ticket)
                if self._occupied is not None and all(other.device == "cpu" for other in self._inside):
                    self._occupied.end()

    def clock(self, device: str) -> Callable[[], float]:
        """The seconds that a training is billed: on a GPU its share, where others train beside it, here or elsewhere.

        On the CPU a training has a core, beside others too, so they are those of the clock on the wall.
        """
        if device == "cpu":
            return time.perf_counter

        def seconds() -> float:
            with self._lock:
                return self._share(device)

        return seconds

    def _share(self, device: str) -> float:
        """A second is divided among the processes that train on the device in it, and that part among their trainings.

        Under the lock, before the number of these changes.
        """
        now = time.perf_counter() if self._occupied is None or device == "cpu" else self._occupied.seconds()
        spent, since = self._shares.get(device, (0.0, now))
        inside = sum(ticket.device == device for ticket in self._inside)
        self._shares[device] = spent + (now - since) / max(1, inside), now
        return self._shares[device][0]

    def crowded(self) -> None:
        """Memory ran out with as many as train now."""
        with self._lock:
            self._allowed = float(max(1, min(self.allowed, len(self._inside)) - 1))

    def went_well(self) -> None:
        """A training ended without that."""
        with self._lock:
            self._allowed = min(float(self._slots), self._allowed + 1 / self.allowed)

    def _admit(self, ticket: _Ticket) -> bool:
        with self._lock:
            if self._queue[0] is not ticket or not self._fits(ticket):
                return False
            self._queue.popleft()
            self._share(ticket.device)
            if self._occupied is not None and ticket.device != "cpu":
                self._occupied.begin()
            ticket.since = time.monotonic()
            self._inside.append(ticket)
            return True

    def _fits(self, ticket: _Ticket) -> bool:
        if not self._inside:
            return True
        if ticket.alone or any(other.alone for other in self._inside) or len(self._inside) >= self.allowed:
            return False
        young = time.monotonic() - SETTLE_SECONDS
        beside = [other.need for other in self._inside if other.since > young and other.device == ticket.device]
        return ticket.need + sum(beside) <= self._free(ticket.device)


class Threads:
    """Runs jobs in as many threads as there are slots; with one slot, in the caller's.

    Args:
        stop: set where a job raised, so that the others end too.
    """

    def __init__(self, slots: int, stop: threading.Event) -> None:
        self._stop = stop
        self._pool = futures.ThreadPoolExecutor(slots, "slot") if slots > 1 else None
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for the jobs.

        Raises:
            BaseException: what one of them raised, the first of all.
        """
        if kind is not None:
            self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        if self._error is not None:  # it comes first: whatever ended the worker may have come of it
            raise self._error

    def wait(self, seconds: float) -> None:
        """Until a job ends, the worker is to stop, or the time is over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            if self._ended.wait(min(LOOK_SECONDS, left)):
                self._ended.clear()
                return

    def start(self, job: Callable[[], None]) -> None:
        """Runs a job: in a thread, or to its end."""
        if self._pool is None:
            job()
            return
        self._pool.submit(self._guard, job)

    def _guard(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  # it is raised again in the caller's thread
            self._error = self._error or error
            self._stop.set()
        finally:
            self._ended.set()


def free_bytes(device: str = "cpu") -> int:
    """Memory that new trainings may take: of this machine, or of this container where that is less, or of a GPU."""
    if device != "cpu":
        return _free_of_gpu()
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no such limit: "max" is no number
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used + _reclaimable())
    return free


def _free_of_gpu() -> int:
    """Of the CUDA device that this process uses, with what PyTorch holds of it and does not use."""
    import torch  # it has been loaded by what trains there

    every = range(torch.cuda.device_count())
    used = [index for index in every if torch.cuda.memory_reserved(index)] or every
    kept = (torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index) for index in used)
    return min(int(torch.cuda.mem_get_info(index)[0]) + more for index, more in zip(used, kept, strict=True))


def _reclaimable() -> int:
    """Bytes of files read long ago, which the kernel drops before the limit is felt; they count as used until then."""
    with contextlib.suppress(OSError, ValueError):
        for line in (CGROUP / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    return 0
