"""The versions that `search --version` prints."""

import importlib.metadata
import sqlite3
import subprocess
import sys

import pytest
from conftest import ROOT

from search.cli import commands, programs
from search.storage import schema


def test_the_versions_that_matter(capsys: pytest.CaptureFixture[str]) -> None:
    """A name and a version a line; this program's comes first, for scripts."""
    assert commands.main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"search {importlib.metadata.version(programs.NAME)}"
    found = dict(line.split(" ", 1) for line in lines)
    assert list(found) == ["search", "schema", "python", *programs.LIBRARIES, "sqlite", "platform"]
    assert (found["schema"], found["sqlite"]) == (schema.HEAD, sqlite3.sqlite_version)
    assert found["torch"] == importlib.metadata.version("torch")
    assert all(found.values())


def test_none_of_the_heavy_ones_is_imported() -> None:
    """It is asked for while something else is waited for."""
    code = "import sys\nfrom search.cli import commands\ncommands.main(['--version'])\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    assert not {"torch", "optuna_dashboard", "numba"} & set(done.stdout.splitlines()[-1].split())
