"""The commands import, fork and adopt, as they speak to people."""

import json
import pathlib
import signal
import time

import optuna
import pytest
from conftest import Processes, quick_text

from search import cli
from search.ledger import checks, studies, summaries
from search.storage import databases

pytestmark = pytest.mark.usefixtures("own_folder")
TABLE = "params_learning_rate,params_batch_size,params_depth,value\n0.1,9,0,0.5\n0.1,9,9,0.5\n"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(list(arguments)) == code
    found = capsys.readouterr()
    return found.out + found.err


def test_what_they_say(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """What came in and as which trials, what did not and why; status, list and replay tell it apart."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=2))
    (tmp_path / "known.csv").write_text(TABLE)
    said(capsys, "create", "quick.toml")
    assert said(capsys, "import", "quick", "known.csv").splitlines() == [
        "study 'quick': 1 result of known.csv imported as trial 0, outside the budget",
        "study 'quick': 1 result left out: depth must be an integer from 0 to 6, got 9 (known.csv:3)",
        "0 of 2 trials done; no worker is alive: `search run quick` or `search work quick` does it",
    ]
    assert "1 configuration there already, left as they are: known.csv:2 (trial 0)" in said(
        capsys, "import", "quick", "known.csv"
    )
    shown = said(capsys, "status", "quick")
    assert "quick: 0 of 2 trials done (1 imported)" in shown
    assert "complete, imported" in shown
    assert "1 result imported: outside the budget, and not trained again" in shown
    assert "best: trial 0 (imported from known.csv:2), accuracy 0.5000" in shown
    assert json.loads(said(capsys, "list", "--json"))[0]["imported"] == 1
    replayed = said(capsys, "replay", "quick", "0", code=2)
    assert "trial 0 was imported from known.csv:2 and not trained here: look at it where it was, take" in replayed
    assert "trial 0 must have failed to be put back, and is COMPLETE" in said(capsys, "retry", "quick", "0", code=2)
    forked = said(capsys, "fork", "quick", "next")
    assert "study 'next' created: 0 of 2 trials done (1 imported); `search run next` works on it" in forked
    assert "1 result of study 'quick' imported as trial 0, outside the budget" in forked


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "quick", "away.csv"], "search: away.csv: cannot be read: No such file or directory"),
        (["import", "quick", "bad.jsonl"], "search: bad.jsonl:1: must be JSON: "),
        (["fork", "quick", "next", "--changes", "bad.toml"], "search: bad.toml: must be TOML: "),
        (["fork", "quick", "quick"], "search: study 'quick' exists already"),
        (["adopt", "quick", "--objective", "train.py:f"], "search: study 'quick' is one of ours already"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, arguments: list[str], message: str
) -> None:
    """Exit code 2, and no study or file that was not there."""
    (tmp_path / "quick.toml").write_text(quick_text(trials=2))
    (tmp_path / "bad.jsonl").write_text('{"params"\n')
    (tmp_path / "bad.toml").write_text("[budget\n")
    said(capsys, "create", "quick.toml")
    there = sorted(path.name for path in tmp_path.iterdir())
    found = said(capsys, *arguments, code=2)
    assert found.startswith(message)
    assert found.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == there


def test_a_plain_study_is_adopted(capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    """It says what is left running and what to type, and its file is run."""
    (tmp_path / "train.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    (tmp_path / "runs").mkdir()
    plain = optuna.create_study(study_name="plain", storage="sqlite:///runs/search.db")
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    plain.ask()
    found = said(capsys, "adopt", "plain", "--objective", "train.py:objective", "--trials", "3")
    assert "1 trial left running: where no process runs them any more, `search retry plain 2` puts them back" in found
    assert "study 'plain' adopted: plain.toml; 2 of 3 trials done (2 complete, 1 running)" in found
    assert "look the file over, then `search run plain.toml` goes on" in found
    assert "put back: trial 2" in said(capsys, "retry", "plain", "2")


@pytest.mark.slow
def test_a_killed_import_leaves_nothing(processes: Processes, tmp_path: pathlib.Path, url: str) -> None:
    """SIGKILL in the middle of a long import: no trial is there; done again, each is there once, and counts hold."""
    (tmp_path / "quick.toml").write_text(
        quick_text(trials=2, hopeless="false").replace("[1e-4, 1e-2, 1e-1]", "{ low = 0.1, high = 0.9 }")
    )
    with (tmp_path / "known.jsonl").open("w") as file:
        for number in range(4_000):
            params = {"learning_rate": 0.1 + number / 10_000, "batch_size": 9, "depth": 0}
            file.write(json.dumps({"params": params, "value": 0.5, "intermediate_values": {"1": 0.1}}) + "\n")
    assert processes.run("create", "quick.toml")[0] == 0
    database = databases.Database(url)
    study = studies.load(database, "quick")
    for wait in (3.0, 4.0):
        process = processes.start("import", "quick", "known.jsonl")
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert summaries.summary(database, study).total in (0, 4_000)
    assert processes.run("import", "quick", "known.jsonl")[0] == 0
    summary = summaries.summary(database, study)
    assert (summary.total, summary.imported, summary.done) == (4_000, 4_000, 0)
    assert [check for check in checks.look(database, study) if not check.holds] == []
    database.close()
