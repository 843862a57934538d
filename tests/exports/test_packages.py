"""A trial of the user's own code taken away: its files, its configuration, and its card."""

import json
import math
import pathlib
import re
import zipfile

import mine
import pytest
from conftest import ROOT
from optuna.trial import TrialState
from trials import begin

from search import cli, errors
from search.api import results
from search.ledger import artifacts, claims, studies
from search.reports import confirmations
from search.storage import databases, stores
from search.study import specs

ODD = "deep/a|b `c`.pkl"


@pytest.fixture
def study(opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> studies.Study:
    """A study whose second trial is its best, and has kept two files; the first has kept none."""
    monkeypatch.setenv("SEARCH_STORE", str(tmp_path / "store"))
    study = studies.create(opened, specs.parse(mine.text(), "own.toml"))
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.25, {})
    kept(opened, study, 0.75, {1: math.inf, 2: 0.75})
    return study


def kept(opened: databases.Database, study: studies.Study, value: float, steps: dict[int, float]) -> None:
    claim, store = begin(opened, study), stores.Store(stores.location(None, opened.url, None))
    for name, text in (("model.json", f"[{value}]"), (ODD, "anything")):
        source = pathlib.Path(store.url).parent / "source"
        source.write_text(text)
        artifacts.keep(opened, study.token, claim, store, source, name)
    claims.tell(opened, claim, TrialState.COMPLETE, value, {"search:code": {"mine.py": "0123"}}, 1.0, steps)


def contents(folder: pathlib.Path) -> set[str]:
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def test_the_best_trial_s_files_with_a_card(
    opened: databases.Database, study: studies.Study, tmp_path: pathlib.Path
) -> None:
    """As they were kept, under names that any disk takes, with what is known of the trial for people and programs."""
    found = results.export("own", tmp_path / "best", storage=opened)
    assert "trial 1 of study 'own' written to" in found.sentence()
    facts = json.loads((tmp_path / "best" / "trial.json").read_text())
    assert facts["artifacts"][1]["file"] == "artifacts/model.json"
    assert (tmp_path / "best" / "artifacts" / "model.json").read_text() == "[0.75]"
    odd = facts["artifacts"][0]
    assert odd["name"] == ODD
    assert odd["file"].endswith(".pkl")
    assert contents(tmp_path / "best") == {"README.md", "trial.json", "artifacts/model.json", odd["file"]}
    assert (facts["value"], facts["curve"], facts["seed"]) == (0.75, {"1": "inf", "2": 0.75}, 0)
    assert facts["files_of_code"] == {"mine.py": "0123"}
    documented = (
        (ROOT / "docs" / "json.md").read_text().partition("Of code of your own it prints")[2].partition("\n\n`")[0]
    )
    assert set(found.as_json()) == {each for each in re.findall(r"\| `(.+?)` \|", documented) if each.isidentifier()}
    card = (tmp_path / "best" / "README.md").read_text()
    for words in ("**0.7500** is its value", "search confirm own", "only from somebody you trust", "| x | "):
        assert words in card, words


def test_a_zip_has_the_same(opened: databases.Database, study: studies.Study, tmp_path: pathlib.Path) -> None:
    """In one file, in a folder of its name; --force replaces it."""
    results.export("own", tmp_path / "best", storage=opened)
    for force in (False, True):
        results.export("own", tmp_path / "best.zip", storage=opened, force=force)
        with zipfile.ZipFile(tmp_path / "best.zip") as archive:
            assert set(archive.namelist()) == {f"best/{each}" for each in contents(tmp_path / "best")}
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_the_confirmed_configuration_comes_first(
    opened: databases.Database, study: studies.Study, tmp_path: pathlib.Path
) -> None:
    """The first trial of the best one that was confirmed, with what the confirmation says on the card."""
    confirming = confirmations.prepare(opened, study, 1, 2)
    kept(opened, confirming, 0.5, {})
    kept(opened, confirming, 0.625, {})
    results.export("own", tmp_path / "best", storage=opened)
    facts = json.loads((tmp_path / "best" / "trial.json").read_text())
    assert (facts["study"], facts["trial"], facts["value"]) == ("own-confirm", 0, 0.5)
    assert facts["confirmed"]["values"] == [0.5, 0.625]
    assert "Confirmed: value 0.5625 ± " in (tmp_path / "best" / "README.md").read_text()


def test_what_cannot_be_taken_away(
    opened: databases.Database, study: studies.Study, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trial without files, a place that is taken, a file that is gone: a line each, and nothing is written."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    for path, more, words in (
        ("new", {"trial": 0}, r"trial 0 of study 'own' has kept no files.*trial.artifact\(path\)"),
        ("new.safetensors", {}, "must name a folder or end in .zip"),
        ("there", {}, "exists already; --force"),
        ("no/new", {}, "must lie in a folder that exists"),
        ("new", {"onnx": True}, "which --onnx knows nothing of"),
    ):
        with pytest.raises(errors.InputError, match=words):
            results.export("own", tmp_path / path, storage=opened, **more)  # type: ignore[arg-type]
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(errors.StorageError):
        results.export("own", tmp_path / "new", storage=opened)
    assert not [each for each in tmp_path.iterdir() if each.name.startswith((".", "new"))]
    assert cli.main(["predict", str(tmp_path / "there"), "x.png"]) == 2
    assert "only your code can load what it kept" in capsys.readouterr().err
