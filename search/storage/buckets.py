"""A store in a bucket of an S3-like service, through fsspec: an object appears whole, when its upload has ended."""

import importlib
import shutil
from collections.abc import Iterator
from typing import Any, BinaryIO

from search import errors

EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs"}
PIECE_BYTES = 1 << 23
# tries are the store's own, which stops between them where its process is asked to
QUICK = {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 0}}
# what no wait mends, by the names that libraries of services have for it
HOPELESS = (
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoRegionError"),
    *("ParamValidationError", "InvalidConfigError", "InvalidEndpointConfigurationError", "UnknownServiceError"),
    *("DefaultCredentialsError", "ClientAuthenticationError"),
)


class Bucket:
    """Objects by their paths below a prefix of a bucket.

    Args:
        url: as `locations.check` gives it.

    Raises:
        errors.InputError: the library for it is not installed.
    """

    def __init__(self, url: str) -> None:
        scheme, _, self._root = url.partition("://")
        try:
            self._service = _service(scheme)
        except ImportError as error:
            name = EXTRAS[scheme]
            more = " (`pip install 'optuna-search-service[s3]'`)" if name == "s3fs" else ""
            raise errors.InputError(f"a store at {scheme}:// needs the package {name}{more}: {error}") from error

    def is_transient(self, error: Exception) -> bool:
        """Whether the same call may succeed later."""
        if isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)):
            return False
        return not isinstance(error, (ValueError, TypeError)) and type(error).__name__ not in HOPELESS

    def put(self, path: str, content: BinaryIO) -> None:
        """Writes an object, in place of what is there."""
        with self._service.open(self._at(path), "wb", block_size=PIECE_BYTES) as file:
            try:
                shutil.copyfileobj(content, file, PIECE_BYTES)
            except BaseException:
                file.discard()  # what was sent becomes no object
                file.closed = True
                raise

    def copy(self, path: str, other: str) -> None:
        """Copies an object within the service."""
        self._service.invalidate_cache()
        self._service.cp_file(self._at(path), self._at(other))

    def open(self, path: str) -> BinaryIO:
        """An object, to read."""
        self._service.invalidate_cache()
        opened: BinaryIO = self._service.open(self._at(path), "rb", block_size=PIECE_BYTES)
        return opened

    def size(self, path: str) -> int:
        """Bytes of an object."""
        self._service.invalidate_cache()
        return int(self._service.info(self._at(path))["size"])

    def remove(self, path: str) -> None:
        """Removes an object; one that is not there is removed already."""
        try:
            self._service.rm_file(self._at(path))
        except FileNotFoundError:
            return

    def names(self, prefix: str) -> Iterator[str]:
        """Paths that begin so."""
        self._service.invalidate_cache()
        folder, _, name = self._at(prefix).rpartition("/")
        try:
            found = self._service.find(folder, prefix=name)
        except FileNotFoundError:  # nothing was ever put there, or no such bucket: the next write says so
            return
        begin = len(self._root) + 1
        yield from (path[begin:] for path in found if path[begin:].startswith(prefix))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


def _service(scheme: str) -> Any:
    """What speaks to it; the environment alone says who asks, and where: credentials, endpoint, FSSPEC_S3.

    Raises:
        ImportError: it is not installed.
    """
    fsspec = importlib.import_module("fsspec")  # a folder needs none of it
    if not scheme.startswith("s3"):
        return fsspec.filesystem(scheme, skip_instance_cache=True)
    given = importlib.import_module("fsspec.config").conf.get(scheme, {}).get("config_kwargs", {})
    service = fsspec.filesystem(scheme, skip_instance_cache=True, config_kwargs={**QUICK, **given})
    service.retries = 1
    return service
