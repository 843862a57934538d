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
    """

    def __init__(self, early: numpy.ndarray, last: numpy.ndarray, scale: float) -> None:
        prior = (DEVIATION * scale) ** 2
        if not len(early):
            self.slope, self._early, self._last = 1.0, 0.0, 0.0
            self.deviation = math.sqrt(prior)
            return
        self._early, self._last = float(early.mean()), float(last.mean())
        apart, later = early - self._early, last - self._last
        firm = SLOPE_WEIGHT * scale * scale
        slope = (float(apart @ later) + firm * SLOPE) / (float(apart @ apart) + firm)
        self.slope = min(max(slope, SLOPE_BOUNDS[0]), SLOPE_BOUNDS[1])
        rest = later - self.slope * apart
        self.deviation = math.sqrt((float(rest @ rest) + DEVIATION_PAIRS * prior) / (len(early) + DEVIATION_PAIRS))

    def __call__(self, early: float) -> float:
        """The value at the end."""
        return self._last + self.slope * (early - self._early)
