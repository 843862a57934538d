"""A store in a folder: files that appear whole or not at all, whenever a process or the machine is gone."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO

PARTS = ".parts"  # what is being written; names of the store's own begin with no dot
STALE_SECONDS = 24 * 3600.0  # since the last byte: its writer is gone
# a mount that is away, and may come back
TRANSIENT = frozenset(
    getattr(errno, name)
    for name in ("EAGAIN", "EBUSY", "EINTR", "EIO", "ESTALE", "ETIMEDOUT", "EREMOTEIO", "ENOTCONN", "EHOSTDOWN")
    if hasattr(errno, name)
)


class Folder:
    """Files by their paths below a folder.

    Args:
        root: made with the first file.
    """

    def __init__(self, root: str) -> None:
        self._root = pathlib.Path(root)
        self._is_swept = False

    def is_transient(self, error: Exception) -> bool:
        """Whether the same call may succeed later."""
        return isinstance(error, OSError) and error.errno in TRANSIENT

    def put(self, path: str, content: BinaryIO) -> None:
        """Writes a file, in place of what is there."""
        with self._part() as part:
            with part.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)  # a temporary file is its owner's alone
            self._place(part, path)

    def copy(self, path: str, other: str) -> None:
        """Gives a file a second path; no file is ever changed, so that both may be one."""
        with self._part() as part:
            part.unlink()
            try:
                os.link(self._at(path), part)
            except FileNotFoundError:
                raise
            except OSError:  # FAT and some network mounts know no links
                shutil.copyfile(self._at(path), part)
            self._place(part, other)

    def _place(self, part: pathlib.Path, path: str) -> None:
        target = self._at(path)
        for is_last in (False, False, False, True):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.replace(target)
                break
            except FileNotFoundError:  # who removes the last file of a folder removes it too, in this moment
                if is_last:
                    raise
        _sync(target.parent)

    def open(self, path: str) -> BinaryIO:
        """A file, to read."""
        return self._at(path).open("rb")

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self._at(path).stat().st_size

    def remove(self, path: str) -> None:
        """Removes a file, and folders that are empty then; one that is not there is removed already."""
        self._at(path).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or filled in this moment
            for parent in self._at(path).parents:
                if parent == self._root or not parent.is_relative_to(self._root):
                    return
                parent.rmdir()

    def names(self, prefix: str) -> Iterator[str]:
        """Paths that begin so."""
        begin = self._at(prefix.rpartition("/")[0]) if "/" in prefix else self._root
        for folder, folders, found in os.walk(begin):
            folders[:] = [name for name in folders if name != PARTS]
            below = pathlib.Path(folder).relative_to(self._root)
            paths = ((below / name).as_posix() for name in found if not name.startswith("."))
            yield from (path for path in paths if path.startswith(prefix))

    def _at(self, path: str) -> pathlib.Path:
        return self._root / path

    @contextlib.contextmanager
    def _part(self) -> Iterator[pathlib.Path]:
        """A file to write, on the same disk; it is gone afterwards, unless it got another name."""
        parts = self._root / PARTS
        parts.mkdir(parents=True, exist_ok=True)
        self._sweep(parts)
        descriptor, name = tempfile.mkstemp(dir=parts)
        os.close(descriptor)
        try:
            yield pathlib.Path(name)
        finally:
            pathlib.Path(name).unlink(missing_ok=True)

    def _sweep(self, parts: pathlib.Path) -> None:
        """Removes what writers that were killed have left, once."""
        if self._is_swept:
            return
        self._is_swept = True
        for part in parts.iterdir():
            with contextlib.suppress(OSError):  # ended or removed in this moment
                if time.time() - part.stat().st_mtime > STALE_SECONDS:
                    part.unlink()


def _sync(folder: pathlib.Path) -> None:
    """Makes a rename last where the machine goes down; Windows has no such call."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
