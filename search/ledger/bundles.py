"""The files of a study's trials as one archive beside its backup, and back; a plain tar, by their ids."""

import functools
import pathlib
import shutil
import tarfile
import tempfile

import sqlalchemy

from search import errors, files
from search.ledger import artifacts, backups, belongings, studies
from search.ledger.artifacts import Artifact
from search.storage import artifact_stores, copies, stores
from search.storage.databases import Database

ENDING = ".artifacts.tar"
MAGIC = b"SQLite format 3\0"


def beside(backup: pathlib.Path) -> pathlib.Path:
    """Where the files of a backup are."""
    return pathlib.Path(f"{backup}{ENDING}")


def check_backup(backup: pathlib.Path) -> None:
    """Passes a file that may be a backup.

    Raises:
        errors.InputError: there is none, or it is no SQLite file.
    """
    if not backup.is_file():
        raise errors.InputError(f"no backup at {backup}")
    with backup.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise errors.InputError(f"{backup} is no backup of a study, or damaged: it is no SQLite file")


def write(
    backup: pathlib.Path, store: stores.Store, on_files: belongings.OnFiles = belongings.SILENT
) -> belongings.Moved:
    """Writes the files that a backup lists beside it, whole or not at all.

    Args:
        on_files: is told how many are written, of how many.

    Raises:
        errors.InputError: there is such a file already, or it cannot be written.
        errors.StorageError: the store cannot be read.
    """
    target = beside(backup)
    with copies.opened(backup) as connection:
        listed = artifacts.read(connection, sqlalchemy.true())
    missing = []
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as folder:
            part, file = pathlib.Path(folder, "part.tar"), pathlib.Path(folder, "file")
            with tarfile.open(part, "w") as archive:
                for done, each in enumerate(listed, 1):
                    try:
                        fetch(store, each, file)
                        archive.add(file, each.artifact_id)
                    except stores.Missing:
                        missing.append(each.title)
                    on_files(done, len(listed))
            files.put_in_place(part, target)
    except OSError as error:
        raise errors.InputError(f"{target} cannot be written: {error.strerror or error}") from error
    return belongings.Moved(len(listed) - len(missing), tuple(missing))


def check_free(backup: pathlib.Path) -> None:
    """Passes where nothing would be written over.

    Raises:
        errors.InputError: there is such a file already.
    """
    if beside(backup).exists():
        raise errors.InputError(f"{beside(backup)} exists already: take another name, or move it away")


def fetch(store: stores.Store, each: Artifact, target: pathlib.Path, on_bytes: stores.OnBytes = stores.SILENT) -> None:
    """Writes an artifact into a file, in place of what is there.

    Raises:
        stores.Missing: it is gone.
        errors.StorageError: the store cannot be read, or what it has is not what was kept.
        OSError: the file cannot be written.
    """
    store.fetch(artifact_stores.path_of(each.artifact_id), target, on_bytes)
    check(each, target, store.url)


def check(each: Artifact, file: pathlib.Path, place: str) -> None:
    """Passes what is as it was kept.

    Raises:
        errors.StorageError: it is not.
    """
    if each.checksum is not None and artifacts.measure(file)["sha256"] != each.checksum:
        raise errors.StorageError(
            f"{each.title} is damaged in {place}: its checksum is not what it was when it was kept"
        )


def restore(
    database: Database,
    backup: pathlib.Path,
    place: str | None = None,
    on_trials: backups.OnTrials = backups.SILENT,
    on_files: belongings.OnFiles = belongings.SILENT,
) -> tuple[studies.Study, belongings.Moved]:
    """Puts the study of a backup into a storage, with the files beside it where there are any; whole or not at all.

    Args:
        place: see `stores.location`.

    Raises:
        errors.InputError, errors.StudyExists: see `backups.read`.
        errors.StorageError: the store cannot be written, or a file is damaged.
    """
    archive = beside(backup)
    if not archive.exists():
        return backups.read(database, backup, on_trials), belongings.Moved(0, ())
    with Bundle(archive) as bundle:
        study = backups.read(database, backup, on_trials)
        store = stores.Store(stores.location(study.spec.trial.store, database.url, place))
        return study, belongings.carry(database, study, bundle.into(store), store, on_files)


class Bundle:
    """What lies beside a backup, to be put into a store again.

    Raises:
        errors.InputError: it is no such archive.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        try:
            self._archive = tarfile.open(path)  # noqa: SIM115  # `close` does it
        except (OSError, tarfile.TarError) as error:
            raise errors.InputError(f"{path} holds no files of a backup, or is damaged: {error}") from error

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, *_: object) -> None:
        """Closes it."""
        self._archive.close()

    def into(self, store: stores.Store) -> belongings.Put:
        """Puts artifacts of it into a store."""
        return functools.partial(self._put, store)

    def _put(self, store: stores.Store, each: Artifact, path: str) -> None:
        """Puts an artifact at a path of a store.

        Raises:
            stores.Missing: it is not in the archive.
            errors.StorageError: the archive is damaged, or the store cannot be written.
        """
        try:
            content = self._archive.extractfile(each.artifact_id)
            if content is None:
                raise KeyError(each.artifact_id)
            with tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder, "file")
                with file.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
                check(each, file, str(self._path))
                store.put(path, file)
        except KeyError:
            raise stores.Missing(f"{self._path} has no {each.artifact_id!r}") from None
        except (tarfile.TarError, OSError) as error:
            raise errors.StorageError(f"{each.title} cannot be read from {self._path}: {error}") from error
