"""`benchmarks/cpu_steps.py`: two states of the engine side by side."""

import pathlib

import cpu_steps
import pytest
from conftest import ROOT


def test_a_row_has_the_ratios_of_its_rounds() -> None:
    """Medians of each state, and of the ratios; a loss that differs once is said."""
    rounds = [[(4.0, "aa"), (2.0, "aa")], [(6.0, "bb"), (2.0, "bb")], [(5.0, "cc"), (5.0, "cc")]]
    assert cpu_steps.row((4, 0, 0), rounds) == "| 4, 0, - | 5.0 | 2.0 | 2.00 (1.00-3.00) | yes |"
    rounds[1] = [(6.0, "bb"), (2.0, "b0")]
    assert cpu_steps.row((4, 3, 128), rounds).endswith("| 4, 3, 128 | 5.0 | 2.0 | 2.00 (1.00-3.00) | NO |")


def test_one_state_beside_itself_has_the_same_losses(data_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a process of its own, a shape after the other."""
    shapes = ((4, 0, 0), (3, 1, 32))
    monkeypatch.setattr(cpu_steps, "SHAPES", shapes)
    steps = dict.fromkeys(shapes, 5)
    found = cpu_steps.measure([ROOT, ROOT], data_dir, steps)
    assert [len(answers) for answers in found] == [2, 2]
    assert all(before[1] == after[1] and min(before[0], after[0]) > 0 for before, after in found)
    assert found[0][0][1] != found[1][0][1]
