"""The process of an objective: it ends with all that it started, whoever ends it."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import mine
import psutil
import pytest
from conftest import ROOT
from processes import until

from search.training import children

MODULE = """
import os, pathlib, subprocess, sys, time

def starts(trial):
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path("new").write_text(f"{os.getpid()} {child.pid}")
    pathlib.Path("new").rename("pids")
    if trial.number:
        time.sleep(300)
    return 0.5

def goes_on(trial):
    pathlib.Path("pids").write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(300)
        except BaseException:
            pass

def forks(trial):
    pid = os.fork()  # both come to the end
    if pid:
        os.waitpid(pid, 0)
    return float(pid > 0)

def asks(trial):
    return float(len(sys.stdin.read()) + len(sys.argv))
"""


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def pids(folder: pathlib.Path) -> list[int]:
    until((folder / "pids").exists)
    return [int(word) for word in (folder / "pids").read_text().split()]


@pytest.fixture
def child(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[children.Child]:
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    started = children.Child()
    yield started
    started.close()


def begin(child: children.Child, function: str, number: int = 0) -> None:
    child.send({"do": "load", "objective": f"mine:{function}", "folder": str(pathlib.Path.cwd()), "space": {}})
    loaded = child.receive(60)
    assert loaded is not None
    assert (loaded["is"], set(loaded["code"])) == ("loaded", {"mine.py"})
    child.send(order(number))


def order(number: int = 0) -> dict[str, Any]:
    """To train a trial."""
    own = {"number": number, "seed": 0, "folder": str(pathlib.Path.cwd()), "saved": None}
    return {"do": "train", **own, "params": {}, "attrs": {}}


def test_close_ends_what_an_objective_left(child: children.Child, tmp_path: pathlib.Path) -> None:
    """A program that a trial started and forgot lives as long as its process, and no longer."""
    begin(child, "starts")
    assert child.receive(60) == {"is": "complete", "value": 0.5, "attrs": {}}
    process, started = pids(tmp_path)
    assert not is_gone(started)
    child.close()
    until(lambda: is_gone(process) and is_gone(started), 10)


def test_its_end_is_told(child: children.Child, tmp_path: pathlib.Path) -> None:
    """By its exit code or signal, to whoever listens or speaks."""
    begin(child, "starts", 1)
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    with pytest.raises(children.Gone, match="its process was ended by SIGKILL") as gone:
        child.receive(60)
    assert gone.value.code == -signal.SIGKILL
    with pytest.raises(children.Gone):
        child.send({"do": "end"})


def test_code_that_will_not_end_is_given_up(
    child: children.Child, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to end its trial, it catches that and sleeps on: it gets no other trial."""
    monkeypatch.setattr(children, "PARTING_SECONDS", 1.0)
    begin(child, "goes_on")
    pids(tmp_path)
    assert not child.end_trial(lambda said: None)


def test_code_that_lets_itself_be_ended_goes_on_with_another_trial(
    child: children.Child, tmp_path: pathlib.Path
) -> None:
    """SIGTERM, as a batch system sends it to all processes, is not its business; the worker's word is."""
    begin(child, "starts", 1)
    os.kill(pids(tmp_path)[0], signal.SIGTERM)
    assert child.receive(0.5) is None
    assert child.end_trial(lambda said: None)
    child.send(order())
    assert child.receive(60) == {"is": "complete", "value": 0.5, "attrs": {}}


def test_a_fork_of_the_objective_s_says_nothing(child: children.Child) -> None:
    """The copy of a process that comes to the end of the function ends there; its parent's value is the trial's."""
    begin(child, "forks")
    assert child.receive(60) == {"is": "complete", "value": 1.0, "attrs": {}}
    assert child.receive(0.2) is None


def test_input_and_arguments(child: children.Child) -> None:
    """Nobody types anything, and nothing of ours is among its arguments."""
    begin(child, "asks")
    assert child.receive(60) == {"is": "complete", "value": 1.0, "attrs": {}}


HOLDER = """
import pathlib, time
from search.training import children
child = children.Child()
child.send({"do": "load", "objective": "mine:holds", "folder": str(pathlib.Path.cwd()), "space": {}})
print(child.receive(None))
order = {"number": 0, "seed": 0, "folder": str(pathlib.Path.cwd()), "saved": None}
child.send({"do": "train", **order, "params": {}, "attrs": {}})
time.sleep(300)
"""
HOLDS = """
import ctypes, os, pathlib, subprocess

def holds(trial):
    child = subprocess.Popen(["sleep", "300"])
    pathlib.Path("new").write_text(f"{os.getpid()} {child.pid}")
    pathlib.Path("new").rename("pids")
    ctypes.PyDLL(None).sleep(300)  # and holds the interpreter
"""


def test_its_group_ends_with_a_killed_worker(tmp_path: pathlib.Path) -> None:
    """Even while the objective holds the interpreter, in which no thread and no handler of its process could run."""
    (tmp_path / "mine.py").write_text(HOLDS)
    root = pathlib.Path(children.__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        found = pids(tmp_path)
    finally:
        holder.kill()
        holder.wait()
    until(lambda: all(map(is_gone, found)), 10)


FIRST = """
import ctypes, pathlib
import psutil
from search.study import specs
from search.training import functions

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # whose parents have ended are ours, as they are the first process's
for _ in range(3):
    functions.FunctionObjective(specs.load(pathlib.Path("own.toml"))).close()
print([each.status() for each in psutil.Process().children()])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_the_first_process_of_a_container_keeps_no_dead(tmp_path: pathlib.Path) -> None:
    """Guards that are its own once their processes have ended are heard of: their numbers would run out."""
    mine.write(tmp_path, MODULE, "starts")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FIRST]
    said = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "[]\n"
