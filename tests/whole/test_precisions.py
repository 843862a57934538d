"""`benchmarks/precisions.py`: which configurations it draws, what it takes up again, and the figures of its table."""

import json
import pathlib

import precisions
import pytest

from models import backends, data
from models.recipes import Recipe

SMALL = data.synthetic(train=300, test=100)


def test_the_draw_is_the_same_every_time_and_lives() -> None:
    """The cheap ones first, each different, none of few samples; four of five are such as a search would train."""
    drawn = precisions.drawn(10, SMALL, epochs=10)
    assert drawn == precisions.drawn(10, SMALL, epochs=10)
    assert len(set(drawn)) == 10
    costs = [precisions._cost(Recipe(*each)) for each in drawn]
    assert costs == sorted(costs)
    assert min(batch_size for _, batch_size, *_ in drawn) > backends.FEW
    assert sum(precisions.is_hopeless(each, SMALL, 10) for each in drawn) == 2
    assert set(precisions.drawn(5, SMALL, epochs=10)) < set(drawn)


def test_what_was_trained_is_a_line_and_is_taken_up(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each training is written when it ends; a second start trains what is missing, and no more."""
    monkeypatch.setattr(precisions, "RUNS", tmp_path / "runs.jsonl")
    monkeypatch.setattr(precisions, "fashion_mnist_bytes", lambda folder: SMALL)
    arguments = ["precisions.py", "--rounded", "bf16", "--configurations", "3", "--epochs", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--first", "1"])
    assert precisions.main() == 0
    first = precisions.RUNS.read_text()
    assert [json.loads(line)["side"] for line in first.splitlines()] == ["cpu", "rounded bf16"]
    monkeypatch.setattr("sys.argv", arguments)
    assert precisions.main() == 0
    assert precisions.RUNS.read_text().startswith(first)
    assert len(precisions.read()) == 3 * 2


def test_the_figures_are_those_of_pairs() -> None:
    """Differences are of one configuration and seed; what had not learned in float32 is left out."""
    one, two, dead = ((0.1, 9, 0, None, None), (0.1, 10, 0, None, None), (0.1, 11, 0, None, None))
    found = {
        **{(one, 10, 0, "cpu"): 0.80, (one, 10, 1, "cpu"): 0.82, (one, 10, 0, "x"): 0.79, (one, 10, 1, "x"): 0.82},
        **{(two, 10, 0, "cpu"): 0.60, (two, 10, 0, "x"): 0.10, (two, 10, 1, "x"): 0.61},
        **{(dead, 10, 0, "cpu"): 0.10, (dead, 10, 0, "x"): 0.90},
    }
    *_, row = precisions.table(found, [one, two, dead], ["cpu", "x"], 10)
    mean = (-0.5 - 50) / 2
    half = 12.706204736 * 49.5 / 2  # Student's at one degree of freedom
    assert row == (f"| x | 2 | 3 | {mean:+.3f} | {mean - half:+.3f} to {mean + half:+.3f} | -50.00 | 2.00 | 1 of 3 |")
