"""Every example of every command's help does what it says, on the lab's studies made small."""

import gzip
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import mine
import pytest
import tabled
from conftest import ROOT, Server
from PIL import Image

from search import cli
from search.cli import commands, helps

pytestmark = pytest.mark.slow

EXAMPLES = [example for name in commands.COMMANDS for example in helps.examples(commands.load(name))]
ADDRESS = "postgresql://user@host/search"
NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
NOT_RUN = {
    "search bench": "four minutes of a core that nothing else may use: what it measures, tests/models/ runs",
    "search bench --rounds 9 --json": "as above, seven minutes",
    "search publish lab --to mlflow:http://127.0.0.1:5000": "tests/exports/test_mlflows.py has the server",
    "search reproduce": "the other example of it runs, with fewer seeds",
}
# of a study with an objective of the user's own
SPACE = """
"model.lr" = { low = 0.001, high = 1.0 }
penalty = { choices = ["l1", "l2"], none = true }
early = [true, false]
label = ["1", "2"]
"""
# what a machine without a GPU answers
REFUSED = {example: "device 'cuda' is not there" for example in EXAMPLES if "--device cuda" in example}
TYPED = re.compile(r"[>|$]")  # a shell has to read it


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A folder with the lab's study files, of the synthetic set and an epoch, some of them worked off."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("studies", "made"):
        (folder / name).mkdir()
    for path in (ROOT / "studies").glob("*.toml"):
        text = path.read_text().replace('"fashion-mnist"', '"synthetic"').replace("epochs = 10", "epochs = 1")
        (folder / "studies" / path.name).write_text(text.replace("hopeless = true", "hopeless = false"))
    table = tabled.write(folder / "lab.jsonl", tabled.lab())
    (folder / "studies" / "lab.table.jsonl.gz").write_bytes(gzip.compress(table.read_bytes()))
    (folder / "studies" / "mine.toml").write_text(mine.text(space=SPACE).replace('"own"', '"mine"'))
    (folder / "train.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    command = folder / "bin" / "search"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m search "$@"\n')
    command.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in [name for name in os.environ if name.startswith("SEARCH_")]:
            patch.delenv(name)
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
        for study in ("lab", "depth", "width", "activation"):
            assert cli.main(["create", study]) == cli.main(["work", study]) == 0
        assert cli.main(["create", "mine"]) == 0
        assert cli.main(["backup", "lab", "lab-monday.db"]) == 0
        assert cli.main(["export", "lab", "--to", "made/lab.safetensors"]) == 0
        yield folder


@pytest.fixture
def folder(prepared: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A copy of it, with pictures to predict, and the model beside them."""
    here = tmp_path / "here"
    shutil.copytree(prepared, here, ignore=shutil.ignore_patterns("bin"))
    for name in ("shoe.png", "bag.jpg"):
        Image.new("L", (28, 28), 90).save(here / name)
    Image.new("L", (100, 80), 200).save(here / "photo.jpg")
    monkeypatch.chdir(here)
    return here


def prepare(example: str) -> None:
    """What an example finds, where that is not a study that was worked off."""
    if example.startswith("search create") and "--exist-ok" not in example:
        shutil.rmtree("runs")
    if example.startswith("search backup"):
        pathlib.Path("lab-monday.db").unlink()
    if example == "search artifacts mine 0 --output kept" or example.startswith("search logs"):
        assert cli.main(["enqueue", "mine", "label=1"]) == 0
    if example.startswith("search predict"):
        for path in pathlib.Path("made").iterdir():
            path.rename(path.name)
    if example.startswith(("search retry", "search logs")):
        numbers = "(3, 7)" if "retry" in example else "(0)"
        connection = sqlite3.connect("runs/search.db")
        connection.execute(f"UPDATE trials SET state = 'FAIL' WHERE number IN {numbers}")
        connection.commit()
        connection.close()


def served(words: list[str]) -> None:
    """A dashboard that is started, asked once, and ended as by Ctrl-C."""
    words = [sys.executable, "-u", "-m", "search", *words, "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, line
        with urllib.request.urlopen(found[0].rstrip("/") + "/healthz") as answer:
            assert answer.read() == b"ok\n"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def typed(example: str) -> tuple[int, str]:
    """A line as a shell reads it, with somebody at a terminal who agrees, or a password from a pipe."""
    shell, line = shutil.which("zsh") if "zsh" in example else "bash", example
    if shell is None:  # nobody has it
        shell, line = "bash", "search completion zsh"
    ours, theirs = pty.openpty()
    os.write(ours, b"y\n")
    words: dict[str, Any] = {"input": "a-password\n" * 2} if "password" in line else {"stdin": theirs}
    done = subprocess.run(
        [shell, "-c", line],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        env={**os.environ, **NO_GPU},
        start_new_session=True,
        check=False,
        **words,
    )
    os.close(ours)
    os.close(theirs)
    return done.returncode, done.stdout


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("example", [each for each in EXAMPLES if each not in NOT_RUN])
def test_an_example_does_what_it_says(example: str, postgres: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """It ends with exit code 0, without a traceback; one that asks for a GPU says that there is none."""
    prepare(example)
    if ADDRESS in example:
        example = example.replace(ADDRESS, postgres.new_database(postgres.prepared))
    words = shlex.split(example)[1:]
    if words[0] == "dashboard" and "--hash-password" not in words:
        served(words)
        return
    if TYPED.search(example.partition("postgresql")[0]) or example == "search delete lab" or example in REFUSED:
        code, said = typed(example)
    else:
        code, said = cli.main(words), "".join(capfd.readouterr())
    assert "Traceback" not in said
    assert (code, REFUSED.get(example, "") in said) == (2 if example in REFUSED else 0, True), said


def test_what_is_not_run_is_an_example() -> None:
    """Each with its reason."""
    assert set(NOT_RUN) <= set(EXAMPLES)
    assert len(EXAMPLES) > len(commands.COMMANDS)
    assert {example.split()[1] for example in EXAMPLES if example.startswith("search")} >= set(commands.COMMANDS) - {
        "completion"
    }
