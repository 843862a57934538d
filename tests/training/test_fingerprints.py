"""Versions of a function told apart."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import ROOT

from search.training import fingerprints

CODE = """
SCALE, table, names = 2, {"a": [1, 2.5]}, {"x", "y"}

class Net:
    def width(self):
        return 3

def helper(x):
    return Net().width() * x * len(table) * len(names)

def objective(trial, base=1):
    return SCALE * helper(base)
"""


def checksum(code: str) -> str:
    """Of `objective` of a program with this code, in a process of its own."""
    code += "\nfrom search.training import fingerprints\nprint(fingerprints.of(objective))"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return process.stdout


def test_the_same_code_is_the_same() -> None:
    """In another process, on other lines, with sets in another order."""
    assert checksum(CODE) == checksum(f"\n\n# a comment\n{CODE}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE *", "SCALE +"),
        ("names = 2", "names = 5"),
        ("2.5", "3.5"),
        ("return 3", "return 4"),
        ("base=1", "base=2"),
    ],
)
def test_another_version_is_another(old: str, new: str) -> None:
    """Its own code, a default, a number of its module, a function or class that it uses."""
    changed = CODE.replace(old, new)
    assert changed != CODE
    assert fingerprints.of(defined(changed)) != fingerprints.of(defined(CODE))


def defined(code: str) -> Callable[[object], object]:
    """The objective of a program."""
    found: dict[str, Callable[[object], object]] = {"__name__": "__main__"}  # type: ignore[dict-item]
    exec(code, found)  # noqa: S102
    return found["objective"]
