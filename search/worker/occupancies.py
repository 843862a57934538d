"""How many processes of one user train on a GPU of this machine now: a lock on a file for each, as places are."""

import logging
import pathlib
import threading
import time
from collections.abc import Callable, Sequence

from search import errors
from search.worker import leases

log = logging.getLogger("search")

LOOK_SECONDS = 0.1  # as long a share is taken for what it was; a training asks every 0.2 s


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
        self._lock = threading.Lock()
        self._seen: tuple[float, float] = (float("-inf"), 1.0)  # when it looked, and the share that it saw

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
            except (errors.InputError, OSError, RuntimeError, AssertionError, AttributeError, ImportError) as error:
                self._let_go()  # of those that it had, or the others would share with nobody
                if not self._is_told:
                    log.warning(
                        "event=unshared reason=%r note='seconds of a GPU are billed as of one worker'", str(error)
                    )
                self._is_told = True
            self._seen = float("-inf"), 1.0

    def end(self) -> None:
        """It trains nothing there now."""
        with self._lock:
            self._let_go()

    def share(self) -> float:
        """What this process has of a second of its GPUs: as much as each of the others that train there."""
        with self._lock:
            if not self._files or self._folder is None:
                return 1.0
            at, share = self._seen
            if time.monotonic() - at >= LOOK_SECONDS:
                share = sum(1 / self._trained_by(uuid) for uuid in self._uuids) / len(self._uuids)
                self._seen = time.monotonic(), share
            return share

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
