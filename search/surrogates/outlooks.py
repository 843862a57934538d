"""What the trials of a study say about any configuration: its value at the end, and what an epoch of it costs."""

import collections
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from search.surrogates import acquisitions, costs, encodings, processes, projections
from search.surrogates.trainings import Stage, Training

SMOOTHED = 3  # steps at the end whose mean is the value: half the noise of the last alone
BEND = 0.15  # how far under the best a gain counts half, in ranges of the values seen
LOWEST = 0.1  # quantile of values from which that range counts
FLOOR = 0.0
BELIEVED = 0.3  # noise of a value that is only expected, in deviations


class Outlook:
    """Of one study at one time.

    Args:
        trainings: at least one with a value.
        steps: of a whole training; None where it is not known.
    """

    def __init__(
        self, encoding: encodings.Encoding, trainings: Sequence[Training], maximize: bool, steps: int | None
    ) -> None:
        self._encoding, self._sign, self.steps = encoding, 1.0 if maximize else -1.0, steps
        known = [each for each in trainings if len(each.values) or each.value is not None or each.stage is Stage.ENDED]
        expected = [each for each in trainings if each.stage is Stage.RUNNING and not len(each.values)]
        self._bend(known)
        values, noise = self._values(known)
        at, blind = encoding([each.params for each in known]), encoding([each.params for each in expected])
        self.process = processes.Process(encoding.groups, at, values, noise)
        if expected:  # as the process believes, so that workers spread out
            mean, _ = self.process.predict(blind)
            self.process = self.process.and_also(blind, mean, numpy.full(len(mean), BELIEVED * values.std()))
        timed = [(row, each.seconds / len(each.values)) for row, each in zip(at, known, strict=True) if len(each.values) and each.seconds > 0]
        self._costs = costs.Costs(numpy.array([row for row, _ in timed]).reshape(len(timed), at.shape[1]), numpy.array([seconds for _, seconds in timed]))
        complete = [place for place, each in enumerate(known) if each.stage is Stage.COMPLETE]
        means = self.process.predict(at)[0]
        self.best = float(means[complete].max()) if complete else float(means.max())
        self.ranked = [known[place] for place in numpy.argsort(-means, kind="stable")]

    def _bend(self, known: Sequence[Training]) -> None:
        """Where the scale is stretched: towards the best value, where differences are small and count."""
        seen = [self._sign * v for each in known for v in (*each.values[-1:], *([each.value] if each.value is not None else []))]
        finite = numpy.array([v for v in seen if math.isfinite(v)] or [0.0])
        self._top, self._low = float(finite.max()), float(finite.min())
        reach = self._top - float(numpy.quantile(finite, LOWEST))
        if FLOOR:
            self._low = max(self._low, self._top - FLOOR * (self._top - float(numpy.median(finite))) - 1e-9)
        self._soft = max(BEND * reach, 1e-9 * max(abs(self._top), 1.0))

    def bent(self, value: float) -> float:
        """A value on the scale of the process, where more is better."""
        value = self._sign * value
        value = min(max(value, self._low), self._top) if not math.isnan(value) else self._low
        return -math.log((self._top - value) / self._soft + 1)

    def _values(self, known: Sequence[Training]) -> tuple[numpy.ndarray, numpy.ndarray]:
        """On the scale of the process, (n,): what each comes to at its end, and how uncertain that is."""
        ended = {n: self._last(each) for n, each in enumerate(known) if each.stage in (Stage.COMPLETE, Stage.ENDED)}
        spread = float(numpy.std(list(ended.values()))) if len(ended) > 1 else 0.0
        pairs: dict[int, list[tuple[float, float]]] = collections.defaultdict(list)
        open_ = {len(each.values) for n, each in enumerate(known) if n not in ended}
        for n, each in enumerate(known):
            if each.stage is Stage.COMPLETE:
                for step in open_:
                    if step < len(each.values):
                        pairs[step].append((self.bent(float(each.values[step - 1])), ended[n]))
        lines = {}
        for step in open_:
            early, last = numpy.array(pairs[step]).reshape(-1, 2).T
            lines[step] = projections.Projection(early, last, spread or 0.5)
        values, noise = numpy.empty(len(known)), numpy.zeros(len(known))
        for n, each in enumerate(known):
            if n in ended:
                values[n] = ended[n]
            else:
                line = lines[len(each.values)]
                values[n], noise[n] = line(self.bent(float(each.values[-1]))), line.deviation
        return values, noise

    def _last(self, training: Training) -> float:
        steps = training.values
        if training.stage is Stage.COMPLETE and len(steps) and steps[-1] == training.value:
            smooth = float(numpy.mean(steps[-min(SMOOTHED, 1 + len(steps) // SMOOTHED) :]))
            return self.bent(smooth)
        if training.value is not None:
            return self.bent(training.value)
        return self.bent(float(steps[-1])) if len(steps) else self.bent(self._sign * self._low)

    @property
    def scale_log(self) -> float:
        """Log of the deviation of the values that were seen."""
        return math.log(self.process.scale)

    def seconds(self, configurations: Sequence[Mapping[str, Any]]) -> numpy.ndarray:
        """Of an epoch of each, (n,)."""
        return self._costs.predict(self._encoding(configurations))

    def promises(self, configurations: Sequence[Mapping[str, Any]]) -> numpy.ndarray:
        """Log of the expected improvement of each at its end, (n,)."""
        mean, deviation = self.process.predict(self._encoding(configurations))
        return acquisitions.log_expected_improvement(mean, deviation, self.best)
