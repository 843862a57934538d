"""The line that a parameter's numbers lie on, by their difference or by their ratio."""

import dataclasses
import math
from collections.abc import Sequence

from optuna import distributions

from search.space import parameters, scalars

LOG_SPAN = 10.0  # positive numbers that span as much are compared by their ratio, whatever the file says


def is_long(low: float, high: float) -> bool:
    """Whether numbers of this span are compared by their ratio."""
    return low > 0 and high / low >= LOG_SPAN


@dataclasses.dataclass(frozen=True)
class Line:
    """From the smallest number of a parameter, at 0, to its largest, at 1.

    Attributes:
        by_ratio: whether equal ratios are equal distances.
        choices: the numbers that there are, ascending; None of a range.
    """

    low: float
    high: float
    by_ratio: bool
    choices: Sequence[float] | None

    @classmethod
    def find(cls, parameter: parameters.Parameter) -> "Line | None":
        """Of a range, or of choices that are all numbers; None of others."""
        choices: Sequence[float] | None = None
        match parameter.distribution:
            case distributions.CategoricalDistribution() as choice:
                numbers = sorted(v for v in choice.choices if isinstance(v, (int, float)) and not isinstance(v, bool))
                if len(numbers) < max(len(choice.choices), 2):
                    return None
                low, high, log, choices = numbers[0], numbers[-1], False, tuple(numbers)
            case distributions.IntDistribution() | distributions.FloatDistribution() as span:
                low, high, log = span.low, span.high, span.log
        if not 0 < high - low < math.inf:
            return None
        return cls(low, high, log or is_long(low, high), choices)

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
        low, high = self.low, self.high
        found = low * (high / low) ** place if self.by_ratio else low + place * (high - low)
        found = min(max(found, low), high)
        values = parameter.values
        if values is None:
            return found
        if isinstance(values, range):
            return values[min(max(round((found - values.start) / values.step), 0), len(values) - 1)]
        return parameter.nearest(found)
