"""The line that a parameter's numbers lie on, by their difference or by their ratio."""

import dataclasses
import math
from collections.abc import Sequence

from optuna import distributions

from search.space import parameters, scalars

LOG_SPAN = 10.0  # positive numbers that span as much are compared by their ratio, whatever the file says


@dataclasses.dataclass(frozen=True)
class Line:
    """From the smallest number of a parameter, at 0, to its largest, at 1.

    Attributes:
        by_ratio: whether equal ratios are equal distances.
        choices: the numbers that there are, ascending; None where all between are.
        is_whole: whether they are integers.
    """

    low: float
    high: float
    by_ratio: bool
    choices: Sequence[float] | None
    is_whole: bool

    @classmethod
    def find(cls, parameter: parameters.Parameter) -> "Line | None":
        """Of a range, or of choices that are all numbers; None of others."""
        distribution, log, choices = parameter.distribution, False, None
        if isinstance(distribution, distributions.CategoricalDistribution):
            choices = [value for value in distribution.choices if type(value) in (int, float) and math.isfinite(value)]
            if len(choices) < len(distribution.choices):
                return None
            choices.sort()
            low, high = choices[0], choices[-1]
        else:
            low, high = distribution.low, distribution.high  # type: ignore[attr-defined]  # a range has them
            log = bool(distribution.log)  # type: ignore[attr-defined]
        if not 0 < high - low < math.inf:
            return None
        is_whole = isinstance(distribution, distributions.IntDistribution)
        return cls(low, high, log or (low > 0 and high / low >= LOG_SPAN), choices, is_whole)

    def place(self, value: float) -> float:
        """Where a number lies, 0 to 1."""
        if self.by_ratio:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value(self, parameter: parameters.Parameter, place: float) -> scalars.Value:
        """The parameter's number nearest to a place."""
        place = min(max(place, 0.0), 1.0)
        if self.choices is not None:
            return min(self.choices, key=lambda each: abs(self.place(each) - place))
        found = self.low * (self.high / self.low) ** place if self.by_ratio else self.low + place * (self.high - self.low)
        found = min(max(found, self.low), self.high)
        values = parameter.values
        if values is None:
            return found
        if isinstance(values, range):
            return values[min(max(round((found - values.start) / values.step), 0), len(values) - 1)]
        return parameter.snap(found, 0.5)
