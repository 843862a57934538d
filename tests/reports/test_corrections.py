"""The best of several means without what choosing it adds."""

import itertools
import math
import statistics

import numpy
import pytest

from search.reports import corrections, evidence


def test_each_half_judges_what_the_other_chose() -> None:
    """Worked by hand: of two configurations over two seeds each seed names one, and the other says what it is worth."""
    values = [{1: 0.9, 2: 0.6}, {1: 0.7, 2: 0.8}]
    found = corrections.best(values)
    assert found is not None
    assert (found.mean, found.count) == (pytest.approx((0.6 + 0.7) / 2), 2)
    raw = evidence.interval([0.9, 0.6])
    assert found.half == pytest.approx(math.hypot(raw.half, raw.mean - found.mean))


def test_all_ways_to_halve_count_the_same() -> None:
    """Of five seeds three choose and two judge, in each of the ten ways."""
    draw = numpy.random.default_rng(3)
    values = [dict(enumerate(draw.normal(0.88, 0.004, 5), 1)) for _ in range(4)]
    worth = []
    for chosen_by in itertools.combinations(range(1, 6), 3):
        choice = max(values, key=lambda each: sum(each[seed] for seed in chosen_by))
        worth.append(statistics.fmean(value for seed, value in choice.items() if seed not in chosen_by))
    found = corrections.best(values)
    assert found is not None
    assert found.mean == pytest.approx(statistics.fmean(worth))


def test_what_was_not_chosen_is_not_corrected() -> None:
    """One configuration is as it is; several over one seed, or over seeds that they do not share, cannot be."""
    alone = {1: 0.9, 2: 0.8}
    assert corrections.best([alone]) == evidence.interval([0.9, 0.8])
    assert corrections.best([{1: 0.9}, {1: 0.8}]) is None
    assert corrections.best([{1: 0.9, 2: 0.8}, {3: 0.8, 4: 0.7}]) is None
    assert corrections.best([{1: 0.9, 2: 0.8}, {1: 0.5, 2: 0.5, 3: 0.99}]) == corrections.best(
        [{1: 0.9, 2: 0.8}, {1: 0.5, 2: 0.5}]
    )


def test_many_seeds_are_halved_in_some_ways() -> None:
    """Always the same ones, so that asked again the figure is the same; in no more time than few seeds take."""
    draw = numpy.random.default_rng(3)
    values = [dict(enumerate(draw.normal(0.88, 0.004, 24), 1)) for _ in range(2)]
    found = corrections.best(values)
    assert found == corrections.best(values)
    assert found is not None
    assert abs(found.mean - 0.88) < 0.004


@pytest.mark.parametrize("spread", [0.0, 0.004])
def test_the_corrected_figure_is_not_optimistic(spread: float) -> None:
    """Five configurations, five seeds, noise 0.004: the raw figure is above the truth, the corrected one is not."""
    draw, raw, corrected, covered = numpy.random.default_rng(5), [], [], []
    for _ in range(600):
        truth = draw.normal(0.88, spread, 5)
        values = truth[:, None] + draw.normal(0, 0.004, (5, 5))
        found = corrections.best([dict(enumerate(each)) for each in values])
        assert found is not None
        best = int(values.mean(axis=1).argmax())
        raw.append(values[best].mean() - truth[best])
        corrected.append(found.mean - truth[best])
        covered.append(found.low <= truth[best] <= found.high)
    assert statistics.fmean(raw) > 0.0006
    assert -0.0005 < statistics.fmean(corrected) < 0.0002
    assert statistics.fmean(covered) > 0.93
