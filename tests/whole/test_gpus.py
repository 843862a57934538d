"""A search over the GPUs of a machine, with a stand-in for nvidia-smi: no GPU is needed, and none was used."""

import os
import pathlib
import re

import gpus
import mine
import pytest
from conftest import Processes

import search

# trial 2 loses its worker, another one the GPU
OBJECTIVE = f"""
import os, pathlib, signal, time

def objective(trial):
    gpu = os.environ["CUDA_VISIBLE_DEVICES"]
    trial.set_user_attr("gpu", gpu)
    if trial.number == 2 and not pathlib.Path("killed").exists():
        pathlib.Path("killed").write_text(gpu)
        os.kill(os.getppid(), signal.SIGKILL)
    if gpu == "{gpus.uuid(1)}" and pathlib.Path("killed").exists():
        for name in ("rows", "code"):
            pathlib.Path("gpus", name).write_text(pathlib.Path(name).read_text())
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
    time.sleep(0.2)
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
    mine.write(tmp_path, OBJECTIVE, trials=16)
    environment = {"PATH": f"{machine.folder}{os.pathsep}{os.environ['PATH']}", "SEARCH_GPU_LOCKS": "locks"}
    code, output = processes.run("run", "own.toml", "--gpus", "all", **environment)
    assert code == 0, output
    trials = search.load("own", storage=processes.url).trials
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 16
    taken = re.findall(r"event=gpu device='gpu \d' uuid=(\S+)", output)
    killed = (tmp_path / "killed").read_text()
    # the one that was started again found its place free
    assert sorted(taken) == sorted([killed, *map(gpus.uuid, range(3))]), output
    assert output.count("event=device-failed") == 1
    assert "gpu 1 is gone (nvidia-smi does not list" in output
