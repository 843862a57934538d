"""One worker that is kept alive: how often it may die, and what it ends with."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
from concurrent import futures

import mine
import psutil
import pytest
from conftest import ROOT, Processes
from optuna.trial import TrialState
from processes import ends, until
from trials import GONE, begin, succeed

from search import errors
from search.ledger import studies, summaries
from search.storage import databases
from search.worker import processes as workers
from search.worker import restarts

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("url", ["sqlite"], indirect=True)]

MODULE = """
import time

def objective(trial):
    for _ in range({epochs}):
        time.sleep(0.05)
        yield 0.5
"""
QUICK_SECONDS = 0.5  # of a process that has done nothing but load its modules
KEEPER_BYTES = 50 << 20


def create(started: Processes, folder: pathlib.Path, *, epochs: int, trials: int = 1) -> None:
    mine.write(folder, MODULE.format(epochs=epochs), trials=trials)
    assert started.run("create", "own.toml")[0] == 0


def child_of(pid: int) -> psutil.Process:
    until(psutil.Process(pid).children)
    (child,) = psutil.Process(pid).children()
    return child


def until_reaped(process: psutil.Process) -> None:
    """By its parent: `process.wait()` would take a child's exit code from under it."""
    until(lambda: not process.is_running(), 10)


def test_ten_deaths_in_a_life_are_survived(
    url: str, processes: Processes, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that beats before each of ten kills is started an eleventh time, and asked to stop it ends well."""
    create(processes, tmp_path, epochs=1)
    assert processes.run("work", "own")[0] == 0  # or on a busy machine its trial dies with each worker
    beat = tmp_path / "beat"
    monkeypatch.chdir(tmp_path)
    words = ["own", "--stay", "--health-file", str(beat), "--grace", "1"]
    environment = {"SEARCH_STORAGE": url, "PYTHONPATH": str(ROOT)}
    kept = workers.Processes(words, environment, tmp_path / "log", after_errors=True, quick_seconds=QUICK_SECONDS)
    stop, seen = threading.Event(), set()
    with futures.ThreadPoolExecutor() as pool:
        keeping = pool.submit(restarts.keep, kept, stop)
        try:
            for _ in range(11):
                until(lambda: beat.exists() or keeping.done())
                assert not keeping.done(), keeping.result()
                (process,) = (each for each in psutil.Process().children() if str(beat) in each.cmdline())
                seen.add(process.pid)
                if len(seen) < 11:
                    process.kill()
                    until_reaped(process)
                    beat.unlink()
        finally:
            stop.set()
    assert keeping.result() == 0
    assert len(seen) == 11


def test_five_deaths_at_once_are_the_end(processes: Processes, tmp_path: pathlib.Path) -> None:
    """A worker that is killed five times in a row just after its start is given up, with its own exit code."""
    create(processes, tmp_path, epochs=1)
    keeper = processes.start("work", "own", "--stay", "--restart")
    killed: set[int] = set()
    while len(killed) < workers.QUICK_LIMIT:
        child = child_of(keeper.pid)
        killed.add(child.pid)
        child.kill()
        child.wait(10)
    output, _ = keeper.communicate(timeout=30)
    assert keeper.returncode == 128 + signal.SIGKILL
    assert output.count("event=worker-killed") == workers.QUICK_LIMIT - 1
    assert "event=given-up" in output
    assert "killed (SIGKILL) 5 times in a row" in output


def test_sigterm_hands_over(processes: Processes, tmp_path: pathlib.Path) -> None:
    """A keeper is small, and SIGTERM makes its worker hand the trial over before both end with 0."""
    create(processes, tmp_path, epochs=10_000)
    database = databases.Database(processes.url)
    study = studies.find(database, "own")
    assert study is not None

    def states() -> list[TrialState]:
        return [each.state for each in summaries.whole(database, study).trials if each.intermediate_values]

    keeper = processes.start("work", "own", "--restart")
    until(lambda: states() == [TrialState.RUNNING])
    worker = child_of(keeper.pid)
    assert psutil.Process(keeper.pid).memory_info().rss < KEEPER_BYTES
    keeper.send_signal(signal.SIGTERM)
    assert ends([keeper], 30) == [0]
    assert not worker.is_running()
    assert states() == [TrialState.WAITING]
    database.close()


@pytest.mark.parametrize(
    ("name", "address", "code", "starts"),
    [
        ("own", None, 0, 1),
        ("nosuch", None, 2, 1),
        ("own", "postgresql://nobody@127.0.0.1:1/none", 1, workers.QUICK_LIMIT),
    ],
    ids=["finished", "bad input", "error"],
)
def test_what_a_worker_ends_with_is_the_end(
    processes: Processes, tmp_path: pathlib.Path, name: str, address: str | None, code: int, starts: int
) -> None:
    """Work that is done and bad input end the keeper with that code; an error is tried again by the rule for kills."""
    create(processes, tmp_path, epochs=1)
    found, output = processes.run("work", name, "--restart", "--patience", "0", SEARCH_STORAGE=address or processes.url)
    assert found == code, output
    assert output.count("event=worker-failed") == starts - 1
    assert ("event=given-up" in output) == (starts > 1)


def test_a_worker_that_took_itself_out_stays_out(processes: Processes, tmp_path: pathlib.Path) -> None:
    """One whose trials fail while those of others do not asks for a person: it is not started again."""
    create(processes, tmp_path, epochs=1, trials=20)
    database = databases.Database(processes.url)
    study = studies.load(database, "own")
    for _ in range(4):
        succeed(database, begin(database, study, GONE))
    (tmp_path / "mine.py").write_text("def objective(trial):\n    raise OSError(trial.number)\n")
    found, output = processes.run("work", "own", "--restart")
    assert (found, output.count("event=failed")) == (errors.TookItselfOut.exit_code, 3), output
    assert "this one takes itself out" in output
    summary = summaries.whole(database, study)
    assert (summary.failures, summary.count(TrialState.WAITING)) == (0, 3)
    database.close()


def test_a_password_stays_in_its_file(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Neither the keeper nor its worker has it in its environment or command line; both know the file."""
    (tmp_path / "password").write_text("hunter2")
    words = ("--storage-password-file", str(tmp_path / "password"))
    keeper = processes.start("work", "own", "--restart", *words, SEARCH_STORAGE="postgresql://nobody@127.0.0.1:1/none")
    for process in (child_of(keeper.pid), psutil.Process(keeper.pid)):
        seen = [*process.cmdline(), *process.environ().values()]
        assert not [word for word in seen if "hunter2" in word]
        assert process.environ()["SEARCH_STORAGE_PASSWORD_FILE"] == str(tmp_path / "password")


FIRST = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # whose parents have ended are ours, as they are the first process's
os.execv(sys.executable, [sys.executable, "-m", "search", "work", "own", "--restart"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_the_first_process_of_a_container_keeps_no_dead(processes: Processes, tmp_path: pathlib.Path) -> None:
    """What a killed worker leaves is the keeper's then, and heard of when it ends; the worker is started again."""
    create(processes, tmp_path, epochs=10_000)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": processes.url}
    command = [sys.executable, "-c", FIRST]
    keeper = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)
    processes.started.append(keeper)
    database = databases.Database(processes.url)
    study = studies.load(database, "own")

    def own() -> list[psutil.Process]:
        return psutil.Process(keeper.pid).children()

    until(lambda: any(each.intermediate_values for each in summaries.whole(database, study).trials), 60)
    (worker,) = (each for each in own() if "work" in each.cmdline())
    others = worker.children(recursive=True)
    assert others
    worker.kill()
    until(lambda: not any(each.is_running() for each in (worker, *others)), 20)
    until(lambda: [each for each in own() if "work" in each.cmdline()], 20)
    assert [each.status() for each in own() if each.status() == psutil.STATUS_ZOMBIE] == []
    database.close()
