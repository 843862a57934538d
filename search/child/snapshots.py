"""What code of the user's own keeps to go on from, as one file: bytes, a file, or a folder as a tar archive."""

import os
import pathlib
import shutil
import stat
import tarfile
import time
from collections.abc import Callable
from typing import Any

State = list[tuple[str, int, int]]
BYTES, FILE, FOLDER = "bytes", "file", "folder"
SCRATCH = ".search"  # below a trial's folder: files on their way between the two processes
OURS = (SCRATCH, ".kept")  # folders of the search's in that of a trial
TRIES, TRY_SECONDS = 5, 0.2


class Unsettled(Exception):
    """The folder changes while it is read."""


def keep(given: Any, target: pathlib.Path) -> str:
    """Writes it to a file; returns its kind.

    Raises:
        TypeError: it is neither bytes nor a path.
        OSError: there is nothing, or it cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(given, (bytes, bytearray, memoryview)):
        target.write_bytes(given)
        return BYTES
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f"a checkpoint must be bytes, or the path of a file or folder, got {type(given).__name__}")
    source = pathlib.Path(given)
    if source.is_dir():
        pack(source, target)
        return FOLDER
    shutil.copyfile(source, target)
    return FILE


def give_back(kept: pathlib.Path, kind: str, folder: pathlib.Path) -> bytes | pathlib.Path:
    """The bytes, or a copy of the file or folder below `folder`."""
    if kind == BYTES:
        return kept.read_bytes()
    target = folder / "restored"
    if kind == FOLDER:
        unpack(kept, target)
    else:
        shutil.copyfile(kept, target)
    return target


def pack(
    folder: pathlib.Path, target: pathlib.Path, rest_seconds: float = 0.0, is_wanted: Callable[[], bool] = lambda: True
) -> State:
    """All files of a folder as they are at one moment, whose `state` it returns.

    Args:
        rest_seconds: since the last change of a file, where nobody says that they are whole.
        is_wanted: asked at that moment.

    Raises:
        Unsettled: they do not keep still, or are not wanted as they are.
        OSError: they cannot be read, or there is no room for them.
    """
    failure: OSError | None = None
    is_left = rest_seconds > 0
    for _ in range(TRIES):
        before, failure = state(folder, is_left), None
        if time.time() - max((changed for _, _, changed in before), default=0) / 1e9 >= rest_seconds:
            if not is_wanted():
                break
            try:
                with tarfile.open(target, "w", dereference=True) as archive:
                    for name, _, _ in before:
                        archive.add(folder / name, name, recursive=False)
                if state(folder, is_left) == before:
                    return before
            except FileNotFoundError:  # a file that was renamed meanwhile
                pass
            except OSError as error:
                failure = error
        time.sleep(TRY_SECONDS)
    target.unlink(missing_ok=True)
    raise failure or Unsettled


def unpack(kept: pathlib.Path, folder: pathlib.Path) -> None:
    """Puts the files of an archive into a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(kept) as archive:
        archive.extractall(folder, filter="data")


def state(folder: pathlib.Path, is_left: bool = True) -> State:
    """Name, size and time of change, in nanoseconds, of each file that counts, and of folders the name.

    Links to folders are left out, and what the search itself keeps in the folder of a trial.

    Args:
        is_left: so is what begins with a dot or ends in `.tmp`, as on its way to another name.
    """

    def counts(name: str, endings: tuple[str, ...] = ()) -> bool:
        return not (is_left and (name.startswith(".") or name.endswith(endings)))

    found: State = []
    for place, folders, files in os.walk(folder):
        here = pathlib.Path(place)
        folders[:] = sorted(
            name for name in folders if name not in OURS and counts(name) and not (here / name).is_symlink()
        )
        found += [(str((here / name).relative_to(folder)), 0, 0) for name in folders]
        for path in (here / name for name in sorted(files) if counts(name, (".tmp",))):
            try:
                about = path.stat()
            except OSError:  # renamed meanwhile, or a link to nothing or to itself
                continue
            if stat.S_ISREG(about.st_mode):
                found.append((str(path.relative_to(folder)), about.st_size, about.st_mtime_ns))
    return found
