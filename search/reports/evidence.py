"""What the trials of a study show: configurations over their seeds, intervals, and which differences are real.

A difference is real where the interval of its mean over the seeds leaves out 0. Seeds are paired: in the studies of
one seed, repeat k of every configuration starts from the same generator and sees the same order of samples.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from search import words
from search.ledger import efficiencies, summaries
from search.space import parameters, scalars, spaces
from search.training import records

LEVEL = 0.95
FACTOR_VALUES = 8  # more than these on one figure nobody tells apart


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over `count` seeds, and half the width of its interval: nan for one seed."""

    mean: float
    half: float
    count: int

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.mean + self.half

    @property
    def is_real(self) -> bool:
        """Of a difference: whether it is one beyond the noise of the seeds."""
        return self.low > 0 or self.high < 0

    def show(self, signed: bool = False) -> str:
        """In words: `0.8712 ± 0.0021`, or the one seed that there is."""
        sign = "+" if signed else ""
        if self.count < 2:
            return f"{words.metric(self.mean, sign)} (one seed)"
        return f"{words.metric(self.mean, sign)} ± {words.metric(self.half)}"


def mean(values: Sequence[float]) -> float:
    """Of whatever an objective may say: inf where one is infinite, nan where both infinities meet.

    Raises:
        statistics.StatisticsError: no values.
    """
    if all(map(math.isfinite, values)):
        with contextlib.suppress(OverflowError):
            return statistics.fmean(values)
    return sum(value / len(values) for value in values)


def deviation(values: Sequence[float]) -> float:
    """Their standard deviation; nan where one is not finite, inf where it is beyond a float."""
    if not all(map(math.isfinite, values)):
        return math.nan
    try:
        return statistics.stdev(values)
    except OverflowError:
        return math.inf


def interval(values: Sequence[float], tests: int = 1) -> Interval:
    """Mean and Student's interval at 95 %, or so wide that `tests` of them hold together (Bonferroni).

    Raises:
        statistics.StatisticsError: no values.
    """
    middle = mean(values)
    if len(values) < 2:
        return Interval(middle, math.nan, len(values))
    error = deviation(values) / math.sqrt(len(values))
    quantile = stats.t.ppf(1 - (1 - LEVEL) / 2 / tests, len(values) - 1)
    return Interval(middle, float(quantile) * error, len(values))


@dataclasses.dataclass(frozen=True)
class Runs:
    """A configuration, and its complete trials by repeat: 0 has the study's own training seed."""

    params: spaces.Params
    trials: Mapping[int, FrozenTrial]

    @property
    def values(self) -> dict[int, float]:
        """What the trials ended with."""
        return {repeat: float(trial.value or 0.0) for repeat, trial in self.trials.items()}

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return mean(list(self.values.values()))

    @property
    def value(self) -> Interval:
        """Over the seeds."""
        return interval(list(self.values.values()))

    def curves(self, attribute: records.Attribute[list[Any]] | None = None) -> dict[int, list[float]]:
        """By repeat what was reported by epoch, or what a user attribute holds by epoch."""
        if attribute is not None:
            found = {repeat: attribute.read(trial, []) for repeat, trial in self.trials.items()}
            return {repeat: list(curve) for repeat, curve in found.items() if curve}
        values = {repeat: trial.intermediate_values for repeat, trial in self.trials.items()}
        return {repeat: [curve[step] for step in sorted(curve)] for repeat, curve in values.items() if curve}

    def mean_curve(self, attribute: records.Attribute[list[Any]] | None = None) -> list[float]:
        """Over the seeds, by epoch."""
        return [mean(epoch) for epoch in zip(*self.curves(attribute).values(), strict=False)]

    def figures(self, attribute: records.Attribute[float]) -> dict[int, float]:
        """By repeat a number that each trial ended with."""
        found = {repeat: attribute.find(trial) for repeat, trial in self.trials.items()}
        return {repeat: value for repeat, value in found.items() if value is not None}

    @property
    def gaps(self) -> dict[int, float]:
        """By repeat the accuracy on the training images less the evaluated one, after the last epoch."""
        return {repeat: curve[-1] for repeat, curve in self.gap_curves.items() if curve}

    @property
    def gap_curves(self) -> dict[int, list[float]]:
        """The same by epoch."""
        seen = self.curves()
        return {
            repeat: [trained - value for trained, value in zip(curve, seen[repeat], strict=False)]
            for repeat, curve in self.curves(records.TRAIN_ACCURACIES).items()
        }

    @property
    def falls(self) -> dict[int, float]:
        """By repeat the mean fall of the accuracy from one epoch to the next, rises counted as 0: its unsteadiness."""
        return {
            repeat: mean([max(0.0, a - b) for a, b in itertools.pairwise(curve)])
            for repeat, curve in self.curves().items()
            if len(curve) > 1
        }


def difference(values: Mapping[int, float], other: Mapping[int, float], tests: int = 1) -> Interval | None:
    """The mean of `values` less `other` over the seeds that both have; None where they have none in common."""
    common = sorted(set(values) & set(other))
    return interval([values[repeat] - other[repeat] for repeat in common], tests) if common else None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A study at one moment, read as an experiment.

    Attributes:
        factor: the one parameter that varies, in few values; None in a search, and where nothing varies.
        efficiency: of a search, what its time went into, where that was looked up.
    """

    summary: summaries.Whole
    factor: parameters.Parameter | None
    is_single: bool
    efficiency: efficiencies.Efficiency | None = None

    @classmethod
    def of(cls, summary: summaries.Whole) -> "Experiment":
        """What kind of experiment the space makes of a study."""
        varying = [p for p in summary.study.spec.space.parameters if p.values is None or len(p.values) > 1]
        factor = varying[0] if len(varying) == 1 else None
        if factor is not None and (factor.values is None or len(factor.values) > FACTOR_VALUES):
            factor = None
        return cls(summary, factor, not varying)

    @property
    def name(self) -> str:
        """The study's."""
        return self.summary.study.name

    @property
    def is_search(self) -> bool:
        """Whether more than one parameter varies, or one in many values."""
        return self.factor is None and not self.is_single

    @property
    def trials(self) -> tuple[FrozenTrial, ...]:
        """All, by number."""
        return self.summary.trials

    @functools.cached_property
    def runs(self) -> tuple[Runs, ...]:
        """The configurations that have a complete trial; those of a factor in the order of its values."""
        tree = self.summary.study.spec.space
        by_key: dict[str, dict[int, FrozenTrial]] = {}
        params: dict[str, spaces.Params] = {}
        for trial in self.trials:
            if trial.state == TrialState.COMPLETE and trial.value is not None:
                key = tree.key(trial.params)
                params.setdefault(key, trial.params)
                by_key.setdefault(key, {})[records.repeat_of(trial)] = trial
        found = [Runs(params[key], trials) for key, trials in by_key.items()]
        if self.factor is None:
            return tuple(found)
        order = self.factor.values or ()
        return tuple(sorted(found, key=lambda runs: scalars.find(order, self.level(runs)) or 0))

    def level(self, runs: Runs) -> Any:
        """The value of the factor in a configuration."""
        return runs.params[self.factor.name] if self.factor else None

    def at(self, value: Any) -> Runs | None:
        """The configuration with that value of the factor, where it has a complete trial."""
        return next((runs for runs in self.runs if scalars.same(self.level(runs), value)), None)

    @property
    def seeds(self) -> int:
        """Of the configuration that has the fewest; 0 without any."""
        return min((len(runs.trials) for runs in self.runs), default=0)
