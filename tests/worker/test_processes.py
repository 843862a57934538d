"""Worker processes on this machine: what is left of one that was killed."""

import pathlib
import signal
import time

import psutil
import pytest
from conftest import Processes
from processes import ends, until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("url", ["sqlite"], indirect=True)]

STUDY = """
objective = "mine_with_child:objective"
[study]
name = "own"
[space]
x = [1, 2]
[sampler]
name = "random"
[budget]
trials = 2
"""
MODULE = """
import pathlib, subprocess, time

def objective(trial):
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path("child.new").write_text(str(child.pid))
    pathlib.Path("child.new").rename("child")
    time.sleep(300)
"""


def child_of_objective(folder: pathlib.Path) -> psutil.Process:
    until((folder / "child").exists)
    found = psutil.Process(int((folder / "child").read_text()))
    (folder / "child").unlink()
    return found


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_nothing_of_a_killed_worker_lives_on(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Children of its objective are killed with a worker: by whoever killed it, or by Ctrl-C twice."""
    (tmp_path / "own.toml").write_text(STUDY)
    (tmp_path / "mine_with_child.py").write_text(MODULE)
    running = processes.start("run", "own.toml", "--workers", "1", "--grace", "1")
    first = child_of_objective(tmp_path)
    worker = first.parent()
    assert worker is not None
    worker.kill()
    until(lambda: is_gone(first), 10)
    second = child_of_objective(tmp_path)  # the worker was started again, and its trial adopted
    assert not is_gone(second)
    again = second.parent()
    assert again is not None
    again.suspend()  # so that the first Ctrl-C cannot be answered in time
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert ends([running]) == [130]
    until(lambda: is_gone(second), 10)
