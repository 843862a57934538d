"""The report's chapter on another tool's study."""

import pathlib

import optuna
import pytest
from looks import plain
from optuna.trial import TrialState

import search
from search.ledger import listings, outsiders, studies
from search.reports import contents, outsider_chapters, pages
from search.storage import databases


def chapter(database: databases.Database, name: str) -> pages.Chapter:
    found = listings.one(database, studies.load_stored(database, name))
    assert isinstance(found, outsiders.Outsider)
    return outsider_chapters.chapter(found, outsiders.trials(database, found))


def kinds(found: pages.Chapter) -> list[str]:
    return [block.kind for block in found.blocks]


def test_a_study_defined_by_run(empty_url: str, tmp_path: pathlib.Path) -> None:
    """Its history, its best, its parameters with those that only some trials have, and its trials."""
    study = plain(empty_url)
    database = databases.open_to_read(empty_url)
    found = chapter(database, "theirs")
    assert kinds(found) == ["text", "drawing", "bullets", "table", "table"]
    parameters, trials = (block for block in found.blocks if isinstance(block, pages.Table))
    asked = {row[0]: row[1:] for row in parameters.rows}
    assert asked["learning rate"][:2] == ["0.0001 to 1.0, logarithmic", "12"]
    assert asked["a kind"][0] == "a, None, 3, True"
    assert asked["n/layers"][0] == "1 to 5"
    assert len(trials.rows) == 12
    assert [row[1] for row in trials.rows].count("pruned") == 2
    written = search.report("theirs", output=tmp_path / "out", storage=empty_url)
    text = written.with_name("report.md").read_text()
    assert f"Best: trial {study.best_trial.number}" in text
    assert "## theirs: Optuna's own" in text
    assert (tmp_path / "out" / "figures" / "theirs-history.png").stat().st_size > 1000


def test_a_study_of_several_objectives(empty_url: str) -> None:
    """A history for each, and the trials that no other is better than."""
    study = plain(empty_url, "two goals", directions=["minimize", "maximize"])
    study.set_metric_names(["loss", "accuracy"])
    database = databases.open_to_read(empty_url)
    found = chapter(database, "two goals")
    assert kinds(found) == ["text", "drawing", "drawing", "bullets", "table", "table"]
    front = ", ".join(str(trial.number) for trial in sorted(study.best_trials, key=lambda trial: trial.number))
    bullets = next(block for block in found.blocks if isinstance(block, pages.Bullets))
    assert f"{front}." in bullets.items[0]
    assert "minimize loss, maximize accuracy" in str(found.blocks[0])


@pytest.mark.parametrize("state", [None, TrialState.FAIL, TrialState.RUNNING, TrialState.PRUNED])
def test_without_a_complete_trial(empty_url: str, tmp_path: pathlib.Path, state: TrialState | None) -> None:
    """What there is is reported, be it nothing."""
    study = optuna.create_study(study_name="bare", storage=empty_url)
    if state is not None:
        value = 0.5 if state == TrialState.PRUNED else None
        study.add_trial(optuna.trial.create_trial(state=state, value=value))
    database = databases.open_to_read(empty_url)
    one = listings.one(database, studies.load_stored(database, "bare"))
    assert isinstance(one, outsiders.Outsider)
    written = contents.write(database, [one], tmp_path / "out")
    assert "## bare: Optuna's own" in written.markdown.read_text()


def test_many_trials_are_cut_to_the_best(empty_url: str) -> None:
    """The table says how many it leaves out, and what prints all."""
    study = optuna.create_study(study_name="a b", storage=empty_url, direction="maximize")
    study.add_trials([optuna.trial.create_trial(value=float(number)) for number in range(70)])
    found = chapter(databases.open_to_read(empty_url), "a b")
    table = found.blocks[-1]
    assert isinstance(table, pages.Table)
    assert [row[0] for row in table.rows] == [str(number) for number in range(69, 9, -1)]
    assert table.caption == "The best 60 of 70 trials; `trials/a_b-c8687a08.csv` has all."


def test_from_python_it_is_loaded_and_summed_up(empty_url: str) -> None:
    """`search.load` and `search.status` take another tool's study, and what they give cannot write."""
    plain(empty_url)
    loaded = search.load("theirs", storage=empty_url)
    assert len(loaded.trials) == 12
    with pytest.raises(optuna.exceptions.StorageInternalError):
        loaded.set_user_attr("mine", 1)
    found = search.status("theirs", storage=empty_url)
    assert found.as_json()["trials"]["complete"] == 10
