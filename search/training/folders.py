"""The folder of each trial of code of the user's own on this machine: what it prints, and files that it works with."""

import pathlib
import shutil
import uuid

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

    def of(self, number: int) -> "Folder":
        """A trial's; it need not be there."""
        return Folder(self._path / str(number))


class Folder:
    """One trial's."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def begin(self, is_new: bool, goes_on: bool) -> None:
        """Makes it; what an earlier trial of this number, or a training that starts over, had left goes.

        Args:
            is_new: nobody has begun the trial before.
            goes_on: from a checkpoint.
        """
        if is_new:
            shutil.rmtree(self.path, ignore_errors=True)
        elif not goes_on and self.path.is_dir():
            for each in self.path.iterdir():
                if each.name not in (LOG, EARLIER_LOG, KEPT):
                    _remove(each)
        for each in (self.scratch, self.checkpoint):
            _remove(each)
        self.path.mkdir(parents=True, exist_ok=True)

    def keep(self, path: pathlib.Path) -> pathlib.Path:
        """Takes a file out of reach of the code; returns where it is now."""
        kept = self.path / KEPT
        kept.mkdir(exist_ok=True)
        return pathlib.Path(shutil.move(path, kept / uuid.uuid4().hex))

    def end(self) -> None:
        """What only a training needs goes, and the folder where nothing else is in it."""
        for each in (self.scratch, self.checkpoint, self.path / PARAMS):
            _remove(each)
        self._leave()

    def finish(self) -> None:
        """What was kept goes, too."""
        _remove(self.path / KEPT)
        self._leave()

    def _leave(self) -> None:
        for each in (self.path, self.path.parent):
            try:
                each.rmdir()
            except OSError:  # there is something in it
                return

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
