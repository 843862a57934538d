"""The best value so far of a search, over the trials begun and over the time that they have taken."""

import dataclasses
from collections.abc import Sequence

import numpy

from search.ledger import tracks

UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
SHORTEST = 2.0  # of an axis in a unit

Array = tracks.Array


@dataclasses.dataclass(frozen=True)
class Stairs:
    """The best value so far: a step for each improvement.

    Attributes:
        x: where each is; `end`: how far the search went.
        values: from there on.
    """

    x: Array
    values: Array
    end: float

    def reached(self, value: float, sign: int) -> float | None:
        """Where it is as good as a value, or better; None: nowhere."""
        there = self.x[sign * self.values >= sign * value]
        return float(there[0]) if len(there) else None


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """A search's best value so far.

    Attributes:
        label: its name.
        by_trial: over how many trials had begun, in the order of their numbers.
        by_cost: over the seconds that all of them had taken, in the order of their ends.
    """

    label: str
    by_trial: Stairs
    by_cost: Stairs

    @property
    def best(self) -> float | None:
        """The best value of all."""
        return float(self.by_trial.values[-1]) if len(self.by_trial.values) else None


def spent_by(starts: Array, lengths: Array, costs: Array, moments: Array) -> Array:
    """What all trials together had cost by each moment, each of them evenly from its start on.

    When it paused or waited is not stored: so what has paused is paid where it began, and no search looks cheaper.
    """
    if not len(costs):
        return numpy.zeros(len(moments))
    ends = starts + numpy.maximum(lengths, 1e-3)
    corners = numpy.concatenate([starts, ends])
    order = numpy.argsort(corners, kind="stable")
    slopes = numpy.cumsum(numpy.concatenate([costs / (ends - starts), -costs / (ends - starts)])[order])
    corners = corners[order]
    sums = numpy.concatenate([[0.0], numpy.cumsum(slopes[:-1] * numpy.diff(corners))])
    return numpy.asarray(numpy.interp(moments, corners, sums))


def of(label: str, track: tracks.Track, sign: int, cpu: bool) -> Trajectory:
    """A search's, from its trials.

    Args:
        sign: 1 where more is better, -1 where less is.
        cpu: by CPU seconds, else by seconds of training.
    """
    known = ~numpy.isnan(track.values)
    values, costs = track.values[known], track.costs(cpu)
    begun = (costs > 0) & numpy.isfinite(track.starts)
    spent = spent_by(track.starts[begun], track.seconds[begun], costs[begun], track.ends[known])
    ended = numpy.argsort(track.ends[known], kind="stable")
    total = float(costs.sum())
    last = float(track.numbers[-1]) + 1 if len(track.numbers) else 0.0
    return Trajectory(
        label,
        _stairs(track.numbers[known] + 1, values, sign, last),
        _stairs(numpy.minimum(numpy.nan_to_num(spent[ended]), total), values[ended], sign, total),
    )


def _stairs(x: Array, values: Array, sign: int, end: float) -> Stairs:
    if not len(values):
        return Stairs(x, values, end)
    best = numpy.maximum.accumulate(sign * values)
    improves = numpy.concatenate([[True], best[1:] > best[:-1]])
    return Stairs(x[improves], values[improves], end)


def unit(ends: Sequence[float]) -> tuple[str, float]:
    """In which a cost is told, so that the largest is some of them, and how many seconds it has."""
    return next((each for each in UNITS if max(ends, default=0.0) >= SHORTEST * each[1]), UNITS[-1])
