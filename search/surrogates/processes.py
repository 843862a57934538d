"""A Gaussian process by hand: Matern 5/2 with a length scale a parameter, and noise that differs by observation.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2, 4.2 and 5.4.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy
from scipy import linalg, optimize

SCALE, SCALE_SPREAD = math.log(0.7), 0.7  # log of a length scale: its expectation and deviation before any trial
NOISE, NOISE_SPREAD = math.log(0.03), 1.5  # log of the variance that repeats of one configuration have
SCALE_BOUNDS, NOISE_BOUNDS = (math.log(0.1), math.log(8.0)), (math.log(1e-3), math.log(0.5))
LEAST_VARIANCE = 1e-4  # of a prediction
JITTER = 1e-8
SAMPLE_JITTER = 1e-6
ITERATIONS = 15
FITTED = 100  # observations that hyperparameters are fitted to


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """Logs of a length scale per group, (groups,), and of the noise variance; of values with deviation 1."""

    scales: numpy.ndarray
    noise: float

    @classmethod
    def expected(cls, groups: int) -> "Hyperparameters":
        """Before any trial."""
        return cls(numpy.full(groups, SCALE), NOISE)


def distances(groups: Sequence[slice], one: numpy.ndarray, other: numpy.ndarray) -> numpy.ndarray:
    """Squared distances of (n, columns) and (m, columns) within each group: (groups, n, m)."""
    found = numpy.empty((len(groups), len(one), len(other)))
    for place, group in enumerate(groups):
        apart = one[:, None, group] - other[None, :, group]
        numpy.einsum("nmc,nmc->nm", apart, apart, out=found[place])
    return found


def _kernel(squares: numpy.ndarray, scales: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Matern 5/2 of squared distances per group, and minus twice its slope by the scaled squared distance."""
    far = numpy.tensordot(numpy.exp(-2 * scales), squares, axes=1)
    far = numpy.sqrt(5 * numpy.maximum(far, 0))
    fall = numpy.exp(-far)
    return (1 + far + far * far / 3) * fall, (5 / 3) * (1 + far) * fall


def likeness(groups: Sequence[slice], one: numpy.ndarray, other: numpy.ndarray) -> numpy.ndarray:
    """How alike (n, columns) and (m, columns) are expected to be before any trial, 0 to 1: (n, m)."""
    return _kernel(distances(groups, one, other), Hyperparameters.expected(len(groups)).scales)[0]


def fit(
    squares: numpy.ndarray, values: numpy.ndarray, noise: numpy.ndarray, iterations: int = ITERATIONS
) -> Hyperparameters:
    """The hyperparameters of highest posterior density, by L-BFGS from what is expected before any trial.

    Args:
        squares: (groups, n, n), see `distances`.
        values: (n,), with mean 0 and deviation 1.
        noise: (n,), variance of each beyond that of repeats.
    """
    groups, start = len(squares), Hyperparameters.expected(len(squares))

    def loss(at: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        scales, level = at[:-1], at[-1]
        kernel, slope = _kernel(squares, scales)
        kernel[numpy.diag_indices_from(kernel)] += math.exp(level) + noise + JITTER
        try:
            factor = linalg.cho_factor(kernel, lower=True, check_finite=False)
        except linalg.LinAlgError:
            return 1e10, numpy.zeros(groups + 1)
        inverse = linalg.cho_solve(factor, numpy.eye(len(values)), check_finite=False)
        weights = inverse @ values
        prior = numpy.append((scales - SCALE) / SCALE_SPREAD, (level - NOISE) / NOISE_SPREAD)
        fits = 0.5 * float(values @ weights) + float(numpy.log(numpy.diag(factor[0])).sum())
        pull = inverse - numpy.outer(weights, weights)
        by_scale = 0.5 * numpy.tensordot(squares, pull * slope, axes=2) * numpy.exp(-2 * scales)
        by_noise = 0.5 * math.exp(level) * float(numpy.trace(pull))
        spreads = numpy.append(numpy.full(groups, SCALE_SPREAD), NOISE_SPREAD)
        return fits + 0.5 * float(prior @ prior), numpy.append(by_scale, by_noise) + prior / spreads

    best = optimize.minimize(
        loss,
        numpy.append(start.scales, start.noise),
        jac=True,
        method="L-BFGS-B",
        bounds=[SCALE_BOUNDS] * groups + [NOISE_BOUNDS],
        options={"maxiter": iterations},
    )
    return Hyperparameters(best.x[:-1], float(best.x[-1]))


class Process:
    """The process after some observations.

    Args:
        at: (n, columns) where they were made.
        values: (n,), of any mean and scale.
        noise: (n,), standard deviation of each beyond that of repeats, in the unit of the values.
        fitted: how many of the first observations the hyperparameters are fitted to.
        like: a process whose hyperparameters, mean and scale are taken over.
    """

    def __init__(
        self,
        groups: Sequence[slice],
        at: numpy.ndarray,
        values: numpy.ndarray,
        noise: numpy.ndarray,
        *,
        fitted: int = FITTED,
        like: "Process | None" = None,
    ) -> None:
        self._groups, self._at, self._values, self._noise = groups, at, values, noise
        self.mean: float = like.mean if like else float(values.mean())
        self.scale: float = like.scale if like else float(values.std()) or 1.0
        scaled, variance = (values - self.mean) / self.scale, (noise / self.scale) ** 2
        squares = distances(groups, at, at)
        self.hyperparameters: Hyperparameters = (
            like.hyperparameters if like else fit(squares[:, :fitted, :fitted], scaled[:fitted], variance[:fitted])
        )
        kernel, _ = _kernel(squares, self.hyperparameters.scales)
        kernel[numpy.diag_indices_from(kernel)] += math.exp(self.hyperparameters.noise) + variance + JITTER
        self._factor = linalg.cholesky(kernel, lower=True, check_finite=False)
        self._weights = linalg.cho_solve((self._factor, True), scaled, check_finite=False)

    def and_also(self, at: numpy.ndarray, values: numpy.ndarray, noise: numpy.ndarray) -> "Process":
        """The same process after some more observations."""
        pairs = ((self._at, at), (self._values, values), (self._noise, noise))
        joined = [numpy.concatenate(pair) for pair in pairs]
        return Process(self._groups, joined[0], joined[1], joined[2], like=self)

    def _seen_from(self, at: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Covariances of the observations with (m, columns), (n, m), and what they explain of the values there."""
        kernel, _ = _kernel(distances(self._groups, self._at, at), self.hyperparameters.scales)
        return kernel, linalg.solve_triangular(self._factor, kernel, lower=True, check_finite=False)

    def predict(self, at: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Mean and standard deviation of the values at (m, columns), without the noise of repeats: (m,) each."""
        kernel, reduced = self._seen_from(at)
        variance = numpy.maximum(1 - numpy.einsum("nm,nm->m", reduced, reduced), LEAST_VARIANCE)
        return kernel.T @ self._weights * self.scale + self.mean, numpy.sqrt(variance) * self.scale

    def sample(self, at: numpy.ndarray, count: int, generator: numpy.random.Generator) -> numpy.ndarray:
        """Values at (m, columns) as they may be together, without the noise of repeats: (count, m)."""
        kernel, reduced = self._seen_from(at)
        own, _ = _kernel(distances(self._groups, at, at), self.hyperparameters.scales)
        own -= reduced.T @ reduced
        own[numpy.diag_indices_from(own)] += SAMPLE_JITTER
        drawn = generator.standard_normal((count, len(at))) @ linalg.cholesky(own, check_finite=False)
        return numpy.asarray((drawn + kernel.T @ self._weights) * self.scale + self.mean)
