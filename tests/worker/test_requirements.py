"""What workers need: data that is fetched before them, and of a database's functions those that their user allowed."""

import pathlib
import shutil

import mine
import pytest
from conftest import Processes, quick_text

from models import sources
from search import cli

real = pytest.mark.parametrize("url", ["sqlite"], indirect=True)

MODULE = """
import pathlib

pathlib.Path("imported").touch()

def objective(trial):
    return 0.5
"""


@pytest.mark.slow
@real
@pytest.mark.parametrize("value", ["none", "mine:other", "other,my", "os"])
def test_an_objective_that_is_not_allowed_is_not_imported(
    processes: Processes, tmp_path: pathlib.Path, value: str
) -> None:
    """`search work` refuses it in one line, exit code 2, with what to type; the module was not loaded."""
    mine.write(tmp_path, MODULE, trials=1)
    assert processes.run("create", "own.toml")[0] == 0
    code, output = processes.run("work", "own", SEARCH_ALLOW_OBJECTIVES=value)
    assert (code, output.count("\n")) == (2, 1), output
    assert output.startswith("search: study 'own': its objective must be one that --allow-objectives ")
    assert f"got 'mine:objective' where {value!r} may run" in output
    assert output.endswith("search work own --allow-objectives mine:objective\n")
    assert not (tmp_path / "imported").exists()


@pytest.mark.slow
@real
@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("work", "own"), ""),
        (("work", "own"), "mine:objective"),
        (("work", "own", "--allow-objectives", "mine"), "none"),
        (("run", "own.toml"), "none"),
    ],
)
def test_an_objective_that_is_allowed_runs(
    processes: Processes, tmp_path: pathlib.Path, words: tuple[str, ...], value: str
) -> None:
    """By default, by its name, and where `search run` was given the very file that names it."""
    mine.write(tmp_path, MODULE, trials=1)
    assert processes.run("create", "own.toml")[0] == 0
    code, output = processes.run(*words, SEARCH_ALLOW_OBJECTIVES=value)
    assert code == 0, output
    assert (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (quick_text(), "study 'quick': the synthetic set is made when it is needed"),
        (mine.text(), "study 'own': its objective mine:objective brings its own data"),
        (quick_text().replace('"synthetic"', '"fashion-mnist"'), "study 'quick': FashionMNIST is in here"),
        (quick_text().replace('"synthetic"', '"mnist"'), "study 'quick': MNIST is in here/MNIST/raw"),
    ],
)
def test_data_is_there_before_workers_are(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: pathlib.Path,
    data_dir: pathlib.Path,
    text: str,
    words: str,
) -> None:
    """`search fetch` says where a study's data is, by its file alone: no database is made, no function imported."""
    (tmp_path / "here").mkdir()
    for path in sources.find(data_dir).values():
        shutil.copy(path, tmp_path / "here")
    (tmp_path / "here" / "MNIST" / "raw").mkdir(parents=True)
    for path in sources.find(data_dir, "mnist").values():
        shutil.copy(path, tmp_path / "here" / "MNIST" / "raw")
    (tmp_path / "a.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fetch", "a.toml", "--data-dir", "here"]) == 0
    assert capsys.readouterr().out == f"{words}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"here", "a.toml"}


def test_data_that_is_none_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Files of those names with another content are refused in one line, exit code 2."""
    for name in sources.NAMES:
        (tmp_path / name).write_bytes(bytes(16))
    (tmp_path / "a.toml").write_text(quick_text().replace('"synthetic"', '"fashion-mnist"'))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fetch", "a.toml", "--data-dir", "."]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert len([line for line in printed if line.startswith("search: ")]) == 1
    assert "is not FashionMNIST's" in printed[-1]


@pytest.mark.usefixtures("own_folder")
def test_a_store_whose_library_is_missing_is_said_first(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, exit code 2, before anything is trained or written."""
    mine.write(tmp_path, MODULE, trials=1)
    assert cli.main(["run", "own.toml", "--store", "gs://bucket"]) == 2
    said = capsys.readouterr().err
    assert "a store at gs:// needs the package gcsfs" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs" / "search.db").exists()
