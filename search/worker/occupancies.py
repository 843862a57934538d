"""How many processes of one user train on a GPU of this machine now: a lock on a file for each, as places are."""

import contextlib
import logging
import pathlib
import threading
import time
from collections.abc import Callable, Sequence

from search import errors
from search.worker import leases

log = logging.getLogger("search")

LOOK_SECONDS = 0.2  # between two looks who trains there


class Occupancy:
    """Of the GPUs that the trials of one process are trained on, all at once.

    The kernel keeps the locks: one that is killed trains no longer, and workers of other studies and databases count.
    Where there is no folder for them, this process is taken for the only one.

    Args:
        folder: with the locks; None for the user's own.
        find: the UUIDs of the GPUs, asked where the first training begins.
    """

    def __init__(self, folder: pathlib.Path | None, find: Callable[[], Sequence[str]]) -> None:
        self._given, self._find = folder, find
        self._folder: pathlib.Path | None = None
        self._uuids: Sequence[str] = ()
        self._files: list[int] = []
        self._is_told = False  # that it is taken for the only one
        self._lock, self._ended = threading.Lock(), threading.Event()
        # seconds that it was billed, until when, and its share from then on
        self._billed, self._until, self._share = 0.0, time.perf_counter(), 1.0

    def begin(self) -> None:
        """From now on this process trains there."""
        with self._lock:
            if self._files:
                return
            try:
                self._uuids = self._uuids or self._find()
                self._folder = self._folder or leases.folder(self._given)
                for uuid in self._uuids:
                    self._files.append(leases.first_free(self._folder, _prefix(uuid)))
                self._see(self._found())
            except (errors.InputError, OSError, RuntimeError, AssertionError, AttributeError, ImportError) as error:
                self._let_go()  # of those that it had, or the others would share with nobody
                if not self._is_told:
                    log.warning(
                        "event=unshared reason=%r note='seconds of a GPU are billed as of one worker'", str(error)
                    )
                self._is_told = True
                return
            self._ended = threading.Event()
            threading.Thread(target=self._watch, args=(self._ended,), name="occupancy", daemon=True).start()

    def end(self) -> None:
        """It trains nothing there now."""
        with self._lock:
            self._ended.set()
            self._see(1.0)
            self._let_go()

    def share(self) -> float:
        """What this process has of a second of its GPUs: as much as each of the others that train there."""
        with self._lock:
            return self._found()

    def seconds(self) -> float:
        """Of a clock that goes by its share, as it was seen at the last look."""
        with self._lock:
            return self._billed + self._share * (time.perf_counter() - self._until)

    def _watch(self, ended: threading.Event) -> None:
        """Looks, since what trains may ask nothing for long."""
        while not ended.wait(LOOK_SECONDS):
            with self._lock, contextlib.suppress(OSError):
                if not ended.is_set():
                    self._see(self._found())

    def _see(self, share: float) -> None:
        """What has passed is billed by what was seen before: who comes takes nothing of it."""
        now = time.perf_counter()
        self._billed, self._until, self._share = self._billed + self._share * (now - self._until), now, share

    def _found(self) -> float:
        if not self._files:
            return 1.0
        return sum(1 / self._trained_by(uuid) for uuid in self._uuids) / len(self._uuids)

    def _let_go(self) -> None:
        while self._files:
            leases.let_go(self._files.pop())

    def _trained_by(self, uuid: str) -> int:
        """How many processes train on one, this one among them."""
        assert self._folder is not None
        return max(1, sum(leases.is_held(path) for path in self._folder.glob(f"{_prefix(uuid)}.*")))


def _prefix(uuid: str) -> str:
    return f"training-{uuid.replace('/', '_')}"


def of_torch(device: str) -> Callable[[], Sequence[str]]:
    """Finds the UUID of a CUDA device as PyTorch counts them: `cuda`, `cuda:1`."""

    def find() -> Sequence[str]:
        import torch  # it has been loaded by what trains there

        return [f"GPU-{torch.cuda.get_device_properties(torch.device(device)).uuid}"]

    return find
