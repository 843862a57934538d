"""What trainings that were not recorded would come to: a Gaussian process between those that were, epoch by epoch.

Nothing of it is told to a sampler: it stands in for training where a search is simulated or judged. It is fitted anew
each time: 1,320 configurations take two seconds.
"""

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy
from scipy import linalg, optimize

from search.space import encodings, spaces

LEARNED = 300  # configurations that length scales are learned from
MOST = 2_000  # configurations that the process goes through
NEAR = 10  # recorded ones whose noise another may have
SLACK = 0.05  # of the span of values: the share of it within which errors count alike
SCALES = (0.05, 20.0)  # of a parameter, of which all is one
NOISE = (1e-4, 3e-3)  # variance against that of all: what is more is no luck of a training but a fold of the surface
RIDGE = 0.05  # of the regression of seconds

Array = numpy.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True)
class Recorded:
    """All trainings of one configuration.

    Attributes:
        curves: of each seed, (steps,), whole; larger is better.
        seconds: of an epoch, the mean.
    """

    params: spaces.Params
    curves: dict[int, Array]
    seconds: float | None
    setup_seconds: float


@dataclasses.dataclass(frozen=True)
class Expected:
    """What is expected of some configurations, a row each.

    Attributes:
        means: of the curves, (n, steps), as `Curves.bend` puts them.
        seconds: of an epoch, (n,), and `setup_seconds`, (n,).
        nearest: which recorded ones are nearest, (n, NEAR), the nearest first.
    """

    means: Array
    seconds: Array
    setup_seconds: Array
    nearest: Array


class Curves:
    """A model of the learning curves and the cost of a space.

    Attributes:
        fitted: means of the recorded configurations, (n, steps), bent.
        errors: of the last value of each, were it not recorded, (n,), and `ends`, what it came to.
    """

    def __init__(self, space: spaces.Space, recorded: Sequence[Recorded], worst: float, best: float) -> None:
        self._encoding, self.recorded = encodings.Encoding(space), list(recorded)
        self.worst, self.best = worst, best
        self._slack = max(SLACK * (best - worst), 1e-12)
        self._at = self._encoding([each.params for each in recorded])
        counts = numpy.array([len(each.curves) for each in recorded])
        curves = numpy.array([numpy.mean([self.bend(c) for c in each.curves.values()], axis=0) for each in recorded])
        self._center, self._spread = curves.mean(axis=0), max(float(curves[:, -1].std()), 1e-9)
        targets = (curves - self._center) / self._spread
        self._scales, noise = _learn(self._at, self._encoding.owners, targets[:, -1])
        costs = self._regress()
        self._used = _some(recorded, targets[:, -1])
        near = _kernel(self._apart(self._at[self._used], self._at[self._used]))
        inverse = linalg.inv(near + numpy.diag(noise / counts[self._used]))
        told = numpy.column_stack([targets, costs])[self._used]
        self._weights = inverse @ told
        self.fitted = self._center + self._spread * (
            _kernel(self._apart(self._at, self._at[self._used])) @ self._weights[:, :-2]
        )
        left_out = told[:, -3] - self._weights[:, -3] / numpy.diag(inverse)
        end, spread = self._center[-1], self._spread
        self.ends = self.straighten(end + spread * told[:, -3])
        self.errors = self.straighten(end + spread * left_out) - self.ends

    def bend(self, values: Array) -> Array:
        """Stretches the measure near the best, where differences count."""
        kept = numpy.clip(numpy.nan_to_num(values, nan=self.worst), self.worst, self.best)
        return numpy.asarray(-numpy.log(self.best - kept + self._slack))

    def straighten(self, bent: Array) -> Array:
        """The inverse of `bend`, within the worst and the best that was recorded."""
        return numpy.clip(self.best + self._slack - numpy.exp(-bent), self.worst, self.best)

    def expect(self, configurations: Sequence[spaces.Params]) -> Expected:
        """What training these configurations would come to."""
        places = self._encoding(configurations)
        means, costs, nearest = [], [], []
        for start in range(0, len(places), MOST):
            some = places[start : start + MOST]
            apart = self._apart(some, self._at[self._used])
            told = _kernel(apart) @ self._weights
            means.append(self._center + self._spread * told[:, :-2])
            costs.append(numpy.exp(told[:, -2:] + _terms(some) @ self._slopes))
            nearest.append(numpy.argsort(self._apart(some, self._at), axis=1)[:, :NEAR])
        seconds = numpy.concatenate(costs)
        return Expected(numpy.concatenate(means), seconds[:, 0], seconds[:, 1], numpy.concatenate(nearest))

    def _apart(self, one: Array, other: Array) -> Array:
        return _apart(one, other, self._encoding.owners, self._scales)

    def _regress(self) -> Array:
        """Log of the seconds of an epoch and of the setup, less what a regression says, (n, 2)."""
        known = [each.seconds for each in self.recorded if each.seconds]
        usual = math.log(float(numpy.median(known))) if known else 0.0
        logs = numpy.array(
            [
                [
                    math.log(each.seconds) if each.seconds else math.nan,
                    math.log(max(each.setup_seconds, 1e-6)),
                ]
                for each in self.recorded
            ]
        )
        terms = _terms(self._at)
        penalty = RIDGE * numpy.eye(terms.shape[1])
        self._slopes = numpy.zeros((terms.shape[1], 2))
        for column in range(2):
            is_known = ~numpy.isnan(logs[:, column])
            some, told = terms[is_known], logs[is_known, column]
            center = told.mean() if len(told) else usual
            self._slopes[:, column] = linalg.solve(some.T @ some + penalty, some.T @ (told - center), assume_a="pos")
            self._slopes[0, column] += center
        return numpy.asarray(numpy.nan_to_num(logs - terms @ self._slopes, nan=0.0))


def draw(key: str, seed: int, count: int) -> int:
    """A number below `count`, by hash: the same on every machine."""
    return int(hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()[:15], 16) % count


def _some(recorded: Sequence[Recorded], ends: Array) -> Array:
    """All places, or where they are too many the better half of them and others evenly."""
    if len(recorded) <= MOST:
        return numpy.arange(len(recorded))
    order = numpy.argsort(-ends)
    rest = order[MOST // 2 :]
    return numpy.sort(
        numpy.concatenate([order[: MOST // 2], rest[numpy.linspace(0, len(rest) - 1, MOST // 2).round().astype(int)]])
    )


def _apart(one: Array, other: Array, owners: Array, scales: Array) -> Array:
    """Distances where each parameter has a length scale of its own."""
    by = scales[owners]
    one, other = one / by, other / by
    squares = (one * one).sum(axis=1)[:, None] + (other * other).sum(axis=1)[None, :] - 2 * one @ other.T
    return numpy.asarray(numpy.sqrt(numpy.maximum(squares, 0.0)))


def _kernel(apart: Array) -> Array:
    """Matern 5/2."""
    far = math.sqrt(5) * apart
    return numpy.asarray((1 + far + far * far / 3) * numpy.exp(-far))


def _terms(places: Array) -> Array:
    """Numbers, their squares and products."""
    left, right = numpy.triu_indices(places.shape[1])
    return numpy.column_stack([numpy.ones(len(places)), places, places[:, left] * places[:, right]])


def _learn(places: Array, owners: Array, targets: Array) -> tuple[Array, float]:
    """Length scales of the parameters and the noise, by the likelihood of some of what was recorded."""
    chosen = numpy.random.default_rng(0).permutation(len(places))[:LEARNED]
    at, told = places[chosen], targets[chosen]
    count, one = len(set(owners)), numpy.ones(1)
    axes = [at[:, owners == own] for own in range(count)]
    alike = [_apart(axis, axis, numpy.zeros(axis.shape[1], int), one) ** 2 for axis in axes]
    squares = numpy.reshape(alike, (count, len(at), len(at)))  # without axes, too
    begin = numpy.append(numpy.zeros(count), math.log(NOISE[1]))
    found = optimize.minimize(
        lambda logs: _badness(logs, squares, told, begin),
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(map(math.log, SCALES))] * count + [tuple(map(math.log, NOISE))],
        options={"maxiter": 40},
    )
    return numpy.exp(found.x[:-1]), math.exp(float(found.x[-1]))


def _badness(logs: Array, squares: Array, told: Array, usual: Array) -> tuple[float, Array]:
    """The negative log-likelihood of what is told, and how it changes with logs of scales and noise.

    Args:
        squares: of distances along each parameter, (parameters, n, n).
        usual: logs that others are drawn towards.
    """
    scaled = squares / numpy.exp(2 * logs[:-1])[:, None, None]
    far: Array = numpy.sqrt(5 * scaled.sum(axis=0))
    fading = numpy.exp(-far)
    noise = math.exp(logs[-1])
    whole = (1 + far + far * far / 3) * fading + noise * numpy.eye(len(told))
    inverse = linalg.inv(whole)
    weights = inverse @ told
    change = inverse - numpy.outer(weights, weights)
    slope = 5 / 3 * (1 + far) * fading * change
    slopes = [*((slope * each).sum() for each in scaled), noise * numpy.trace(change)]
    pull = (logs - usual) / 4
    _, size = numpy.linalg.slogdet(whole)
    return float(told @ weights + size + pull @ (logs - usual)) / 2, numpy.array(slopes) / 2 + pull
