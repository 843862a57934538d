"""Worker processes on this machine: what is left of one that was killed."""

import pathlib
import signal
import time

import mine
import psutil
import pytest
from conftest import Processes
from processes import ends, until

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("url", ["sqlite"], indirect=True)]

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


def worker_of(process: psutil.Process) -> psutil.Process:
    """It started the process of the objective, which started this one."""
    objective = process.parent()
    assert objective is not None
    worker = objective.parent()
    assert worker is not None
    return worker


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_nothing_of_a_killed_worker_lives_on(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Children of its objective are killed with a worker: by whoever killed it, or by Ctrl-C twice."""
    mine.write(tmp_path, MODULE)
    running = processes.start("run", "own.toml", "--workers", "1", "--grace", "1")
    first = child_of_objective(tmp_path)
    worker_of(first).kill()
    until(lambda: is_gone(first), 10)
    second = child_of_objective(tmp_path)  # the worker was started again, and its trial adopted
    assert not is_gone(second)
    worker_of(second).suspend()  # so that the first Ctrl-C cannot be answered in time
    running.send_signal(signal.SIGINT)
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    assert ends([running]) == [130]
    until(lambda: is_gone(second), 10)
