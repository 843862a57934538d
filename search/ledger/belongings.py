"""What a study has in its store: where that is, and that it goes, is copied and comes back with the study."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator

import sqlalchemy

from search import errors
from search.ledger import artifacts, checkpoint_files, lives, studies
from search.storage import artifact_stores, schema, stores
from search.storage.databases import Database

log = logging.getLogger("search")

AT_ONCE = 500  # ids in one question

Put = Callable[[artifacts.Artifact, str], None]
OnFiles = Callable[[int, int], None]
SILENT: OnFiles = lambda done, total: None  # noqa: E731


@dataclasses.dataclass(frozen=True)
class Moved:
    """How many files were carried along, and what is no longer in the store, by number and name."""

    files: int
    missing: tuple[str, ...]


def location(database: Database, study_id: int, place: str | None = None) -> str:
    """Where the files of a study are; of one whose file cannot be read, or another tool's, where others' are.

    Args:
        place: see `stores.location`.

    Raises:
        errors.StudyNotFound: it is gone.
    """
    found = studies.stored(database, study_id=study_id)
    if found is None:
        raise errors.StudyNotFound(f"there is no study {study_id}")
    return location_of(database, found, place)


def location_of(database: Database, study: studies.Stored, place: str | None = None) -> str:
    """The same of a study that was read."""
    try:
        of_study = None if study.is_foreign else study.spec().trial.store
    except errors.InputError:
        of_study = None
    return stores.location(of_study, database.url, place)


def delete(database: Database, study: studies.Stored, place: str | None = None) -> list[str]:
    """Deletes a study with all that it has in its store; see `lives.delete`. Returns what could not be removed.

    Rows go first: where this process ends in between, nothing is listed that is not there.

    Raises:
        errors.StudyInUse, errors.StudyNotFound: see `lives.delete`.
    """
    url = location_of(database, study, place)
    has_files = study.token is not None and _may_have_files(database, study)
    lives.delete(database, study)
    if not has_files or study.token is None:
        return []
    try:
        store = stores.Store(url)
        found = store.names(artifact_stores.path_of(artifacts.mark(study.token)))
        lent = _still_listed(database, found)
        left = artifacts.remove(store, [path for path in found if path not in lent])
        return left + artifacts.remove(store, store.names(f"{checkpoint_files.CHECKPOINTS}/{study.token}/"))
    except errors.SearchError as error:
        log.warning("event=files-left store=%s reason=%r", url, str(error))
        return [str(error)]


def carry(
    database: Database,
    study: studies.Study,
    put: Put,
    store: stores.Store,
    on_files: OnFiles = SILENT,
) -> Moved:
    """Gives a study that was copied or restored files of its own, in place of those that its rows came with.

    Each row is changed once its file is there: a study that is deleted takes only what is its own. Where that cannot be
    done to the end, the study is deleted again.

    Args:
        put: what a row came with at a path of the store; `stores.Missing` where it is gone.
        store: the study's own.

    Raises:
        errors.StorageError: a store or the database cannot be used, or a file is damaged.
    """
    with _or_nothing(database, study, store.url):
        return _carry(database, study, put, store, on_files)


@contextlib.contextmanager
def _or_nothing(database: Database, study: studies.Study, place: str | None) -> Iterator[None]:
    """Deletes the study again where its files cannot come with it."""
    try:
        yield
    except errors.SearchError:
        stored = studies.stored(database, study_id=study.study_id)
        if stored is not None and stored.token == study.token:
            delete(database, stored, place)
        raise


def _carry(database: Database, study: studies.Study, put: Put, store: stores.Store, on_files: OnFiles) -> Moved:
    found = artifacts.of_study(database, study)
    done, missing = 0, []
    for each in found:
        if each.artifact_id.startswith(artifacts.mark(study.token)):
            continue
        artifact_id = artifacts.new_id(study.token, each.number)
        try:
            put(each, artifact_stores.path_of(artifact_id))
        except stores.Missing:
            missing.append(each.title)
            continue
        if not _rename(database, each, artifact_id):
            artifacts.remove(store, [artifact_stores.path_of(artifact_id)])
        done += 1
        on_files(done, len(found))
    return Moved(done, tuple(missing))


def copy(
    database: Database,
    study: studies.Stored,
    target: Database,
    copied: studies.Study,
    place: str | None = None,
    on_files: OnFiles = SILENT,
) -> Moved:
    """Gives a copy of a study copies of the files that its rows came with.

    Raises:
        errors.StorageError: a store cannot be used; then there is no copy.
    """
    if not _may_have_files(database, study):  # no store is asked
        return Moved(0, ())
    with _or_nothing(target, copied, place):
        source = stores.Store(location_of(database, study, place))
        store = stores.Store(stores.location(copied.spec.trial.store, target.url, place))
        checkpoint_files.carry(target, copied, store)

    def put(each: artifacts.Artifact, path: str) -> None:
        source.copy(artifact_stores.path_of(each.artifact_id), path, store)

    return carry(target, copied, put, store, on_files)


def _rename(database: Database, each: artifacts.Artifact, artifact_id: str) -> bool:
    """Whether the row was still there: a worker may have put another in its place."""

    def transaction(connection: sqlalchemy.Connection) -> bool:
        key = artifacts.ENTRY + artifact_id
        again = schema.system_attributes.c
        known = sqlalchemy.select(again.key).where(again.trial_id == each.trial_id, again.key == key)
        if connection.execute(known).first() is not None:
            return True  # by us, in a transaction whose acknowledgement was lost
        if not artifacts.delete_rows(connection, each.trial_id, [each.artifact_id]):
            return False
        artifacts.put_row(connection, each.trial_id, {**each.entry, "artifact_id": artifact_id})
        return True

    return database.write(transaction)


def _may_have_files(database: Database, study: studies.Stored) -> bool:
    """Of the lab's networks none has, and no store is asked."""
    try:
        is_own = study.spec().code is not None
    except errors.InputError:
        is_own = True
    return is_own or bool(artifacts.of_study(database, study))


def _still_listed(database: Database, paths: list[str]) -> set[str]:
    """Those that a trial of another study lists: a copy of another tool's, or one that was interrupted."""
    keys = [artifacts.ENTRY + path.rpartition("/")[2] for path in paths]
    column = schema.system_attributes.c.key

    def transaction(connection: sqlalchemy.Connection) -> set[str]:
        found: set[str] = set()
        for begin in range(0, len(keys), AT_ONCE):
            some = sqlalchemy.select(column).where(column.in_(keys[begin : begin + AT_ONCE]))
            found.update(connection.execute(some).scalars())
        return found

    listed = database.read(transaction) if keys else set()
    return {artifact_stores.path_of(key.removeprefix(artifacts.ENTRY)) for key in listed}
