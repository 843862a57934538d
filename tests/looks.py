"""What a folder looks like, and looking at it as somebody who may only read."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from typing import Any

import optuna
import pytest
from conftest import ROOT

NOBODY = 65534
LOOK = """
import contextlib, io, os, sys

def look():
{code}

if {nobody}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(Exception):
            look()
    os.setgroups([])
    os.setgid({number})
    os.setuid({number})
look()
"""


def picture(folder: pathlib.Path) -> dict[str, Any]:
    """Names, sizes, hashes and times of all files, and of the folder itself."""
    files = {
        path.name: (path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.iterdir()
        if path.is_file()
    }
    return {**files, ".": folder.stat().st_mtime_ns}


@pytest.fixture
def public() -> Iterator[pathlib.Path]:
    """A folder that other users may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="search-look-test-") as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        yield path


def lock_up(folder: pathlib.Path) -> None:
    """Makes it and its files read-only."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)


def python(code: str, *arguments: str, nobody: bool = False) -> str:
    """What a process of its own prints.

    Args:
        nobody: as a user to whom nothing here belongs. Nor may it read the interpreter: the code is run twice, and the
            first time, as who we are, loads what the second needs.
    """
    whole = LOOK.format(code=textwrap.indent(code, "    "), nobody=nobody and not os.getuid(), number=NOBODY)
    done = subprocess.run(
        [sys.executable, "-B", "-c", whole, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": tempfile.gettempdir()},
    )
    return done.stdout + done.stderr


def plain(url: str, name: str = "theirs", **options: Any) -> optuna.Study:
    """A study of Optuna's own with a dozen trials, defined by run."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name=name, storage=url, **options)

    def objective(trial: optuna.Trial) -> Any:
        kind = trial.suggest_categorical("a kind", ["a", None, 3, True])
        rate = trial.suggest_float("learning rate", 1e-4, 1.0, log=True)
        layers = trial.suggest_int("n/layers", 1, 5) if kind == "a" or trial.number == 0 else 0
        trial.report(rate, 1)
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        return (rate, layers) if len(study.directions) > 1 else rate + layers

    if len(study.directions) > 1:
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)), n_trials=6)
    else:
        study.optimize(objective, n_trials=12)
    return study
