"""The files of a study go, are copied and come back with it."""

import hashlib
import pathlib
import tarfile
import threading

import optuna
import pytest
import trials
from optuna.trial import TrialState
from trials import Make

from search import errors
from search.ledger import artifacts, belongings, bundles, checkpoint_files, claims, copies, presence, rosters, studies
from search.ledger import backups as backups_
from search.storage import artifact_stores, databases, stores
from search.training import objectives
from search.worker import ownership


@pytest.fixture
def store(tmp_path: pathlib.Path) -> stores.Store:
    return stores.Store(str(tmp_path / "store"))


@pytest.fixture
def study(opened: databases.Database, make_study: Make, store: stores.Store, tmp_path: pathlib.Path) -> studies.Study:
    """One with two trials, the first of which has kept two files."""
    study = make_study()
    for count in (2, 0):
        trial = ownership.OwnedTrial(opened, study, trials.begin(opened, study), threading.Event(), place=store.url)
        for number in range(count):
            (tmp_path / "kept").write_text(f"file {number}")
            trial.artifact(tmp_path / "kept", f"{number}.txt")
        trial.tell(TrialState.COMPLETE, 0.5, {})
    return study


def stored(database: databases.Database, name: str) -> studies.Stored:
    found = studies.stored(database, name)
    assert found is not None
    return found


def contents(database: databases.Database, study: studies.Study, store: stores.Store) -> dict[str, str]:
    """By name, what is listed and can be read."""
    found = {}
    for each in artifacts.of_study(database, study):
        with store.open(artifact_stores.path_of(each.artifact_id)) as content:
            found[each.name] = content.read().decode()
    return found


BOTH = {"0.txt": "file 0", "1.txt": "file 1"}


def test_a_deleted_study_leaves_no_files(
    opened: databases.Database, study: studies.Study, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """Neither what its trials list, nor what killed ones left, nor checkpoints; other studies' files stay."""
    (tmp_path / "other").write_text("other")
    others = [f"{checkpoint_files.CHECKPOINTS}/other/1/a", artifact_stores.path_of(artifacts.new_id("f" * 32, 0))]
    left = [
        f"{checkpoint_files.CHECKPOINTS}/{study.token}/1/a",
        artifact_stores.path_of(artifacts.new_id(study.token, 1)),
    ]
    for path in others + left:
        store.put(path, tmp_path / "other")
    assert belongings.delete(opened, stored(opened, study.name), store.url) == []
    assert studies.names(opened) == []
    assert store.names() == sorted(others)


def test_a_study_that_is_in_use_keeps_its_files(
    opened: databases.Database, study: studies.Study, store: stores.Store
) -> None:
    """What is not deleted loses nothing."""
    rosters.Entry(study, presence.Identity.this(), "cpu", 30.0).show(opened)
    before = store.names()
    with pytest.raises(errors.StudyInUse):
        belongings.delete(opened, stored(opened, study.name), store.url)
    assert store.names() == before


def test_a_store_that_is_away_keeps_no_study(
    opened: databases.Database, study: studies.Study, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """It is deleted all the same, and what could not be removed is said."""
    (left,) = belongings.delete(opened, stored(opened, study.name), "gs://no/library")
    assert "needs the package gcsfs" in left
    assert studies.names(opened) == []


def test_a_copy_has_files_of_its_own(opened: databases.Database, study: studies.Study, store: stores.Store) -> None:
    """Whichever of the two is deleted, the other keeps all."""
    copied = copies.copy(opened, stored(opened, study.name), "other")
    moved = belongings.copy(opened, stored(opened, study.name), opened, copied, store.url)
    assert (moved.files, moved.missing) == (2, ())
    assert len(store.names()) == 4
    belongings.delete(opened, stored(opened, study.name), store.url)
    assert contents(opened, copied, store) == BOTH
    belongings.delete(opened, stored(opened, "other"), store.url)
    assert store.names() == []


def test_what_another_tool_s_copy_lists_stays(
    opened: databases.Database, study: studies.Study, store: stores.Store
) -> None:
    """Optuna copies rows and no files: these stay while a trial lists them."""
    optuna.copy_study(
        from_study_name=study.name, from_storage=opened.optuna, to_storage=opened.optuna, to_study_name="theirs"
    )
    belongings.delete(opened, stored(opened, study.name), store.url)
    theirs = optuna.load_study(study_name="theirs", storage=opened.optuna).trials[0]
    listed = optuna.artifacts.get_all_artifact_meta(theirs, storage=opened.optuna)
    assert sorted(map(artifact_stores.path_of, (meta.artifact_id for meta in listed))) == store.names()
    assert len(listed) == 2


def test_a_copy_without_its_files_is_none(
    opened: databases.Database, study: studies.Study, store: stores.Store
) -> None:
    """Where a store cannot be used there is no copy; what is no longer in the store is named."""
    copied = copies.copy(opened, stored(opened, study.name), "other")
    with pytest.raises(errors.InputError, match="needs the package gcsfs"):
        belongings.copy(opened, stored(opened, study.name), opened, copied, "gs://no/library")
    assert studies.names(opened) == [study.name]
    (first, _) = artifacts.of_study(opened, study)
    store.remove(artifact_stores.path_of(first.artifact_id))
    copied = copies.copy(opened, stored(opened, study.name), "other")
    moved = belongings.copy(opened, stored(opened, study.name), opened, copied, store.url)
    assert moved == belongings.Moved(1, ("trial 0: '0.txt'",))


def test_a_backup_takes_them_along(
    opened: databases.Database, study: studies.Study, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """Into a plain archive beside it, and back into another store, under ids of the restored study's."""
    file = tmp_path / "study.db"
    backups_.write(opened, study, file)
    assert bundles.write(file, store) == belongings.Moved(2, ())
    with tarfile.open(bundles.beside(file)) as archive:
        assert {artifact_stores.path_of(name) for name in archive.getnames()} == set(store.names())
    belongings.delete(opened, stored(opened, study.name), store.url)
    other = stores.Store(str(tmp_path / "elsewhere"))
    restored, moved = bundles.restore(opened, file, other.url)
    assert (moved.files, contents(opened, restored, other)) == (2, BOTH)
    again = stored(opened, study.name)
    assert again.token is not None
    assert all(name.startswith(artifact_stores.path_of(artifacts.mark(again.token))) for name in other.names())


def test_a_damaged_archive_restores_nothing(
    opened: databases.Database, study: studies.Study, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """What is not as it was kept is named, and no half of a study stays; nor is an archive written over."""
    file = tmp_path / "study.db"
    backups_.write(opened, study, file)
    bundles.write(file, store)
    with pytest.raises(errors.InputError, match=r"study\.db\.artifacts\.tar exists already"):
        bundles.check_free(file)
    belongings.delete(opened, stored(opened, study.name), store.url)
    archive = bundles.beside(file)
    archive.write_bytes(archive.read_bytes().replace(b"file 1", b"FILE 1"))
    with pytest.raises(errors.StorageError, match=r"trial 0: '1\.txt' is damaged in .*study\.db\.artifacts\.tar"):
        bundles.restore(opened, file, store.url)
    assert (studies.names(opened), store.names()) == ([], [])
    archive.write_bytes(b"no archive")
    with pytest.raises(errors.InputError, match="holds no files of a backup"):
        bundles.restore(opened, file, store.url)
    assert studies.names(opened) == []


def test_a_copy_goes_on_from_a_checkpoint_of_its_own(
    opened: databases.Database, study: studies.Study, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """One that is in the store is copied with the rows: the copy's trial does not need the first study."""
    claim = trials.begin(opened, study)
    (tmp_path / "state").write_text("state")
    place, checksum = f"{checkpoint_files.CHECKPOINTS}/{study.token}/2/a", hashlib.sha256(b"state").hexdigest()
    store.put(place, tmp_path / "state")
    payload = objectives.Payload("bytes", store=store.url, place=place, checksum=checksum)
    saved = objectives.Checkpoint(1, (), [0.5], {}, [1], payload)
    claims.hand_over(opened, claim, saved=saved, steps={1: 0.5})
    copied = copies.copy(opened, stored(opened, study.name), "other")
    belongings.copy(opened, stored(opened, study.name), opened, copied, store.url)
    belongings.delete(opened, stored(opened, study.name), store.url)
    found = trials.take(opened, copied).saved
    assert found.payload.place.startswith(f"{checkpoint_files.CHECKPOINTS}/{copied.token}/2/")
    checkpoint_files.fetch(found.payload, tmp_path / "back", store, 1)
    assert (tmp_path / "back").read_text() == "state"
    assert checkpoint_files.sweep(opened, copied, store) == 0
    assert len(store.names(f"{checkpoint_files.CHECKPOINTS}/")) == 1
