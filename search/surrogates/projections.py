"""What values before the last step foretell of the value at the last one."""

import math

import numpy

SLOPE, SLOPE_WEIGHT = 0.8, 0.5  # of the last value on an earlier one before there is any pair, and how firm that is
DEVIATION, DEVIATION_PAIRS = 0.6, 3.0  # of the residual, in deviations of last values, and for how many pairs it counts
SLOPE_BOUNDS = (0.2, 1.2)


class Projection:
    """A line from the value at one step to the value at the end.

    Args:
        early: (n,) values of trials at the step that were trained to the end.
        last: (n,) theirs at the end.
        scale: deviation of values at the end.
        weights: (n,) how much each says, 0 to 1: less what is less alike.
    """

    def __init__(self, early: numpy.ndarray, last: numpy.ndarray, scale: float, weights: numpy.ndarray) -> None:
        prior, known = (DEVIATION * scale) ** 2, float(weights.sum())
        if not known:
            self.slope, self._early, self._last = 1.0, 0.0, 0.0
            self.deviation = math.sqrt(prior)
            return
        self._early, self._last = float(weights @ early) / known, float(weights @ last) / known
        apart, later = early - self._early, last - self._last
        firm = SLOPE_WEIGHT * scale * scale
        slope = (float(weights * apart @ later) + firm * SLOPE) / (float(weights * apart @ apart) + firm)
        self.slope = min(max(slope, SLOPE_BOUNDS[0]), SLOPE_BOUNDS[1])
        rest = later - self.slope * apart
        self.deviation = math.sqrt((float(weights * rest @ rest) + DEVIATION_PAIRS * prior) / (known + DEVIATION_PAIRS))

    def __call__(self, early: float) -> float:
        """The value at the end."""
        return self._last + self.slope * (early - self._early)
