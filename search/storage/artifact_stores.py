"""A store as Optuna's functions take one: `optuna.artifacts.upload_artifact(artifact_store=ArtifactStore(url), ...)`.

Of a folder, `optuna.artifacts.FileSystemArtifactStore(folder / "artifacts")` is the same.
"""

import re
import shutil
import tempfile
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from search import errors
from search.storage import stores

FOLDER = "artifacts"  # of the store
ID = re.compile(r"[0-9a-fA-F-]+")  # as the dashboard has them


class ArtifactStore:
    """What trials have kept, by id.

    Args:
        url: see `stores.Store`.
    """

    def __init__(self, url: str) -> None:
        self._store = stores.Store(url)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """An artifact, to read.

        Raises:
            ArtifactNotFound: there is none.
            errors.StorageError: the store cannot be read.
        """
        try:
            return self._store.open(path_of(artifact_id))
        except stores.Missing as error:
            raise ArtifactNotFound(str(error)) from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Keeps an artifact, whole or not at all.

        Raises:
            errors.StorageError: the store cannot be written.
        """
        with tempfile.TemporaryFile() as file:  # it is read again where the store was away
            shutil.copyfileobj(content_body, file)
            self._store.put_stream(path_of(artifact_id), file)

    def remove(self, artifact_id: str) -> None:
        """Removes an artifact; one that is not there is removed already.

        Raises:
            errors.StorageError: the store cannot be written.
        """
        self._store.remove(path_of(artifact_id))


def path_of(artifact_id: str) -> str:
    """Where an artifact lies in its store.

    Raises:
        errors.InputError: an id that no artifact has.
    """
    if not ID.fullmatch(artifact_id):
        raise errors.InputError(f"an artifact's id must be of hexadecimal digits and hyphens, got {artifact_id!r}")
    return f"{FOLDER}/{artifact_id}"
