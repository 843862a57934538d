"""The end of a process."""

import pathlib
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow

LEAVING = """
import atexit, sys, threading, time, weakref
from search.cli import exits

class Kept:
    pass

kept, left = Kept(), open("left.txt", "w")
left.write("written, never closed")
atexit.register(lambda: print("exit handler"))
weakref.finalize(kept, lambda: print("finalized"))
threading.Thread(target=lambda: (time.sleep(0.3), print("thread done"))).start()
threading.Thread(target=lambda: time.sleep(600), daemon=True).start()
print("no newline", end="")
exits.leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 2, 130])
def test_nothing_is_lost_at_the_end(tmp_path: pathlib.Path, code: int) -> None:
    """Threads are waited for, exit handlers run, files are flushed, though the interpreter is not taken apart."""
    command = [sys.executable, "-c", LEAVING, str(code)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == "no newlinethread done\nfinalized\nexit handler\n"
    assert (tmp_path / "left.txt").read_text() == "written, never closed"


def test_nobody_reads_any_more(tmp_path: pathlib.Path) -> None:
    """A pipe whose reader is gone, as with `search status | head -1`, is no error at the end."""
    command = f"{sys.executable} -m search --help | head -1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_database_is_one_file_afterwards(tmp_path: pathlib.Path) -> None:
    """SQLite's log is written back when a command ends: the file alone can be copied."""
    (tmp_path / "quick.toml").write_text(
        '[study]\nname = "quick"\n[training]\ndataset = "synthetic"\n[space]\nlearning_rate = [0.1]\nbatch_size = [8]\n'
        "depth = [0]\nwidth = [8]\nactivation = ['ReLU']\n[budget]\ntrials = 1\n".replace(
            "width = [8]", 'width = { choices = [8], when = "depth > 0" }'
        ).replace("activation = ['ReLU']", 'activation = { choices = ["ReLU"], when = "depth > 0" }')
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "SEARCH_STORAGE": "sqlite:///one.db"}
    command = [sys.executable, "-m", "search", "create", "quick.toml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == ["one.db", "quick.toml"]
