"""The folder of each trial of code of the user's own on this machine: what it prints, and files that it works with."""

import contextlib
import itertools
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable

from search import files

LOG, EARLIER_LOG, CHECKPOINT, PARAMS = "log.txt", "log.earlier.txt", "checkpoint", "params.json"
SCRATCH, KEPT = ".search", ".kept"


class Folders:
    """Those of one study.

    Args:
        root: of the trials of one database.
        study: its name.
    """

    def __init__(self, root: pathlib.Path, study: str) -> None:
        self._path = root.absolute() / files.safe_name(study)
        self._held: dict[object, Folder] = {}

    def begin(self, trial: object, number: int, is_new: bool, goes_on: bool) -> "Folder":
        """A trial's, made for its training, until its `finish`.

        What an earlier trial of this number, or a training that starts over, had left goes. Where a former owner of the
        trial, one that was thought to be dead, still has the folder, it is another one, `7-2`.

        Args:
            trial: whose it is; tried again, it finds the one that it has.
            is_new: nobody has begun the trial before.
            goes_on: from a checkpoint.
        """
        folder = self._held.get(trial)
        if folder is None:
            names = itertools.chain((str(number),), (f"{number}-{place}" for place in itertools.count(2)))
            places = (Folder(self._path / name, lambda: self._held.pop(trial, None)) for name in names)
            folder = self._held[trial] = next(place for place in places if place.hold())
        folder.clear(is_new, goes_on)
        return folder

    def find(self, number: int) -> "Folder":
        """A trial's, as the last to train it here has left it; it need not be there."""
        found = [Folder(path) for path in (self._path / str(number), *self._path.glob(f"{number}-*"))]
        return max(found, key=lambda each: max((log.stat().st_mtime for log in each.logs), default=0.0))


class Folder:
    """One trial's.

    Args:
        finished: called when it is held no more.
    """

    def __init__(self, path: pathlib.Path, finished: Callable[[], object] = lambda: None) -> None:
        self.path, self._finished = path, finished
        self._lock = -1

    def hold(self) -> bool:
        """Whether it is this process's now; a lock on the folder itself, which a process that is killed leaves."""
        import fcntl  # Windows, which trains no code of the user's own, has none

        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._lock)
                return False
            except OSError:  # a file system without locks: the number is the best there is
                return True
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._lock), self.path.stat()):
                    return True
            os.close(self._lock)  # of a folder that was removed in this moment

    def clear(self, is_new: bool, goes_on: bool) -> None:
        """See `Folders.begin`."""
        keeps = () if is_new else (LOG, EARLIER_LOG, KEPT)
        for each in self.path.iterdir():
            if each.name in (SCRATCH, CHECKPOINT) or not (goes_on or each.name in keeps):
                _remove(each)

    def keep(self, path: pathlib.Path) -> pathlib.Path:
        """Takes a file out of reach of the code; returns where it is now."""
        kept = self.path / KEPT
        kept.mkdir(exist_ok=True)
        return pathlib.Path(shutil.move(path, kept / uuid.uuid4().hex))

    def end(self) -> None:
        """What only a training needs goes."""
        for each in (self.scratch, self.checkpoint, self.path / PARAMS):
            _remove(each)

    def finish(self) -> None:
        """What was kept goes, too; the folder where nothing else is in it."""
        _remove(self.path / KEPT)
        with contextlib.suppress(OSError):  # there is something in it
            self.path.rmdir()
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1
        self._finished()

    @property
    def scratch(self) -> pathlib.Path:
        """For files on their way between the worker and the code."""
        return self.path / SCRATCH

    @property
    def checkpoint(self) -> pathlib.Path:
        """What a program keeps to go on from."""
        return self.path / CHECKPOINT

    @property
    def logs(self) -> list[pathlib.Path]:
        """What there is of its output, the oldest first."""
        return [each for each in (self.path / EARLIER_LOG, self.path / LOG) if each.is_file()]


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
