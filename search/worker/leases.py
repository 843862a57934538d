"""Which GPUs are whose, among the workers of one user on this machine: a lock on a file for each place on a GPU.

The kernel keeps the locks: the places of a worker are free in the moment in which it ends, however it does. They hold
across containers that share the folder, too.
"""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import stat
import time
from collections.abc import Iterator, Sequence

from search import errors
from search.worker.devices import Gpu

# not TMPDIR, which batch systems set for each job, nor what is emptied when a user logs out
OWN_FOLDER = "/tmp/optuna-search-service-{}"  # noqa: S108  # of a user's number
TRY_SECONDS = 0.01
CHOOSING_SECONDS = 30.0  # whoever chooses takes some milliseconds


@dataclasses.dataclass(frozen=True)
class Lease:
    """Places on GPUs that nobody else has, until `close`, or the end of this process.

    Attributes:
        gpus: in the order of their numbers; a place on each.
        beside: other workers on them when they were taken.
    """

    gpus: tuple[Gpu, ...]
    beside: int
    _files: tuple[int, ...]

    def close(self) -> None:
        """Gives them back."""
        for file in self._files:
            let_go(file)


class Places:
    """The places on GPUs, K on each.

    Where workers disagree about K, the lowest of those that are on a GPU counts there.

    Args:
        given: the folder with the files; None for one of the user's own.
        per_gpu: K.

    Raises:
        errors.InputError: the folder cannot be written, or it is not the user's own.
    """

    def __init__(self, given: pathlib.Path | None, per_gpu: int) -> None:
        self._folder, self._per_gpu = folder(given), per_gpu

    def take(self, gpus: Sequence[Gpu], count: int) -> Lease | None:
        """A place on so many of them, the least busy; None where too few have any left.

        The fewest workers of ours come first, then the least memory taken, then the least at work.
        """
        with self._choosing():
            holders = {gpu.uuid: self._holders(gpu) for gpu in gpus}
            free = [gpu for gpu in gpus if self._left(holders[gpu.uuid]) > 0]
            free.sort(key=lambda gpu: (len(holders[gpu.uuid]), gpu.memory_mib, gpu.busy_percent))
            if len(free) < count:
                return None
            taken = sorted(free[:count], key=gpus.index)
            beside = sum(len(holders[gpu.uuid]) for gpu in taken)
            return Lease(tuple(taken), beside, tuple(self._lock(gpu) for gpu in taken))

    def room(self, gpus: Sequence[Gpu], count: int) -> int:
        """How many workers would find places on so many each, now."""
        with self._choosing():
            left = {gpu.uuid: self._left(self._holders(gpu)) for gpu in gpus}
        for workers in itertools.count():
            most = sorted(left, key=lambda uuid: -left[uuid])[:count]
            if len(most) < count or left[most[-1]] < 1:
                return workers
            for uuid in most:
                left[uuid] -= 1
        raise AssertionError

    def _left(self, holders: list[int]) -> int:
        return min([self._per_gpu, *holders]) - len(holders)

    def _holders(self, gpu: Gpu) -> list[int]:
        """The K of each worker that has a place on it."""
        found = []
        for path in self._folder.glob(f"{_file_name(gpu)}.*"):
            file = _try(path)
            if file is None:
                try:
                    found.append(int(path.read_text(encoding="ascii")))
                except (OSError, ValueError):  # held by something else: nobody beside it
                    found.append(1)
            else:
                let_go(file)
        return found

    def _lock(self, gpu: Gpu) -> int:
        """The first place that is free; to be called by whoever chooses."""
        file = first_free(self._folder, _file_name(gpu))
        os.truncate(file, 0)
        os.write(file, str(self._per_gpu).encode())
        return file

    @contextlib.contextmanager
    def _choosing(self) -> Iterator[None]:
        """One at a time."""
        deadline = time.monotonic() + CHOOSING_SECONDS
        while (file := _try(self._folder / "choosing")) is None:
            if time.monotonic() > deadline:
                raise errors.InputError(f"somebody holds the lock {self._folder / 'choosing'}; who: lsof, fuser")
            time.sleep(TRY_SECONDS)
        try:
            yield
        finally:
            let_go(file)


def first_free(where: pathlib.Path, name: str) -> int:
    """The first of the files NAME.0, NAME.1, ... that nobody has, locked.

    Raises:
        errors.InputError: they cannot be written.
    """
    return next(file for number in itertools.count() if (file := _try(where / f"{name}.{number}")) is not None)


def is_held(path: pathlib.Path) -> bool:
    """Whether a process has a file; two that look at once do not take each other for one that has."""
    import fcntl

    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks: nobody has any there
        return False
    finally:
        let_go(file)
    return False


def let_go(file: int) -> None:
    """Unlocks a file and closes it; closed alone, it stays locked as long as a fork of this process lives."""
    import fcntl

    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _file_name(gpu: Gpu) -> str:
    return gpu.uuid.replace("/", "_")


def _try(path: pathlib.Path) -> int | None:
    """The file, locked; None where another process has it.

    A lock of BSD's kind: only so is it left alone by what cleans /tmp. A program that is started does not inherit it.

    Raises:
        errors.InputError: it cannot be written.
    """
    import fcntl  # Windows has none, and no workers

    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise errors.InputError(f"--gpu-locks must be a folder that can be written: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), path.stat()):  # it was not deleted meanwhile
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(file)
            raise errors.InputError(f"--gpu-locks must be a folder that has locks: {error}") from error
        os.close(file)


def folder(given: pathlib.Path | None) -> pathlib.Path:
    """The folder with locks, made where it is missing.

    Args:
        given: None for one of the user's own.

    Raises:
        errors.InputError: it cannot be written, or it is not the user's own.
    """
    path = given or pathlib.Path(OWN_FOLDER.format(os.getuid()))
    try:
        path.mkdir(mode=0o700, parents=given is not None, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise errors.InputError(f"--gpu-locks must be a folder that can be made: {error}") from error
    if given is None and (not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022):
        raise errors.InputError(
            f"{path} must be a folder that is yours alone; another one: --gpu-locks (SEARCH_GPU_LOCKS)"
        )
    return path
