import numpy
import pytest

from search.space import expectations

RNG = numpy.random.default_rng(0)
COUNT = 60
VALUES, COSTS, WEIGHTS = RNG.random(COUNT), numpy.exp(RNG.normal(0, 1.2, COUNT)), RNG.random(COUNT)
VALUES[:5] = numpy.nan  # they are ended early
MASS = WEIGHTS / WEIGHTS.sum()
FLOOR, RUNS = 0.1, 3000


def _best(found):
    return numpy.nanmax(numpy.append(found, FLOOR))


def test_random_search_finds_what_its_closed_form_says():
    """The best after so many draws, with and without replacement, is on average what is expected."""
    draws = numpy.array([1, 3, 10])
    again = [[_best(VALUES[RNG.choice(COUNT, n, p=MASS)]) for n in draws] for _ in range(RUNS)]
    once = [[_best(VALUES[RNG.choice(COUNT, n, replace=False)]) for n in draws] for _ in range(RUNS)]
    for drawn, expected in (
        (again, expectations.after_draws(VALUES, WEIGHTS, draws, FLOOR)),
        (once, expectations.after_distinct_draws(VALUES, draws, FLOOR)),
    ):
        assert expected == pytest.approx(numpy.mean(drawn, axis=0), abs=4 * numpy.std(drawn) / RUNS**0.5)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_best_by_seconds_is_that_of_random_search(workers):
    """What has ended by so many CPU seconds, shared by the workers, is on average what is expected."""
    seconds = numpy.array([5.0, 20.0, 80.0])
    runs = []
    for _ in range(RUNS // 3):
        found = numpy.full(len(seconds), FLOOR)
        for _ in range(workers):
            drawn = RNG.choice(COUNT, 400, p=MASS)
            ends = COSTS[drawn].cumsum()
            found = numpy.maximum(found, [_best(VALUES[drawn[ends <= each / workers]]) for each in seconds])
        runs.append(found)
    expected = expectations.after_seconds(VALUES, COSTS, WEIGHTS, seconds, FLOOR, workers)
    assert expected == pytest.approx(numpy.mean(runs, axis=0), abs=4 * numpy.std(runs) / len(runs) ** 0.5)


def test_the_time_to_a_value_is_that_of_random_search():
    """The mean time until a good training has ended is what is expected, and endless where there is none."""
    bar, times = numpy.nanquantile(VALUES, 0.9), []
    for _ in range(RUNS):
        drawn = RNG.choice(COUNT, 500, p=MASS)
        times.append(COSTS[drawn][: numpy.argmax(VALUES[drawn] >= bar) + 1].sum())
    expected = expectations.seconds_to(VALUES, COSTS, WEIGHTS, bar)
    assert expected == pytest.approx(numpy.mean(times), abs=4 * numpy.std(times) / RUNS**0.5)
    assert expectations.seconds_to(VALUES, COSTS, WEIGHTS, 2.0) == numpy.inf


def test_many_values_are_as_few():
    """Of many different values some are computed; the expected best hardly changes."""
    rng = numpy.random.default_rng(1)  # whichever tests ran before
    many, costs = rng.random(400), numpy.exp(rng.normal(0, 1, 400))
    seconds = numpy.array([10.0, 100.0])
    thinned = expectations.after_seconds(many, costs, numpy.ones(400), seconds, 0.0)
    bars = numpy.unique(many)
    whole = expectations.reached(many, costs, numpy.ones(400), bars, seconds) @ numpy.diff(bars, prepend=0.0)
    assert thinned == pytest.approx(whole, abs=3e-4)
