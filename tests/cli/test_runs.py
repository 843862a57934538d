"""`search work` as it is typed: one study or any, and what it says of other words."""

import json
import pathlib
import signal
from typing import Any

import mine
import pytest
from conftest import Processes, quick_text
from optuna.trial import TrialState
from processes import until

from search import cli
from search.ledger import studies, summaries
from search.storage import databases

SLOW = """
import time

def objective(trial):
    for _ in range(100):
        time.sleep(0.05)
        yield 0.5
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The working folder, with three studies of two trials in its storage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEARCH_STORAGE", "sqlite:///search.db")
    for name in ("lab-1", "lab-2", "depth"):
        pathlib.Path(f"{name}.toml").write_text(quick_text(name=name, trials=2, epochs=1))
        assert cli.main(["create", f"{name}.toml"]) == 0
    return tmp_path


def done(name: str) -> int:
    database = databases.Database("sqlite:///search.db")
    try:
        return summaries.summary(database, studies.load(database, name)).done
    finally:
        database.close()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "search: work takes either a STUDY or --any, got neither"),
        (["lab-1", "--any"], "search: work takes either a STUDY or --any, got both, of 'lab-1'"),
        (["lab-1", "--match", "l*"], "search: --match must stand beside --any, got 'l*' beside study 'lab-1'"),
        (["--match", "l*"], "search: work takes either a STUDY or --any, got neither"),
        (["--any", "--match", ""], "search: --match must be a pattern of names, got ''"),
        (["--any", "--match", "x*"], "search: no study whose name fits 'x*' in sqlite:///search.db; --stay waits"),
        (["--any", "--device", "cuda:7"], "search: device 'cuda:7' is not there"),
        (["--any", "--stay", "--engine", "none"], "search: "),
        (["--restart"], "search: work takes either a STUDY or --any, got neither"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_words_are_told_in_a_line(words: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Exactly one of STUDY and --any, patterns beside --any alone, and what no study could use: exit code 2."""
    assert cli.main(["work", *words]) == 2
    said = [each for each in capfd.readouterr().err.splitlines() if each.startswith("search: ")]
    assert len(said) == 1
    assert said[0].startswith(line)
    assert done("lab-1") == 0


@pytest.mark.usefixtures("folder")
def test_the_studies_that_fit_are_worked_off_and_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """`--json` prints a list of them, as `search status --json` does of all."""
    assert cli.main(["work", "--any", "--match", "lab-*", "--match", "none", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
    assert [(each["name"], each["done"]) for each in found] == [("lab-1", 2), ("lab-2", 2)]
    assert done("depth") == 0


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_a_pool_s_worker_hands_over_a_study_s_worker_takes(processes: Processes, tmp_path: pathlib.Path) -> None:
    """SIGTERM to the keeper of one that serves any study: exit code 0, and `search work STUDY` finishes the trial."""
    mine.write(tmp_path, SLOW, trials=1)
    pool = processes.start("create", "own.toml")
    assert pool.wait(60) == 0
    pool = processes.start("work", "--any", "--match", "o*", "--stay", "--restart")
    database = databases.Database(processes.url)
    study = studies.load(database, "own")
    until(lambda: summaries.summary(database, study).count(TrialState.RUNNING))
    pool.send_signal(signal.SIGTERM)
    assert pool.wait(60) == 0
    assert summaries.summary(database, study).count(TrialState.WAITING) == 1
    (tmp_path / "mine.py").write_text(SLOW.replace("range(100)", "range(1)"))
    assert processes.run("work", "own")[0] == 0
    (trial,) = summaries.whole(database, study).trials
    assert (trial.number, trial.state) == (0, TrialState.COMPLETE)
    database.close()
