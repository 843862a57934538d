"""Which functions of a database a worker imports: those that its user allowed."""

import pathlib

import pytest
from conftest import Processes

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("url", ["sqlite"], indirect=True)]

STUDY = """
objective = "mine_to_allow:objective"
[study]
name = "own"
[space]
x = [1, 2]
[sampler]
name = "random"
[budget]
trials = 1
"""
MODULE = """
import pathlib

pathlib.Path("imported").touch()

def objective(trial):
    return 0.5
"""


@pytest.mark.parametrize("value", ["none", "mine_to_allow:other", "other,mine", "os"])
def test_an_objective_that_is_not_allowed_is_not_imported(
    processes: Processes, tmp_path: pathlib.Path, value: str
) -> None:
    """`search work` refuses it in one line, exit code 2, with what to type; the module was not loaded."""
    (tmp_path / "own.toml").write_text(STUDY)
    (tmp_path / "mine_to_allow.py").write_text(MODULE)
    assert processes.run("create", "own.toml")[0] == 0
    code, output = processes.run("work", "own", SEARCH_ALLOW_OBJECTIVES=value)
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("search: study 'own': its objective must be one that --allow-objectives ")
    assert f"got 'mine_to_allow:objective' where {value!r} may run" in output
    assert output.endswith("search work own --allow-objectives mine_to_allow:objective\n")
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("work", "own"), ""),
        (("work", "own"), "mine_to_allow:objective"),
        (("work", "own", "--allow-objectives", "mine_to_allow"), "none"),
        (("run", "own.toml"), "none"),
    ],
)
def test_an_objective_that_is_allowed_runs(
    processes: Processes, tmp_path: pathlib.Path, words: tuple[str, ...], value: str
) -> None:
    """By default, by its name, and where `search run` was given the very file that names it."""
    (tmp_path / "own.toml").write_text(STUDY)
    (tmp_path / "mine_to_allow.py").write_text(MODULE)
    assert processes.run("create", "own.toml")[0] == 0
    code, output = processes.run(*words, SEARCH_ALLOW_OBJECTIVES=value)
    assert code == 0, output
    assert (tmp_path / "imported").exists()
