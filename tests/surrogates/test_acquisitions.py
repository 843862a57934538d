import math

import numpy
import pytest
from scipy import integrate, stats

from search.surrogates import acquisitions


@pytest.mark.parametrize(("mean", "deviation"), [(0.3, 0.1), (-0.4, 0.5), (-1.0, 0.3), (1.5, 0.2)])
def test_the_expected_improvement_is_the_integral(mean: float, deviation: float) -> None:
    """Expected improvement is what is above the best, times how likely that is."""
    density = stats.norm(mean, deviation).pdf
    expected, _ = integrate.quad(lambda y: (y - 0.2) * density(y), 0.2, 20, points=[mean])
    found = acquisitions.log_expected_improvement(numpy.array([mean]), numpy.array([deviation]), 0.2)
    assert math.exp(found[0]) == pytest.approx(expected, rel=1e-5)


def test_it_falls_without_a_break() -> None:
    """However far below the best, a better prediction promises more, and by a slope that has no jump."""
    means = -numpy.geomspace(0.01, 1e5, 4000)
    found = acquisitions.log_expected_improvement(means, numpy.ones(4000), 0.0)
    assert numpy.isfinite(found).all()
    slopes = numpy.diff(found) / numpy.diff(means)
    assert (slopes > 0).all()
    assert (numpy.abs(numpy.diff(numpy.log(slopes))) < 0.02).all()
