import math

import numpy
import pytest

from search.simulations import experiments, findings
from search.simulations.runs import End

TARGET = findings.Target(best=0.9, expected=0.88, worst=0.1, sign=1.0)


def record(method, seed, *ends, poor=0.5):
    """A run: (spent, value, expected) of each trial; None for one that was pruned."""
    made = [
        End(spent / 2, spent, 10, "pruned" if value is None else "complete", value, expected)
        for spent, value, expected in ends
    ]
    return experiments.Record(method, seed, made, len(made), 0.0, ends[-1][0], 0.25, poor, 0.0)


def test_a_time_is_that_of_the_first_good_complete_trial():
    """Observed by its own value, expected by what its configuration comes to; pruned trials find nothing."""
    run = record("a", 0, (10, 0.5, 0.5), (20, None, 0.88), (30, 0.898, 0.86), (40, 0.87, 0.88), (50, 0.899, 0.879))
    trace = findings.Trace.of(run, TARGET)
    assert trace.reached(0.002) == (30, 15)
    assert trace.reached(0.002, expected=True) == (50, 25)  # the best by its own value counts
    assert trace.reached(0.0005) == (math.inf, math.inf)
    regret = trace.at(numpy.array([5.0, 10.0, 35.0, 60.0]), False, 0.8)
    assert regret == pytest.approx([0.8, 0.4, 0.002, 0.001])


def test_what_is_minimized_is_measured_alike():
    """The regret of a minimized metric is how far it lies above the best."""
    target = findings.Target(best=-0.25, expected=-0.25, worst=-3.0, sign=-1.0)
    run = record("a", 0, (1, 1.0, 1.0), (2, 0.26, 0.25), (3, 0.5, 0.5))
    (found,) = findings.of([run], target, [0.02])
    assert found.times[0].seconds == (2,)
    assert found.best == pytest.approx((0.26,))


def test_methods_are_summed_up_over_seeds_and_tested_against_plain_optuna():
    """Quantiles count what was never reached as later than all, and p is Wilcoxon's over pairs of seeds."""
    fast = [record("tpe", seed, (10 + seed, 0.9, 0.88)) for seed in range(8)]
    slow = [record("optuna tpe", seed, (100 + seed, 0.9 if seed < 6 else 0.5, 0.88)) for seed in range(8)]
    ours, plain = findings.of([*fast, *slow], TARGET, [0.005])
    assert ours.times[0].quantile(0.5) == 13
    assert (plain.times[0].quantile(0.5), plain.times[0].quantile(0.9)) == (103, math.inf)
    assert (ours.times[0].share, plain.times[0].share) == (1.0, 0.75)
    assert ours.times[0].p == pytest.approx(2 / 2**8)
    assert plain.times[0].p is None
    assert findings.compare([1.0, 2.0], [1.0, 2.0]) is None


def test_regret_over_time_is_a_row_for_each_seed():
    """Marks lie between the first end and the last; before anything is found the regret is that of the worst."""
    runs = [record("tpe", seed, (10, 0.5, 0.5), (1000, 0.9, 0.88)) for seed in range(3)]
    marks, rows = findings.regrets(runs, TARGET, is_expected=False)
    assert (marks[0], marks[-1]) == pytest.approx((10, 1000))
    assert rows["tpe"].shape == (3, len(marks))
    assert rows["tpe"][0, [1, -1]] == pytest.approx([0.4, 0.0])
