"""The best value so far of a search, over trials and over time."""

import math

import numpy
import pytest

from search.ledger import tracks
from search.reports import trajectories

NAN = math.nan


def track(values: list[float], starts: list[float], ends: list[float], seconds: list[float]) -> tracks.Track:
    columns = [numpy.array(each, float) for each in (range(len(values)), values, starts, ends, seconds)]
    return tracks.Track(*columns, cpu_seconds=columns[4] / 2, best=None)


def test_trials_go_by_number_and_time_by_end() -> None:
    """Trial 1 ended before trial 0, which was the better by number, and both trained at once."""
    found = trajectories.of("a", track([0.7, 0.5, NAN, 0.9], [0, 0, 4, 8], [8, 4, 8, 10], [8, 4, 4, 2]), 1, cpu=False)
    assert found.by_trial.x.tolist() == [1, 4]
    assert found.by_trial.values.tolist() == [0.7, 0.9]
    assert found.by_cost.x.tolist() == pytest.approx([8, 16, 18])
    assert found.by_cost.values.tolist() == [0.5, 0.7, 0.9]
    assert (found.by_trial.end, found.by_cost.end, found.best) == (4, 18, 0.9)
    assert found.by_cost.reached(0.6, 1) == pytest.approx(16)
    assert found.by_trial.reached(0.95, 1) is None
    cpu = trajectories.of("a", track([0.7], [0], [8], [8]), 1, cpu=True)
    assert cpu.by_cost.x.tolist() == pytest.approx([4])


def test_less_is_better_where_it_is_minimized() -> None:
    """An infinite value is one; what is none is passed over."""
    found = trajectories.of("a", track([math.inf, 3, NAN, 3, 2], [0] * 5, [1, 2, 3, 4, 5], [1] * 5), -1, cpu=False)
    assert found.by_trial.x.tolist() == [1, 2, 5]
    assert found.by_trial.values.tolist() == [math.inf, 3, 2]
    assert found.by_trial.reached(3, -1) == 2


def test_what_paused_is_paid_where_it_began() -> None:
    """A trial that trained at first and was told at the very end: no search looks cheaper for pausing."""
    found = trajectories.of("a", track([0.5, NAN], [10, 0], [20, 1000], [10, 10]), 1, cpu=False)
    assert found.by_cost.x.tolist() == pytest.approx([20])


def test_nothing_was_found() -> None:
    """Without a trial, and without a complete one."""
    for empty in (track([], [], [], []), track([NAN], [0], [5], [5])):
        found = trajectories.of("a", empty, 1, cpu=False)
        assert (found.best, found.by_trial.reached(0, 1)) == (None, None)
    assert found.by_cost.end == 5
