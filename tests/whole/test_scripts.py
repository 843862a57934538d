"""`search.run` with a function of a real script and of a real notebook."""

import os
import pathlib
import subprocess
import sys

import nbclient
import nbformat
import optuna
import pytest
from conftest import ROOT, Processes

SCRIPT = """
import functools, pickle, sys
import search

FACTOR = 1.0

class Net:
    def __init__(self, x):
        self.x = x

def value(x):
    return pickle.loads(pickle.dumps(Net(x))).x * FACTOR

def objective(trial):
    return value(trial.suggest_float("x", 0.0, 1.0))

print("the script runs")
how = {"space": {"x": {"low": 0.0, "high": 1.0}}, "sampler": "random", "workers": 1}
study = search.run(objective, trials=int(sys.argv[1]), **how)
print(study.study_name, len(study.trials), all(t.value == t.params["x"] * FACTOR for t in study.trials[-2:]))
"""
CELLS = (
    "import search\nSPACE = {'x': {'low': 0.0, 'high': 1.0}}",
    "def objective(trial):\n    print('inside')\n    return trial.params['x']",
    "study = search.run(objective, space=SPACE, trials=2, workers=1, sampler='random')\nprint(study.study_name)",
    "study = search.run(lambda t: 1 / 0, name='fails', space=SPACE, trials=1, workers=1, budget={'max_failures': 0})",
)


def script(folder: pathlib.Path, storage: str, *arguments: str) -> tuple[int, str]:
    """Runs `tune.py` there, from another folder: exit code, and all that it said."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": storage}
    command = [sys.executable, str(folder / "tune.py"), *arguments]
    ran = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=150)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_script(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Without a guard it runs once; again it extends the study and says what changed; others have no such code."""
    (tmp_path / "tune.py").write_text(SCRIPT)
    code, said = script(tmp_path, processes.url, "2")
    assert code == 0, said
    assert said.count("the script runs") == 1
    assert "tune-objective 2 True" in said
    (tmp_path / "tune.py").write_text(SCRIPT.replace("FACTOR = 1.0", "FACTOR = 2.0"))
    code, said = script(tmp_path, processes.url, "4")
    assert code == 0, said
    assert "note: budget.trials: 2 -> 4\n" in said
    assert (
        "note: study 'tune-objective': the function has changed; trials from now on are trained by the new one" in said
    )
    assert "tune-objective 4 True" in said
    for command in (("work", "tune-objective"), ("run", "tune-objective")):
        code, said = processes.run(*command)
        assert code == 2
        assert f"its function lives in script {tmp_path / 'tune.py'} on " in said
    stored = optuna.load_study(study_name="tune-objective", storage=processes.url)
    assert {len(each) < 500 for each in map(str, stored.user_attrs["search:function"].values())} == {True}


@pytest.mark.slow
def test_a_notebook(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of a cell is trained, and the line of a cell that fails is told."""
    monkeypatch.setenv("SEARCH_STORAGE", f"sqlite:///{tmp_path}/search.db")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    client = nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="ZeroDivisionError: division by zero"):
        client.execute()
    printed = [output.text for output in book.cells[2].outputs if output.get("name") == "stdout"]
    assert printed == ["notebook-objective\n"]
    (failed,) = optuna.load_study(study_name="fails", storage=f"sqlite:///{tmp_path}/search.db").trials
    assert "study = search.run(lambda t: 1 / 0, name='fails'" in failed.user_attrs["search:traceback"]
