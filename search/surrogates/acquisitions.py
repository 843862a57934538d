"""How much a look at a configuration promises."""

import math

import numpy
from scipy import special

FAR = -1.0  # standard deviations under the best: the plain formula would cancel
VERY_FAR = -1e3


def log_expected_improvement(mean: numpy.ndarray, deviation: numpy.ndarray, best: float) -> numpy.ndarray:
    """Log of the expected improvement on `best` of normal predictions, where more is better; exact far below too.

    Jones et al., Efficient global optimization (1998); in logs after Ament et al., Unexpected improvements to expected
    improvement (2023).
    """
    z = (mean - best) / deviation
    found = numpy.empty_like(z)
    near = z > FAR
    density = numpy.exp(-(z[near] ** 2) / 2) / math.sqrt(2 * math.pi)
    found[near] = numpy.log(density + z[near] * special.ndtr(z[near]))
    far = z[~near]
    ratio = special.erfcx(-far / math.sqrt(2)) * math.sqrt(math.pi / 2)  # of distribution to density
    # what is left of 1 where it cancels: 1 / z^2
    rest = numpy.where(far > VERY_FAR, 1 + far * ratio, 1 / (far * far))
    found[~near] = -far * far / 2 - 0.5 * math.log(2 * math.pi) + numpy.log(rest)
    return numpy.asarray(numpy.log(deviation) + found)
