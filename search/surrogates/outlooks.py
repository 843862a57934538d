"""What the trials of a study say about any configuration: its value at the end, and what an epoch of it costs."""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from search.space import encodings
from search.surrogates import acquisitions, costs, processes, projections
from search.surrogates.trainings import Stage, Training

SMOOTHED = 3  # steps at the end whose mean is the value: half the noise of the last alone
BEND = 0.15  # how far under the best a gain counts half, in ranges of the values seen
LOWEST = 0.1  # quantile of values from which that range counts
LEAST_SPREAD = 0.5  # deviation of values at the end: those that have ended so far may be all alike
DRAWS, SURE = 200, 0.95  # of a regret
BELIEVED = 0.3  # noise of a value that is only expected, in deviations


class Scale:
    """Values as a model sees them: more is better, and the nearer to the best the more a difference counts.

    Args:
        seen: values as reported; those that are not finite count as the worst.
        sign: 1 where they are maximized, else -1.
    """

    def __init__(self, seen: Sequence[float], sign: float) -> None:
        finite = numpy.array([sign * value for value in seen if math.isfinite(value)] or [0.0])
        self._sign, self._top, self._low = sign, float(finite.max()), float(finite.min())
        reach = self._top - float(numpy.quantile(finite, LOWEST))
        self._soft = max(BEND * reach, 1e-9 * max(abs(self._top), 1.0))

    def __call__(self, value: float) -> float:
        """A value on the scale: 0 for the best, negative for others."""
        value = self._low if math.isnan(value) else min(max(self._sign * value, self._low), self._top)
        return -math.log1p((self._top - value) / self._soft)

    @property
    def worst(self) -> float:
        """Of a trial without a value."""
        return self(self._sign * self._low)

    def metric(self, bent: numpy.ndarray) -> numpy.ndarray:
        """What values on the scale are in the metric's unit, beyond the best that was seen too; more is better."""
        return numpy.asarray(self._top - self._soft * numpy.expm1(-bent))


class Outlook:
    """Of one study at one time.

    Args:
        trainings: at least one with a value.
        steps: of a whole training; None where it is not known.
    """

    def __init__(
        self, encoding: encodings.Encoding, trainings: Sequence[Training], maximize: bool, steps: int | None
    ) -> None:
        self._encoding, self.steps = encoding, steps
        known = [each for each in trainings if each.has_value or each.stage is Stage.ENDED]
        at = encoding([each.params for each in known])
        sign = 1.0 if maximize else -1.0
        self.scale = Scale([each.last for each in known if each.has_value], sign)
        values, noise = _ends(known, self.scale, sign, encoding.groups, at)
        self.process = processes.Process(encoding.groups, at, values, noise)
        self._believe([each for each in trainings if each.stage is Stage.RUNNING and not each.has_value])
        timed = [n for n, each in enumerate(known) if len(each.values) and each.seconds > 0]
        self._costs = costs.Costs(at[timed], numpy.array([known[n].seconds / len(known[n].values) for n in timed]))
        means = self.process.predict(at)[0]
        complete = [n for n, each in enumerate(known) if each.stage is Stage.COMPLETE]
        self.best = float(means[complete].max()) if complete else float(means.max())
        self._chosen = at[max(complete, key=lambda n: means[n])] if complete else None
        self.ranked = [known[place] for place in numpy.argsort(-means, kind="stable")]

    def _believe(self, running: Sequence[Training]) -> None:
        """They count with what is expected of them, so that workers spread out."""
        if running:
            at = self._encoding([each.params for each in running])
            mean, _ = self.process.predict(at)
            self.process = self.process.and_also(at, mean, numpy.full(len(mean), BELIEVED * self.process.scale))

    def points(self, configurations: Sequence[Mapping[str, Any]]) -> numpy.ndarray:
        """Where they lie, (n, columns): it takes as long as all that is said of them."""
        return self._encoding(configurations)

    def seconds(self, at: numpy.ndarray) -> numpy.ndarray:
        """Of an epoch at each of some points, (n,)."""
        return self._costs.predict(at)

    def promises(self, at: numpy.ndarray) -> numpy.ndarray:
        """Log of the expected improvement there at the end, in deviations of the values that were seen, (n,)."""
        mean, deviation = self.process.predict(at)
        found = acquisitions.log_expected_improvement(mean, deviation, self.best)
        return found - math.log(self.process.scale)

    def regret(self, configurations: Sequence[Mapping[str, Any]], generator: numpy.random.Generator) -> float:
        """How much the best of these may be better than the complete trial that is believed the best, in the metric.

        All but one in twenty of what the model holds possible is below it (after Wilson, Stopping Bayesian optimization
        with probabilistic regret bounds, 2024).
        """
        if self._chosen is None:
            return math.inf
        at = numpy.concatenate([self._chosen[None], self._encoding(configurations)])
        drawn = self.scale.metric(self.process.sample(at, DRAWS, generator))
        return float(numpy.quantile(drawn.max(axis=1) - drawn[:, 0], SURE))


def _ends(
    known: Sequence[Training], scale: Scale, sign: float, groups: Sequence[slice], at: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """On the scale, (n,): what each comes to at its end, and the deviation of what that is guessed from."""
    values, noise = numpy.empty(len(known)), numpy.zeros(len(known))
    ended = [n for n, each in enumerate(known) if each.stage in (Stage.COMPLETE, Stage.ENDED)]
    for n in ended:
        values[n] = _end(known[n], scale)
    spread = max(float(values[ended].std()) if len(ended) > 1 else 0.0, LEAST_SPREAD)
    others: dict[int, list[int]] = collections.defaultdict(list)
    for n, each in enumerate(known):
        if each.stage not in (Stage.COMPLETE, Stage.ENDED):
            others[len(each.values)].append(n)
    for count, places in others.items():
        # early values have a scale of their own: what is best after an epoch is far from what is best in the end
        own = Scale([float(each.values[count - 1]) for each in known if len(each.values) >= count], sign)
        whole = [n for n in ended if known[n].stage is Stage.COMPLETE and len(known[n].values) > count]
        early = numpy.array([own(float(known[n].values[count - 1])) for n in whole])
        alike = processes.likeness(groups, at[places], at[whole])
        for n, weights in zip(places, alike, strict=True):
            line = projections.Projection(early, values[whole], spread, weights)
            values[n], noise[n] = line(own(float(known[n].values[-1]))), line.deviation
    return values, noise


def _end(training: Training, scale: Scale) -> float:
    """Of one that has ended: smoother than its last value, where it was told with that."""
    steps = training.values
    if not training.has_value:
        return scale.worst
    if training.stage is Stage.COMPLETE and len(steps) and steps[-1] == training.value:
        return scale(float(numpy.mean(steps[-min(SMOOTHED, 1 + len(steps) // SMOOTHED) :])))
    return scale(training.last)
