"""What searches over many seeds came to: times to the best, regret over time, and whether one method is faster."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy
from scipy import stats

from search.simulations.experiments import Record
from search.space import expectations, surfaces

MARKS = 40  # of CPU seconds, at which regret is looked at
LEAST_PAIRS = 3

Array = numpy.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Target:
    """The optimum of a surface, and when a search is within a distance of it.

    Attributes:
        best: last value of a training, and `expected`, that without the luck of one training; larger is better.
        worst: what counts where nothing was found.
        sign: 1 where the metric is maximized, else -1.
    """

    best: float
    expected: float
    worst: float
    sign: float

    @classmethod
    def of(cls, surface: surfaces.Surface) -> "Target":
        """That of a surface."""
        population = surface.population()
        best = float(numpy.nanmax(population.values))
        return cls(best, float(population.expected.max()), surface.worst, surface.sign)


@dataclasses.dataclass(frozen=True)
class Trace:
    """A search's best complete trial over time.

    Attributes:
        spent: CPU seconds when each was found, and `now`, simulated seconds.
        regrets: of its last value, and `expected`, of its configuration without the luck of one training.
    """

    spent: Array
    now: Array
    regrets: Array
    expected: Array

    @classmethod
    def of(cls, record: Record, target: Target) -> "Trace":
        """That of a run."""
        best, found = -math.inf, []
        for end in record.ends:
            value = math.nan if end.value is None else target.sign * end.value
            if end.state == "complete" and value > best:
                best = value
                found.append((end.spent, end.now, target.best - value, target.expected - target.sign * end.expected))
        return cls(*numpy.array(found, float).reshape(-1, 4).T)

    def reached(self, bar: float, expected: bool = False) -> tuple[float, float]:
        """CPU seconds and simulated seconds until the regret is at most `bar`; infinite where it never is."""
        places = numpy.flatnonzero((self.expected if expected else self.regrets) <= bar + 1e-9)
        return (float(self.spent[places[0]]), float(self.now[places[0]])) if len(places) else (math.inf, math.inf)

    def at(self, marks: Array, expected: bool, blank: float) -> Array:
        """The regret at each mark of CPU seconds; `blank` where nothing was found yet."""
        places = numpy.searchsorted(self.spent, marks, "right")
        return numpy.concatenate([[blank], self.expected if expected else self.regrets])[places]


@dataclasses.dataclass(frozen=True)
class Times:
    """How long searches took to come within a distance of the optimum, over seeds.

    Attributes:
        bar: the distance, in the metric's own measure.
        is_expected: of what is expected of the configuration, not of its one training.
        seconds: of CPU time by seed; infinite where it never came so far.
        now: the same in simulated seconds.
        p: that the first plain method has the same times (Wilcoxon's signed rank test over seeds); None for itself.
    """

    bar: float
    is_expected: bool
    seconds: tuple[float, ...]
    now: tuple[float, ...]
    p: float | None

    def quantile(self, share: float) -> float:
        """So many of the seeds have come so far by then; infinite where fewer ever have."""
        ordered = sorted(self.seconds)
        return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1] if share else ordered[0]

    @property
    def share(self) -> float:
        """Of the seeds that have come so far."""
        return sum(map(math.isfinite, self.seconds)) / len(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        quantiles = {"p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9}
        return {
            "within": self.bar,
            "of": "expected" if self.is_expected else "observed",
            "share": self.share,
            **{name: self.quantile(share) for name, share in quantiles.items()},
            "seconds": list(self.seconds),
            "now": list(self.now),
            "p": self.p,
        }


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one method came to.

    Attributes:
        times: for each distance, as observed, then as expected.
        best: of each seed the value of its best trial, and `expected`, that of its configuration, in the metric's
            own direction; nan where no trial is complete.
        trials: of each seed, and `seconds`, of CPU time, `asks`, of the sampler alone.
        poor: share of the trainings' time that went into poor configurations, by seed.
    """

    method: str
    times: tuple[Times, ...]
    best: tuple[float, ...]
    expected: tuple[float, ...]
    trials: tuple[int, ...]
    seconds: tuple[float, ...]
    asks: tuple[float, ...]
    poor: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**found, "times": [each.as_json() for each in self.times]}


def of(records: Sequence[Record], target: Target, bars: Sequence[float]) -> list[Finding]:
    """What each method came to, in their order; tested against the first one of plain Optuna."""
    traces = {(each.method, each.seed): Trace.of(each, target) for each in records}
    names = list(dict.fromkeys(each.method for each in records))
    baseline = next((name for name in names if name.startswith("optuna ")), None)
    found = []
    for name in names:
        mine = [each for each in records if each.method == name]
        times = []
        for is_expected in (False, True):
            for bar in bars:
                reached = [traces[name, each.seed].reached(bar, is_expected) for each in mine]
                base = [traces[baseline, each.seed].reached(bar, is_expected)[0] for each in mine] if baseline else []
                seconds = tuple(each for each, _ in reached)
                p = None if baseline in (None, name) else compare(seconds, base)
                times.append(Times(bar, is_expected, seconds, tuple(each for _, each in reached), p))
        found.append(_finding(name, tuple(times), mine, [traces[name, each.seed] for each in mine], target))
    return found


def _finding(
    name: str, times: tuple[Times, ...], mine: Sequence[Record], traces: Sequence[Trace], target: Target
) -> Finding:
    def last(regrets: Array, best: float) -> float:
        return target.sign * (best - float(regrets[-1])) if len(regrets) else math.nan

    return Finding(
        method=name,
        times=times,
        best=tuple(last(each.regrets, target.best) for each in traces),
        expected=tuple(last(each.expected, target.expected) for each in traces),
        trials=tuple(each.trials for each in mine),
        seconds=tuple(each.spent for each in mine),
        asks=tuple(each.asks for each in mine),
        poor=tuple(each.poor for each in mine),
    )


def compare(times: Sequence[float], others: Sequence[float]) -> float | None:
    """The p value of Wilcoxon's signed rank test, two-sided, over pairs; None where there are too few that differ.

    What was never reached is later than all that was.
    """
    finite = [each for each in (*times, *others) if math.isfinite(each)]
    never = 2 * max(finite, default=1.0)
    one, other = (numpy.minimum(numpy.array(each, float), never) for each in (times, others))
    if numpy.count_nonzero(one != other) < LEAST_PAIRS:
        return None
    return float(stats.wilcoxon(one, other).pvalue)


def regrets(records: Sequence[Record], target: Target, is_expected: bool) -> tuple[Array, dict[str, Array]]:
    """Regret over CPU seconds: marks, and for each method an array of (seeds, marks)."""
    ends = [end.spent for each in records for end in each.ends]
    first, last = max(min(ends, default=1.0), 1e-3), max([each.spent for each in records], default=1.0)
    marks = numpy.geomspace(first, max(last, 2 * first), MARKS)
    blank = (target.expected if is_expected else target.best) - target.worst
    found: dict[str, list[Array]] = {}
    for each in records:
        found.setdefault(each.method, []).append(Trace.of(each, target).at(marks, is_expected, blank))
    return marks, {name: numpy.array(rows) for name, rows in found.items()}


def random_search(surface: surfaces.Surface, target: Target, bars: Sequence[float], setup: bool) -> dict[float, float]:
    """Mean CPU seconds until random search, drawing with replacement, is within each distance: the closed form.

    Args:
        setup: every training takes the time of its setup.
    """
    everything = surface.population(setup=setup)
    values, costs, weights = everything.values, everything.costs, everything.weights
    return {bar: expectations.seconds_to(values, costs, weights, target.best - bar - 1e-9) for bar in bars}
