"""The house itself: its layers, and what its plan promises."""

import pathlib
import pkgutil
import subprocess
import sys

import pytest

import search
from search.cli import commands
from search.ledger import proposals
from search.study import samplers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_arrows_run_down() -> None:
    """Every import keeps the contracts of pyproject.toml: the layers, who knows no database, the law of `models/`."""
    linter = pathlib.Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


def test_no_module_takes_the_place_of_a_function() -> None:
    """`search.report(...)` stays the function, whoever imports what: no module of `search/` bears a function's name."""
    modules = {module.name for module in pkgutil.iter_modules(search.__path__)}
    assert "api" in modules
    assert not modules & set(search.FUNCTIONS)


def test_the_functions_are_those_of_the_api() -> None:
    """What `import search` offers by name is what `search.api` has."""
    from search import api

    assert set(api.__all__) == set(search.FUNCTIONS)
    assert all(callable(getattr(search, name)) for name in search.FUNCTIONS)


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_s_line_is_its_docstring_s(name: str) -> None:
    """The help of all commands, which imports none of them, says what the help of each begins with."""
    command = commands.load(name)
    assert command.name == name
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == commands.COMMANDS[name][1]


@pytest.mark.parametrize("name", samplers.NAMES)
def test_the_samplers_of_study_files_are_there(name: str) -> None:
    """A name that a study file may give is one that proposes, though reading a file loads none of them."""
    assert name in (*proposals.SAMPLERS, samplers.GRID)
    assert set(proposals.SAMPLERS) | {samplers.GRID} == set(samplers.NAMES)
