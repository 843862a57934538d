"""`search logs`: what the code of a trial has printed, from its file, or from the database where that is elsewhere."""

import pathlib
import shutil

import mine
import pytest
from conftest import Processes
from processes import until

from search import cli

MINE = """
import pathlib, time

def objective(trial):
    for step in range(2000 if trial.number == 0 else 3):
        print(f"trial {trial.number} line {step}", flush=True)
    if trial.number == 1:
        pathlib.Path("begun").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.05)
        print("the end", flush=True)
    return 0.5
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine.write(tmp_path, MINE, trials=2)


def test_a_log_is_shown_whole_here_and_its_end_elsewhere(
    processes: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    """While the trial runs with --follow, too; a machine without the file says what it lacks."""
    worker = processes.start("run", "own.toml", "--workers", "1")
    until(pathlib.Path("begun").exists)
    following = processes.start("logs", "own", "1", "--follow")
    pathlib.Path("go").touch()
    said, _ = following.communicate(timeout=60)
    assert said.splitlines()[:1] + said.splitlines()[-1:] == ["trial 1 line 0", "the end"]
    worker.wait(60)
    url = ["--storage", processes.url]
    assert cli.main(["logs", "own", "0", *url]) == 0
    assert capfd.readouterr().out.splitlines() == [f"trial 0 line {step}" for step in range(2000)]
    for folder in pathlib.Path().rglob("*.trials"):
        shutil.rmtree(folder)
    assert cli.main(["logs", "own", "0", *url]) == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[-1] == "trial 0 line 1999"
    assert 300 < len(out.splitlines()) < 2000
    assert "the end of 34,890 bytes; all is on the machine " in err
    assert cli.main(["logs", "own", "7", *url]) == 2
    assert "has 2 trials, numbered from 0, got 7" in capfd.readouterr().err
    assert cli.main(["logs", "own", "0", "--follow", "--json", *url]) == 2
