"""The house itself: its layers, and what its plan promises."""

import pathlib
import pkgutil
import subprocess
import sys

import search

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
    assert not modules & set(search._FUNCTIONS)
