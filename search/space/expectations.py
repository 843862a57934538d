"""What random search finds, in closed form: its best after so many draws or seconds among known configurations.

Everywhere a larger value is better (negate what is minimized), nan is a training that comes to none, and `floor` is
what counts where nothing was found yet.
"""

import math
from typing import Any

import numpy

MOMENTS = 1_000  # of time
BARS = 100  # values whose chances are computed one by one, and as many of the others

Array = numpy.ndarray[Any, Any]


def after_draws(values: Array, weights: Array, draws: Array, floor: float) -> Array:
    """The expected best after each number of draws, with replacement.

    Args:
        weights: of each configuration in a draw; they need not sum to one.
    """
    ordered, mass = _ranked(values, weights, floor)
    below = numpy.cumsum(mass)[None, :] ** numpy.asarray(draws, float)[:, None]
    return numpy.asarray(numpy.diff(below, axis=1, prepend=0.0) @ ordered)


def after_distinct_draws(values: Array, draws: Array, floor: float) -> Array:
    """The same without replacement, where all configurations are alike likely."""
    ordered, _ = _ranked(values, numpy.ones(len(values)), floor)
    many, taken = numpy.arange(1, len(ordered) + 1), numpy.asarray(draws)[:, None]
    with numpy.errstate(invalid="ignore"):
        logs = _log_ways(many, taken) - _log_ways(numpy.array(len(ordered)), taken)
    below = numpy.where(many >= taken, numpy.exp(logs), 0.0)
    return numpy.asarray(numpy.diff(below, axis=1, prepend=0.0) @ ordered)


def after_seconds(
    values: Array, costs: Array, weights: Array, seconds: Array, floor: float, workers: int = 1, moments: int = MOMENTS
) -> Array:
    """The expected best of what is trained to its end by each number of CPU seconds, drawn with replacement.

    Args:
        costs: of each configuration's training, seconds.
        workers: that share the seconds evenly.
        moments: between which costs are shared out; fewer are quicker.
    """
    found = numpy.where(numpy.isnan(values), floor, numpy.maximum(values, floor))
    every = numpy.unique(found)[::-1]
    every = every[every > floor]
    bars = every
    if len(every) > 2 * BARS:
        rest = numpy.linspace(BARS, len(every) - 1, BARS).round().astype(int)
        bars = numpy.concatenate([every[:BARS], every[rest]])
    chances = reached(values, costs, weights, bars, seconds, workers, moments)
    # between two that were computed, with others left out between them, chances change evenly
    later = numpy.column_stack([chances[:, 1:], chances[:, -1:]])
    is_thinned = numpy.arange(len(bars)) >= BARS if len(every) > len(bars) else numpy.zeros(len(bars), bool)
    is_thinned[-1:] = False
    chances = numpy.where(is_thinned, (chances + later) / 2, chances)
    return numpy.asarray(floor + chances @ (bars - numpy.append(bars[1:], floor)))


def reached(
    values: Array, costs: Array, weights: Array, bars: Array, seconds: Array, workers: int = 1, moments: int = MOMENTS
) -> Array:
    """The chance that a training of at least each bar has ended by each number of CPU seconds, (seconds, bars).

    Trainings follow one another: until the first good one ends, the chance of none obeys a renewal equation, which is
    solved moment by moment.
    """
    asked = numpy.asarray(seconds, float) / workers
    horizon = max(float(asked.max(initial=0.0)), 1e-9)
    mass, place = numpy.asarray(weights, float) / numpy.sum(weights), numpy.asarray(costs, float) / horizon * moments
    is_bad = ~(numpy.asarray(values)[None, :] >= numpy.asarray(bars)[:, None])
    ends = _shared_out(numpy.broadcast_to(mass, is_bad.shape), place, moments)
    bad = _shared_out(mass * is_bad, place, moments)
    lasts = 1.0 - numpy.cumsum(ends, axis=1)  # the first training has not ended yet
    none = numpy.empty_like(lasts)
    for moment in range(moments + 1):
        earlier = none[:, :moment][:, ::-1]
        after_bad = numpy.einsum("bm,bm->b", bad[:, 1 : moment + 1], earlier)
        none[:, moment] = (lasts[:, moment] + after_bad) / numpy.maximum(1.0 - bad[:, 0], 1e-12)
    grid = numpy.linspace(0.0, horizon, moments + 1)
    at = numpy.stack([numpy.interp(asked, grid, row) for row in numpy.clip(none, 0.0, 1.0)], axis=1)
    return numpy.asarray(1.0 - at**workers)


def seconds_to(values: Array, costs: Array, weights: Array, bar: float) -> float:
    """The expected CPU seconds until a training of at least `bar` has ended; infinite where there is none (Wald)."""
    mass = numpy.asarray(weights, float) / numpy.sum(weights)
    chance = float(mass[numpy.asarray(values) >= bar].sum())
    return float(mass @ costs) / chance if chance > 0 else math.inf


def _ranked(values: Array, weights: Array, floor: float) -> tuple[Array, Array]:
    found = numpy.where(numpy.isnan(values), floor, numpy.maximum(values, floor))
    order = numpy.argsort(found)
    mass = numpy.asarray(weights, float)[order]
    return found[order], mass / mass.sum()


def _log_ways(many: Array, taken: Array) -> Array:
    """Log of how many sets of `taken` there are among `many`."""
    from scipy import special  # a quarter of a second, which who looks at a study need not wait for

    left = numpy.maximum(many - taken, 0)
    return numpy.asarray(special.gammaln(many + 1) - special.gammaln(left + 1) - special.gammaln(taken + 1))


def _shared_out(mass: Array, place: Array, moments: int) -> Array:
    """Mass, (bars, configurations), at the moments on both sides of each place, so that means stay as they are."""
    before = numpy.floor(place).astype(int)
    share, found = place - before, numpy.zeros((len(mass), moments + 1))
    for at, part in ((before, 1.0 - share), (before + 1, share)):
        known = at <= moments
        for row, each in zip(found, mass, strict=True):
            row += numpy.bincount(at[known], (each * part)[known], moments + 1)
    return found
