import math

import numpy
import pytest
from scipy import optimize
from sklearn import gaussian_process
from sklearn.gaussian_process import kernels

from search.surrogates import processes

GROUPS = (slice(0, 1), slice(1, 2), slice(2, 3))


def drawn(n: int, seed: int = 0) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Points, and values that the last column does not touch."""
    generator = numpy.random.default_rng(seed)
    at = generator.random((n, 3))
    return at, numpy.sin(6 * at[:, 0]) + 0.3 * at[:, 1] + 0.02 * generator.standard_normal(n)


def test_predictions_are_those_of_scikit_learn() -> None:
    """At the same hyperparameters another implementation predicts the same, with noise that differs by observation."""
    at, values = drawn(40)
    noise = numpy.linspace(0, 0.3, 40)
    process = processes.Process(GROUPS, at, values, noise)
    found = process.hyperparameters
    kernel = kernels.Matern(length_scale=numpy.exp(found.scales), length_scale_bounds="fixed", nu=2.5)
    alpha = math.exp(found.noise) + (noise / values.std()) ** 2 + processes.JITTER
    other = gaussian_process.GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None)
    other.fit(at, (values - values.mean()) / values.std())
    asked = numpy.random.default_rng(1).random((25, 3))
    mean, deviation = other.predict(asked, return_std=True)
    ours = process.predict(asked)
    assert ours[0] == pytest.approx(mean * values.std() + values.mean(), abs=1e-7)
    floor = math.sqrt(processes.LEAST_VARIANCE)
    assert ours[1] == pytest.approx(numpy.maximum(deviation, floor) * values.std(), abs=1e-6)


def test_the_slope_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slope that the hyperparameters are found by is the slope of the loss."""
    at, values = drawn(30)
    squares, seen = processes.distances(GROUPS, at, at), []
    minimize = optimize.minimize

    def keep(loss, start, **more):  # type: ignore[no-untyped-def]
        seen.append(loss)
        return minimize(loss, start, **more)

    monkeypatch.setattr(optimize, "minimize", keep)
    processes.fit(squares, values - values.mean(), numpy.full(30, 0.01))
    point = numpy.array([-0.5, 0.2, 1.0, -3.0])
    slope = seen[0](point)[1]
    for place in range(4):
        step = numpy.zeros(4)
        step[place] = 1e-5
        numeric = (seen[0](point + step)[0] - seen[0](point - step)[0]) / 2e-5
        assert slope[place] == pytest.approx(numeric, rel=1e-4)


def test_what_does_not_matter_has_a_long_scale() -> None:
    """The length scale of a column that values do not depend on becomes longer than that of one that they do."""
    at, values = drawn(80)
    scales = processes.Process(GROUPS, at, values, numpy.zeros(80)).hyperparameters.scales
    assert scales[0] < scales[1] < scales[2]


def test_more_observations_move_predictions_towards_them() -> None:
    """After some more observations the process agrees with them, and is surer there; its hyperparameters stay."""
    at, values = drawn(20)
    process = processes.Process(GROUPS, at, values, numpy.zeros(20))
    place = numpy.array([[0.5, 0.5, 0.5]])
    mean, deviation = process.predict(place)
    after = process.and_also(place, mean + 0.5, numpy.array([0.01]))
    assert after.hyperparameters is process.hyperparameters
    moved, surer = after.predict(place)
    assert moved[0] > mean[0] + 0.1
    assert surer[0] < deviation[0]


def test_equal_values_are_no_trouble() -> None:
    """Where all values are the same, that is what is predicted."""
    at, _ = drawn(5)
    mean, deviation = processes.Process(GROUPS, at, numpy.full(5, 0.7), numpy.zeros(5)).predict(at)
    assert mean == pytest.approx(numpy.full(5, 0.7))
    assert numpy.isfinite(deviation).all()
