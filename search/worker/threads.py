"""Trains several trials at once in one process: each in a thread of its own, admitted where its memory fits."""

import collections
import contextlib
import dataclasses
import logging
import pathlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import psutil

log = logging.getLogger("search")

LOOK_SECONDS = 0.1
SETTLE_SECONDS = 5.0  # until what a training needs is taken, and shows in what is free
CGROUP = pathlib.Path("/sys/fs/cgroup")  # version 2: what a container sees of its own limit


@dataclasses.dataclass(eq=False)
class _Ticket:
    need: int
    alone: bool
    since: float = 0.0


class Admission:
    """Who may train now. First come, first served, so that a large training is not passed over for ever.

    A training enters where a slot is free and the memory holds it beside those that have entered just now; one that
    finds nobody there always enters. Where memory runs out all the same, one slot fewer is used from then on, and a
    slot comes back for each round of trainings that end well.

    Args:
        slots: trainings at once, at most.
        free: bytes that are free now.
    """

    def __init__(self, slots: int, free: Callable[[], int]) -> None:
        self._slots, self._free = slots, free
        self._allowed = float(slots)
        self._inside: list[_Ticket] = []
        self._queue: collections.deque[_Ticket] = collections.deque()
        self._lock = threading.Lock()

    @property
    def allowed(self) -> int:
        """How many may train at once after what memory has taught so far."""
        return int(self._allowed)

    @property
    def is_open(self) -> bool:
        """Whether one more may come: a slot is free, and nobody waits or needs to be alone."""
        with self._lock:
            return not self._queue and len(self._inside) < self.allowed and not any(t.alone for t in self._inside)

    @contextlib.contextmanager
    def enter(self, need: int, check: Callable[[], None], alone: bool = False) -> Iterator[None]:
        """Waits for room and keeps it as long as the context lasts.

        Args:
            need: bytes of the training.
            check: called while it waits; what it raises ends the wait.
            alone: with no other training beside it, from its start to its end.
        """
        ticket = _Ticket(need, alone)
        with self._lock:
            self._queue.append(ticket)
        try:
            while not self._admit(ticket):
                check()
                time.sleep(LOOK_SECONDS)
            yield
        finally:
            with self._lock:
                for where in (self._queue, self._inside):
                    if ticket in where:
                        where.remove(ticket)

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
            ticket.since = time.monotonic()
            self._inside.append(ticket)
            return True

    def _fits(self, ticket: _Ticket) -> bool:
        if not self._inside:
            return True
        if ticket.alone or any(other.alone for other in self._inside) or len(self._inside) >= self.allowed:
            return False
        young = time.monotonic() - SETTLE_SECONDS
        return ticket.need + sum(other.need for other in self._inside if other.since > young) <= self._free()


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


def free_bytes() -> int:
    """Memory of this machine, its container, or a GPU that is in use here, whichever is least, for new trainings."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no such limit: "max" is no number
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        free = min(free, limit - used + _reclaimable())
    return min([free, *_free_on_devices()])


def _free_on_devices() -> list[int]:
    """Of each CUDA device that this process has memory of: what is free, and what PyTorch keeps for the next one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    used = [index for index in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(index)]
    kept = (torch.cuda.memory_reserved(index) - torch.cuda.memory_allocated(index) for index in used)
    return [torch.cuda.mem_get_info(index)[0] + more for index, more in zip(used, kept, strict=True)]


def _reclaimable() -> int:
    """Bytes of files read long ago, which the kernel drops before the limit is felt; they count as used until then."""
    with contextlib.suppress(OSError, ValueError):
        for line in (CGROUP / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file":
                return int(value)
    return 0
