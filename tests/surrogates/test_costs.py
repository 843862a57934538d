import numpy
import pytest

from search.surrogates import costs


def test_costs_are_learned() -> None:
    """Seconds that grow with a column and with the product of two are predicted for points between."""
    generator = numpy.random.default_rng(0)
    at = generator.random((60, 4))

    def true(points: numpy.ndarray) -> numpy.ndarray:
        return numpy.asarray(numpy.exp(3 * points[:, 0] + 2 * points[:, 0] * points[:, 1] - 4))

    asked = generator.random((50, 4))
    found = costs.Costs(at, true(at) * numpy.exp(0.05 * generator.standard_normal(60))).predict(asked)
    assert numpy.median(abs(numpy.log(found / true(asked)))) < 0.1


def test_little_is_no_reason() -> None:
    """Two trials tell nothing of what others cost; and no prediction is far beyond what was seen."""
    at = numpy.array([[0.0], [1.0], [0.5], [0.2]])
    assert costs.Costs(at[:2], numpy.array([1.0, 100.0])).predict(at) == pytest.approx(numpy.ones(4))
    known = costs.Costs(at[:3], numpy.array([1.0, 100.0, 10.0]))
    assert known.predict(numpy.array([[50.0]]))[0] == pytest.approx(100 * numpy.exp(costs.BEYOND))
