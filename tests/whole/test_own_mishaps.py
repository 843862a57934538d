"""Whatever code of the user's own does to its process, its machine or its worker, it does to its own trial alone."""

import os
import pathlib
import signal
import sys
import time

import mine
import psutil
import pytest
from conftest import Processes
from optuna.trial import TrialState
from processes import until

from search.ledger import studies, summaries
from search.storage import databases

MINE = """
import ctypes, os, pathlib, resource, subprocess, sys, time

def objective(trial):
    what = WHAT[trial.number] if trial.number < len(WHAT) else "well"
    globals()[what](trial)
    return 0.5

def well(trial):
    pass

def floods(trial):
    for _ in range(40):
        sys.stdout.write("x" * 79 + "\\n" * 1)
        os.write(1, b"more and more\\n" * 60_000)

def exits(trial):
    os._exit(3)

def crashes(trial):
    print("here it comes", flush=True)
    ctypes.string_at(0)

def eats(trial):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    bytearray(1 << 32)

def holds(trial):
    ctypes.PyDLL(None).sleep(600)  # with the interpreter's lock

def forks(trial):
    if os.fork() == 0:
        pathlib.Path("forked").write_text(str(os.getpid()))
        while True:
            time.sleep(60)
    os._exit(4)
"""
LIMITS = '\n[trial]\nprocess = "{process}"\nsilent_seconds = 4\n'


def write(
    folder: pathlib.Path, what: tuple[str, ...], process: str = "warm", trials: int = 2, failures: int = 10
) -> None:
    mine.write(folder, f"WHAT = {what!r}\n{MINE}", trials=trials, failures=failures)
    with (folder / "own.toml").open("a") as stream:
        stream.write(LIMITS.format(process=process))


@pytest.mark.parametrize("process", ["warm", "fresh"])
def test_each_mishap_fails_its_trial_alone(
    processes: Processes, url: str, tmp_path: pathlib.Path, process: str
) -> None:
    """A flood, os._exit, a crash, a fork left behind: the worker lives, the budget is met, each says what it was."""
    write(tmp_path, ("floods", "exits", "crashes", "forks"), process)
    code, log = processes.run("run", "own.toml", "--workers", "1")
    assert (code, "worker-killed" in log) == (0, False), log
    database = databases.Database(url)
    trials = summaries.whole(database, studies.load(database, "own")).trials
    reasons = [trial.user_attrs.get("search:reason", "").removeprefix("Failed: ") for trial in trials]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, *[TrialState.FAIL] * 3, TrialState.COMPLETE]
    assert reasons[1] == "its process was ended with exit code 3 inside the objective"
    assert reasons[2] == "its process was ended by SIGSEGV inside the objective"
    assert "here it comes" in trials[2].user_attrs["search:traceback"]
    assert "in crashes" in trials[2].user_attrs["search:traceback"], "where it crashed"
    assert reasons[3] == "its process was ended with exit code 4 inside the objective"
    until(lambda: not psutil.pid_exists(int((tmp_path / "forked").read_text())), 10)
    kept = sum(path.stat().st_size for path in tmp_path.rglob("log*.txt"))
    assert 1 << 20 < kept < 40 << 20
    database.close()


@pytest.mark.slow
def test_a_lack_of_memory_is_tried_again_and_ends(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """It is nobody's doing: three tries, then the trial fails, outside of max_failures; the others are complete."""
    write(tmp_path, ("eats",), failures=0)
    code, log = processes.run("run", "own.toml", "--workers", "1")
    assert code == 0, log
    database = databases.Database(url)
    trials = summaries.whole(database, studies.load(database, "own")).trials
    assert sorted(trial.state.name for trial in trials) == ["COMPLETE", "COMPLETE", "FAIL"]
    failed = next(trial for trial in trials if trial.state == TrialState.FAIL)
    assert "MemoryError" in failed.user_attrs["search:reason"]
    assert "not the objective's doing" in failed.user_attrs["search:reason"]
    database.close()


def test_code_that_holds_the_interpreter_is_ended(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """It can neither be asked nor interrupted: after `silent_seconds` and a while its process group is killed."""
    write(tmp_path, ("holds",), trials=1)
    began = time.monotonic()
    code, log = processes.run("run", "own.toml", "--workers", "1")
    assert code == 0, log
    assert time.monotonic() - began < 90
    database = databases.Database(url)
    failed, well = summaries.whole(database, studies.load(database, "own")).trials
    assert "trial.silent_seconds = 4" in failed.user_attrs["search:reason"]
    assert (failed.state, well.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert not [each for each in psutil.process_iter() if _is_in(each, tmp_path)]
    database.close()


ENDS = """
import os, pathlib, signal, sys, time

def end(*_):
    print("value 0.5", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("value 0.25", flush=True)
pathlib.Path("began").write_text(str(os.getpid()))
while True:
    time.sleep(0.01)
"""


def test_what_all_are_asked_is_no_value(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """A program that ends with 0 where a batch system ends all processes has not finished its trial: it waits."""
    (tmp_path / "ends.py").write_text(ENDS)
    command = f'command = ["{sys.executable}", "ends.py"]\nmetric = {{ from = "stdout", pattern = "value (.*)" }}'
    (tmp_path / "own.toml").write_text(mine.text(trials=1).replace('objective = "mine:objective"', command))
    assert processes.run("create", "own.toml")[0] == 0
    worker = processes.start("work", "own")
    until((tmp_path / "began").exists, 30)
    own = psutil.Process(worker.pid)
    for process in own.children(recursive=True):
        process.send_signal(signal.SIGTERM)
    time.sleep(0.5)  # the worker, on a busy machine, is the last to hear
    own.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    database = databases.Database(url)
    (trial,) = summaries.whole(database, studies.load(database, "own")).trials
    assert trial.state == TrialState.WAITING
    database.close()


def _is_in(process: psutil.Process, folder: pathlib.Path) -> bool:
    try:
        return process.pid != os.getpid() and process.cwd() == str(folder)
    except psutil.Error:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_process_that_is_killed_each_time_is_tried_three_times(processes: Processes, tmp_path: pathlib.Path) -> None:
    """As the page says: not at once and again, and the trial's own reason counts what was tried."""
    code = """
import os, pathlib, signal

def objective(trial):
    with pathlib.Path("tries").open("a") as tries:
        tries.write(f"{trial.number}\\n")
    if trial.number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5
"""
    mine.write(tmp_path, code, trials=2)
    code_, output = processes.run("run", "own.toml", "--workers", "1")
    assert code_ == 0, output
    assert (tmp_path / "tries").read_text().split().count("0") == 3
    database = databases.Database(processes.url, patience_seconds=30)
    found = summaries.whole(database, studies.load(database, "own"))
    assert (found.trials[0].state, found.failures) == (TrialState.FAIL, 0)
    assert "tried 3 times" in found.trials[0].user_attrs["search:reason"]
