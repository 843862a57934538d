"""Files that a trial keeps: an object in the store, and a row that every Optuna tool reads."""

import hashlib
import pathlib
import threading
from collections.abc import Callable

import optuna
import pytest
import trials
from optuna import artifacts as optunas
from optuna.trial import TrialState

from search import errors
from search.ledger import artifacts, claims, studies
from search.storage import artifact_stores, databases, stores
from search.training import objectives
from search.worker import ownership

Make = Callable[..., studies.Study]


@pytest.fixture
def store(tmp_path: pathlib.Path) -> stores.Store:
    return stores.Store(str(tmp_path / "store"))


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def owned(
    database: databases.Database, study: studies.Study, claim: claims.Claim, store: stores.Store
) -> ownership.OwnedTrial:
    return ownership.OwnedTrial(database, study, claim, threading.Event(), place=store.url)


def test_optuna_finds_what_a_trial_keeps(
    opened: databases.Database, make_study: Make, store: stores.Store, model: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Its own functions list it, with its kind and encoding, and fetch it from the folder."""
    study = make_study()
    trial = owned(opened, study, trials.begin(opened, study), store)
    kept = {trial.artifact(model, "curve.json"), trial.artifact(model, "logs/all.tar.gz")}
    trial.tell(TrialState.COMPLETE, 0.5, {})
    found = optunas.get_all_artifact_meta(trials.state(opened, study, 0), storage=opened.optuna)
    assert {meta.artifact_id for meta in found} == kept
    assert {(meta.filename, meta.mimetype, meta.encoding) for meta in found} == {
        ("curve.json", "application/json", None),
        ("logs/all.tar.gz", "application/x-tar", "gzip"),
    }
    folder = optunas.FileSystemArtifactStore(pathlib.Path(store.url) / artifact_stores.FOLDER)
    optunas.download_artifact(artifact_store=folder, file_path=str(tmp_path / "back"), artifact_id=kept.pop())
    assert (tmp_path / "back").read_bytes() == b"weights"
    ours = artifacts.of_study(opened, study)
    assert [(each.number, each.name, each.size) for each in ours] == [(0, "curve.json", 7), (0, "logs/all.tar.gz", 7)]
    assert ours[0].checksum == hashlib.sha256(b"weights").hexdigest()


def test_a_name_is_kept_once(
    opened: databases.Database, make_study: Make, store: stores.Store, model: pathlib.Path
) -> None:
    """What is kept under a name again takes the former's place, by another owner too; other trials' stay."""
    study = make_study()
    first = owned(opened, study, trials.begin(opened, study), store)
    for _ in range(2):
        first.artifact(model, "model.pt")
    assert len(store.names()) == 1
    other = owned(opened, study, trials.begin(opened, study), store)
    others = other.artifact(model, "model.pt")
    first.hand_over()
    again = owned(opened, study, trials.begin(opened, study), store)
    assert again.number == first.number
    model.write_bytes(b"better weights")
    kept = again.artifact(model, "model.pt")
    assert [(each.number, each.artifact_id) for each in artifacts.of_study(opened, study)] == [(0, kept), (1, others)]
    assert store.names() == sorted(map(artifact_stores.path_of, (kept, others)))
    assert store.size(artifact_stores.path_of(kept)) == len(b"better weights")


def test_who_has_lost_a_trial_keeps_nothing(
    opened: databases.Database, make_study: Make, store: stores.Store, model: pathlib.Path
) -> None:
    """A late owner's file is neither listed nor left in the store; what a killed one left goes with the next file."""
    study = make_study()
    claim = trials.begin(opened, study)
    late = owned(opened, study, claim, store)
    store.put(artifact_stores.path_of(artifacts.new_id(study.token, claim.number)), model)  # and was killed then
    late.hand_over()
    now = owned(opened, study, trials.begin(opened, study), store)
    assert now.number == late.number
    with pytest.raises(errors.TrialLost):
        late.artifact(model, "model.pt")
    assert artifacts.of_study(opened, study) == []
    assert len(store.names()) == 1
    kept = now.artifact(model, "model.pt")
    assert store.names() == [artifact_stores.path_of(kept)]


def test_a_trial_keeps_a_bounded_number(
    opened: databases.Database,
    make_study: Make,
    store: stores.Store,
    model: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One more is refused and leaves nothing; one in the place of another is not."""
    monkeypatch.setattr(artifacts, "MOST", 2)
    study = make_study()
    trial = owned(opened, study, trials.begin(opened, study), store)
    for name in ("a", "b", "a"):
        trial.artifact(model, name)
    with pytest.raises(objectives.Refused, match="at most 2 artifacts, 'c' would be one more"):
        trial.artifact(model, "c")
    assert [each.name for each in artifacts.of_study(opened, study)] == ["a", "b"]
    assert len(store.names()) == 2


def test_a_file_that_is_gone_is_the_objective_s(
    opened: databases.Database, make_study: Make, store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """It is told so, and the trial goes on."""
    study = make_study()
    trial = owned(opened, study, trials.begin(opened, study), store)
    with pytest.raises(objectives.Refused, match="nowhere cannot be read: No such file"):
        trial.artifact(tmp_path / "nowhere", "a")
    trial.report(1, 0.5, {})


def test_other_tools_artifacts_are_listed_too(
    opened: databases.Database, make_study: Make, store: stores.Store, model: pathlib.Path
) -> None:
    """What Optuna has uploaded has no size here; what the dashboard has deleted is gone."""
    study = make_study()
    trials.begin(opened, study)
    (pathlib.Path(store.url) / artifact_stores.FOLDER).mkdir(parents=True)
    folder = optunas.FileSystemArtifactStore(pathlib.Path(store.url) / artifact_stores.FOLDER)
    frozen = optuna.load_study(study_name=study.name, storage=opened.optuna).trials[0]
    theirs = optunas.upload_artifact(
        artifact_store=folder, file_path=str(model), study_or_trial=frozen, storage=opened.optuna
    )
    (found,) = artifacts.of_study(opened, study)
    assert (found.artifact_id, found.name, found.size, found.checksum) == (theirs, "model.pt", None, None)
    opened.optuna.set_trial_system_attr(frozen._trial_id, f"artifacts:{theirs}", "null")
    assert artifacts.of_study(opened, study) == []
