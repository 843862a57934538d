"""The store of a study: files that are too large for its database, in a folder or in a bucket of an S3-like service.

A file appears whole or not at all, and is not changed once it is there, but for one that is put in its place.
"""

import contextlib
import functools
import os
import pathlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, TypeVar

import sqlalchemy
import tenacity

from search import errors, files
from search.storage import addresses, buckets, folders, locations

T = TypeVar("T")
SQLITE_ENDINGS = (".db", ".sqlite", ".sqlite3")
VARIABLE = "SEARCH_STORE"  # of the environment
FOLDER = pathlib.Path("runs")  # of a Postgres storage's store
PATIENCE_SECONDS = 30.0
BACKOFF_SECONDS, BACKOFF_LIMIT_SECONDS = 0.1, 5.0
PIECE_BYTES = 1 << 20

OnBytes = Callable[[int], None]
SILENT: OnBytes = lambda count: None  # noqa: E731


class Missing(errors.StorageError):
    """There is no such file in the store."""


class Place(Protocol):
    """What keeps the files; paths are plain ASCII here. It raises what its library raises."""

    def is_transient(self, error: Exception) -> bool:
        """Whether the same call may succeed later."""

    def put(self, path: str, content: BinaryIO) -> None:
        """Writes a file, in place of what is there, in one step."""

    def copy(self, path: str, other: str) -> None:
        """Gives a file a second path."""

    def open(self, path: str) -> BinaryIO:
        """A file, to read."""

    def size(self, path: str) -> int:
        """Bytes of a file."""

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is removed already."""

    def names(self, prefix: str) -> Iterator[str]:
        """Paths that begin so."""


class Store:
    """Files by their paths, whose parts, between slashes, may hold any characters.

    Nothing is asked of the place before the first call. A place that is away is asked again.

    Args:
        url: a folder, `file:///FOLDER`, or `s3://BUCKET/PREFIX`; credentials come from the environment.
        patience_seconds: how long one call waits for it.
        stop: ends a wait early.

    Attributes:
        url: the same in its one form, without secrets.

    Raises:
        errors.InputError: no such place, or the library for it is not installed.
    """

    def __init__(
        self, url: str, patience_seconds: float = PATIENCE_SECONDS, stop: threading.Event | None = None
    ) -> None:
        self.url = locations.check(url)
        self._patience_seconds, self._stop = patience_seconds, stop or threading.Event()
        is_folder = locations.is_folder(self.url)
        self._place: Place = folders.Folder(self.url) if is_folder else _bucket(self.url)

    def put(self, path: str, source: pathlib.Path) -> None:
        """Writes a file, in place of what is there; a reader never sees half of it.

        Raises:
            OSError: the source cannot be read.
            errors.StorageError: the store cannot be written.
        """
        with source.open("rb") as content:
            self.put_stream(path, content)

    def put_stream(self, path: str, content: BinaryIO) -> None:
        """The same from an open file, read from its start."""
        written = locations.encoded(path)

        def put() -> None:
            content.seek(0)
            self._place.put(written, content)

        self._call(put, path)

    def fetch(self, path: str, target: pathlib.Path, on_bytes: OnBytes = SILENT) -> None:
        """Writes what is at a path into a file, in place of what is there, in one step.

        Args:
            on_bytes: is told of each piece how long it is.

        Raises:
            Missing: there is none.
            OSError: the target cannot be written.
            errors.StorageError: the store cannot be read.
        """
        written = locations.encoded(path)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:100]}", delete=False) as file:
            part = pathlib.Path(file.name)
        try:
            self._call(lambda: self._read_into(written, part, on_bytes), path)
            part.chmod(0o644)  # a temporary file is its owner's alone
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def open(self, path: str) -> BinaryIO:
        """What is at a path, to read; what the place raises while it is read comes as it is.

        Raises:
            Missing: there is none.
            errors.StorageError: the store cannot be read.
        """
        written = locations.encoded(path)
        return self._call(lambda: self._place.open(written), path)

    def size(self, path: str) -> int:
        """Bytes of what is at a path.

        Raises:
            Missing: there is none.
            errors.StorageError: the store cannot be read.
        """
        written = locations.encoded(path)
        return self._call(lambda: self._place.size(written), path)

    def copy(self, path: str, other: str, to: "Store") -> None:
        """Puts what is at a path into a store, the same one or another, without sending it through here where it can.

        Raises:
            Missing: there is none.
            errors.StorageError: a store cannot be read or written.
        """
        if to.url == self.url:
            source, target = locations.encoded(path), locations.encoded(other)
            self._call(lambda: self._place.copy(source, target), path)
            return
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "file")
            self.fetch(path, file)
            to.put(other, file)

    def remove(self, path: str) -> None:
        """Removes what is at a path; nothing there is no error.

        Raises:
            errors.StorageError: the store cannot be written.
        """
        written = locations.encoded(path)
        self._call(lambda: self._place.remove(written), path)

    def remove_all(self, prefix: str) -> int:
        """Removes all whose path begins so, and returns how many. `a/b/` is what lies in it, `a/b` also `a/bc`.

        Raises:
            errors.StorageError: the store cannot be written; some may be removed by then.
        """
        found = self.names(prefix)
        for path in found:
            self.remove(path)
        return len(found)

    def names(self, prefix: str = "") -> list[str]:
        """All paths that begin so, in their order.

        Raises:
            errors.StorageError: the store cannot be read.
        """
        begin = locations.encoded(prefix, is_prefix=True)
        return sorted(locations.decoded(path) for path in self._call(lambda: list(self._place.names(begin)), prefix))

    def _read_into(self, written: str, part: pathlib.Path, on_bytes: OnBytes) -> None:
        with contextlib.closing(self._place.open(written)) as content, part.open("wb") as file:
            while piece := content.read(PIECE_BYTES):
                file.write(piece)
                on_bytes(len(piece))

    def _call(self, request: Callable[[], T], path: str) -> T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, Exception) and self._place.is_transient(e)),
            wait=tenacity.wait_random_exponential(multiplier=BACKOFF_SECONDS, max=BACKOFF_LIMIT_SECONDS),
            stop=tenacity.stop_after_delay(self._patience_seconds) | tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            return retrying(request)
        except FileNotFoundError as error:
            raise Missing(f"store {self.url} has no {path!r}, or is not there itself") from error
        except Exception as error:
            if isinstance(error, errors.SearchError):
                raise
            said = addresses.scrub(" ".join(str(error).split())) or type(error).__name__
            more = " stayed away" if self._place.is_transient(error) else " cannot be used"
            raise errors.StorageError(f"store {self.url}{more}: {said[:500]}; at {path!r}") from error


# made once for a process: what speaks to a service has connections of its own, and takes a while to load
_bucket = functools.lru_cache(buckets.Bucket)


def location(of_study: str | None, storage: str, given: str | None = None) -> str:
    """Where the files of a study are: what its file says, else what is given here, else beside the database.

    Args:
        of_study: `[trial] store`.
        storage: address of the database.
        given: `--store`; the environment's `SEARCH_STORE` where it is None.

    Raises:
        errors.InputError: no such place.
    """
    if of_study:
        return locations.check(of_study, "trial.store")
    if chosen := given or os.environ.get(VARIABLE):
        return locations.check(chosen, "--store")
    return locations.check(str(beside(storage, ".store")))


def beside(storage: str, ending: str) -> pathlib.Path:
    """A folder for files of a database's trials: beside a SQLite file, else below `runs` in the working folder."""
    file = addresses.sqlite_file(storage)
    if file is not None:
        name = file.stem if file.suffix in SQLITE_ENDINGS else file.name
        return file.with_name(f"{name}{ending}")
    name = sqlalchemy.make_url(storage).database or "search"
    return FOLDER / f"{files.safe_name(name)}{ending}"
