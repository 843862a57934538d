"""A search over the GPUs of a machine, with a stand-in for nvidia-smi: no GPU is needed, and none was used."""

import os
import pathlib
import re

import gpus
import mine
import pytest
from conftest import Processes

import search

# the worker on GPU 0 is killed, GPU 1 is lost, and GPU 2 is busy until the first one is back
OBJECTIVE = f"""
import os, pathlib, signal, time

def objective(trial):
    gpu, killed, back = os.environ["CUDA_VISIBLE_DEVICES"], pathlib.Path("killed"), pathlib.Path("back")
    if gpu == "{gpus.uuid(0)}":
        if not killed.exists():
            while len(list(pathlib.Path("locks").glob("GPU-*"))) < 3:  # each has its GPU
                time.sleep(0.05)
            killed.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        back.touch()
    if gpu == "{gpus.uuid(1)}":
        for name in ("rows", "code"):
            pathlib.Path("gpus", name).write_text(pathlib.Path(name).read_text())
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
    while not back.exists():
        time.sleep(0.05)
    return trial.params["x"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_search_over_gpus(processes: Processes, tmp_path: pathlib.Path) -> None:
    """A worker on each; a killed one has its place again, one whose GPU is lost ends, and the count is exact."""
    machine = gpus.Machine(tmp_path)
    machine.has(3)
    (tmp_path / "rows").write_text("".join(f"{n}, {gpus.uuid(n)}, [N/A], 5, 0\n" for n in (0, 2)))
    (tmp_path / "code").write_text("15\n")
    mine.write(tmp_path, OBJECTIVE, trials=8)
    environment = {"PATH": f"{machine.folder}{os.pathsep}{os.environ['PATH']}", "SEARCH_GPU_LOCKS": "locks"}
    code, output = processes.run("run", "own.toml", "--gpus", "all", **environment)
    assert code == 0, output
    trials = search.load("own", storage=processes.url).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 8
    taken = re.findall(r"event=gpu device='gpu (\d)'", output)
    assert sorted(taken) == ["0", "0", "1", "2"], output  # the one that was started again found its place free
    assert output.count("event=device-failed") == 1
    assert "gpu 1 is gone (nvidia-smi does not list" in output
