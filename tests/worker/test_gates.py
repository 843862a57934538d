"""Workers that are started before their work is sure."""

import os
import pathlib
import subprocess
import sys

import mine
import psutil
import pytest
from conftest import ROOT, Processes
from processes import until

WAITING = """
from search.worker import gates
gates.come_through(lambda is_training: print("loaded", is_training, flush=True))
print("at work", flush=True)
"""
PARENT = """
import os, signal
from search.worker import gates
ready = gates.Ready(["quick"], {}, True)
ready.start(1)
print(ready._waiting[0][0].pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("word", "said", "logged"),
    [
        (b"", "loaded True\n", None),
        (b"half a na", "loaded True\n", None),
        (b"\n", "loaded True\nat work\n", None),
        (b"a log\n", "loaded True\n", "at work\n"),
    ],
)
def test_it_begins_at_a_word(tmp_path: pathlib.Path, word: bytes, said: str, logged: str | None) -> None:
    """It has loaded by then; from the word on its output goes where that says; without one it ends, as if well."""
    entry, ours = os.pipe()
    how = {"env": {"PYTHONPATH": str(ROOT), "SEARCH_GATE": f"{entry} 1"}, "pass_fds": (entry,), "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True, **how) as process:  # type: ignore[call-overload]
        os.close(entry)
        os.write(ours, word)
        os.close(ours)
        assert process.stdout is not None
        assert process.stdout.read() == said
    assert process.returncode == 0
    assert (tmp_path / "a log").read_text() == logged if logged else not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_ends_with_its_parent(tmp_path: pathlib.Path) -> None:
    """Where `search run` is killed before there is work, nobody is left that waits."""
    command = [sys.executable, "-c", PARENT]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, cwd=tmp_path)
    number = int(done.stdout)
    until(lambda: not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE, 30)
    assert not list(tmp_path.iterdir())  # no database either


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_bad_input_leaves_no_worker(processes: Processes, tmp_path: pathlib.Path) -> None:
    """An objective that is not to be had is told in one line, exit code 2; no study is made, no process left."""
    mine.write(tmp_path, "import nothing_of_that_name\n", trials=1)
    code, output = processes.run("run", "own.toml", "--workers", "2")
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("search: objective must name a function that can be imported here, got 'mine:objective'")
    assert not [each for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == str(tmp_path)]
