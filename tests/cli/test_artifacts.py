"""artifacts as it is typed, and what other commands do with the files of trials."""

import json
import pathlib
import threading

import mine
import pytest
import trials
from optuna.trial import TrialState

from search import api, cli
from search.ledger import studies
from search.storage import artifact_stores, databases, stores
from search.study import specs
from search.worker import ownership

pytestmark = pytest.mark.usefixtures("own_folder")
NAMES = ("model.pt", "plots/ä b:c.png")


@pytest.fixture
def store(own_folder: None, tmp_path: pathlib.Path) -> stores.Store:
    """The one beside `runs/search.db`, with two files of each of two trials."""
    del own_folder
    database = databases.Database()
    study = studies.create(database, specs.parse(mine.text(), "own.toml"))
    for number in range(2):
        trial = ownership.OwnedTrial(database, study, trials.begin(database, study), threading.Event())
        for name in NAMES:
            (tmp_path / "made").write_text(f"{number} {name}")
            trial.artifact(tmp_path / "made", name)
        trial.tell(TrialState.COMPLETE, 0.5, {})
    database.close()
    return stores.Store("runs/search.store")


def search(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    capsys.readouterr()
    code = cli.main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_they_are_listed(capsys: pytest.CaptureFixture[str], store: stores.Store) -> None:
    """By trial and name, with size and id; of one trial where it is named."""
    code, out, _ = search(capsys, "artifacts", "own")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["0", "0", "1", "1"]
    assert NAMES[1] in out
    found = json.loads(search(capsys, "artifacts", "own", "1", "--json")[1])
    assert [(each["trial"], each["name"], each["size"], each["file"]) for each in found] == [
        (1, "model.pt", 10, None),
        (1, NAMES[1], 18, None),
    ]
    assert set(store.names()) >= {artifact_stores.path_of(each["id"]) for each in found}
    assert api.artifacts("own", 1) == found


def test_they_are_fetched(capsys: pytest.CaptureFixture[str], store: stores.Store, tmp_path: pathlib.Path) -> None:
    """Into a folder, by trial and name, as a disk can have it; nothing is written over."""
    code, out, _ = search(capsys, "artifacts", "own", "--output", "kept")
    assert (code, out) == (0, "4 files of study 'own' written to kept\n")
    assert (tmp_path / "kept" / "0" / "model.pt").read_text() == "0 model.pt"
    (odd,) = (tmp_path / "kept" / "1" / "plots").iterdir()
    assert odd.read_text() == f"1 {NAMES[1]}"
    code, _, err = search(capsys, "artifacts", "own", "1", "--output", "kept")
    assert (code, err.count("\n")) == (2, 1)
    assert "kept/1/model.pt exists already: take another --output" in err
    del store


def test_what_the_store_has_lost_is_said(
    capsys: pytest.CaptureFixture[str], store: stores.Store, tmp_path: pathlib.Path
) -> None:
    """The rest is written, and the exit code is 1; what is not as it was kept is no file."""
    first, second, _, _ = api.artifacts("own")
    store.remove(artifact_stores.path_of(first["id"]))
    code, out, err = search(capsys, "artifacts", "own", "--output", "kept")
    assert (code, out) == (1, "3 files of study 'own' written to kept\n")
    assert err == "trial 0: 'model.pt' is not in the store any more\n"
    store.put(artifact_stores.path_of(second["id"]), tmp_path / "made")
    code, _, err = search(capsys, "artifacts", "own", "0", "--output", "again")
    assert (code, "is damaged in" in err, err.count("\n")) == (1, True, 1)
    assert not [*pathlib.Path("again").rglob("*.png")]


def test_none_is_no_error(capsys: pytest.CaptureFixture[str], store: stores.Store) -> None:
    """A study without any says how one is kept; a trial that is not there is a mistake."""
    del store
    database = databases.Database()
    studies.create(database, specs.parse(mine.text().replace('"own"', '"bare"'), "bare.toml"))
    database.close()
    code, out, _ = search(capsys, "artifacts", "bare")
    assert (code, out) == (0, "study 'bare' has kept no files; `trial.artifact(path)` keeps one\n")
    code, _, err = search(capsys, "artifacts", "own", "7")
    assert (code, "7" in err, err.count("\n")) == (2, True, 1)


def test_they_go_with_the_study(capsys: pytest.CaptureFixture[str], store: stores.Store) -> None:
    """Copied with it, backed up where that is asked for, restored, and deleted."""
    assert search(capsys, "backup", "own", "own.db", "--artifacts")[:2] == (
        0,
        "study 'own' written to own.db, with 4 files of its trials beside it; "
        "`search restore own.db` puts it into a storage\n",
    )
    assert search(capsys, "backup", "own", "own.db", "--artifacts")[0] == 2
    assert search(capsys, "copy", "own", "other")[0] == 0
    assert len(store.names()) == 8
    assert search(capsys, "delete", "own", "--yes")[0] == 0
    assert search(capsys, "delete", "other", "--yes")[0] == 0
    assert store.names() == []
    code, out, _ = search(capsys, "restore", "own.db", "--store", "elsewhere")
    assert (code, "4 files of its trials" in out) == (0, True)
    assert search(capsys, "artifacts", "own", "--output", "kept", "--store", "elsewhere")[0] == 0
    assert pathlib.Path("kept/1/model.pt").read_text() == "1 model.pt"


def test_a_delete_says_what_it_left(
    capsys: pytest.CaptureFixture[str], store: stores.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study is gone all the same; what cannot be removed is named."""
    monkeypatch.setenv(stores.VARIABLE, "gs://no/library")
    code, out, err = search(capsys, "delete", "own", "--yes", "--json")
    assert (code, len(json.loads(out)["left"])) == (0, 1)
    assert err.startswith("left in the store: a store at gs:// needs the package gcsfs")
    assert len(store.names()) == 4
