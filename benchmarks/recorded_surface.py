"""The lab's space as a surface to search: what was recorded, and a Gaussian process between it."""

import dataclasses
import functools
import itertools
import json
import math
import pathlib
from typing import Any

import numpy

RATES, WIDTHS, ACTIVATIONS = (1e-4, 1e-2, 1e-1), (32, 128, 512), ("ReLU", "Sigmoid", "GELU")
BATCHES, DEPTHS, EPOCHS = range(1, 129), range(1, 7), 10
# of log10 of the rate, log2 of the batch size, depth, log2 of the width, another activation, log10 of rate / batch size
SCALES = numpy.array([0.7, 5.6, 3.1, 10.0, 0.64, 1.5])
NOISE = 0.02  # of what is learned, on its scale
SEED_NOISE = 0.003  # between training seeds, recorded apart

Configuration = tuple[float, int, int, int | None, str | None]


@dataclasses.dataclass(frozen=True)
class Point:
    """What training a configuration comes to.

    Attributes:
        value: accuracy after the last epoch, without the noise of a training seed.
        stop: the epoch after which the hopeless rule ends it, 0 before the first; None where it goes on.
        last: accuracy after that epoch.
        is_recorded: it was trained, and not guessed.
    """

    value: float
    stop: int | None
    last: float
    is_recorded: bool


@functools.cache
def load(path: str) -> dict[Configuration, Point]:
    """Every configuration of the lab's space."""
    rows = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    known = {(r["lr"], r["b"], r["d"], r["w"], r["a"]): _recorded(r) for r in rows if r["seed"] == 0}
    space = [
        *((rate, batch, 0, None, None) for rate in RATES for batch in BATCHES),
        *itertools.product(RATES, BATCHES, DEPTHS, WIDTHS, ACTIVATIONS),
    ]
    near, guessed = _guess(known, [each for each in space if each not in known])
    best = max(point.value for point in known.values())
    unknown = (each for each in space if each not in known)
    found = {
        each: dataclasses.replace(nearest, value=min(max(value, 0.1), best), is_recorded=False)
        for each, nearest, value in zip(unknown, near, guessed, strict=True)
    }
    return {**found, **known}


def _recorded(row: dict[str, Any]) -> Point:
    stop, curve = row.get("stop"), row.get("val") or [0.1]
    last = curve[min(stop, len(curve)) - 1] if stop else curve[-1]
    return Point(curve[-1] if len(curve) == EPOCHS else last, stop, last, True)


def _guess(
    known: dict[Configuration, Point], asked: list[Configuration]
) -> tuple[list[Point], "numpy.ndarray[Any, Any]"]:
    """The nearest recorded point of each, and the expected value."""
    points = list(known.values())
    at, learned = _features(list(known)), -numpy.log(1.02 - numpy.array([point.value for point in points]))
    weights = numpy.linalg.solve(_kernel(_distance(at, at)) + NOISE * numpy.eye(len(at)), learned - learned.mean())
    nearest, values = [], []
    for start in range(0, len(asked), 2000):
        distance = _distance(_features(asked[start : start + 2000]), at)
        nearest += [points[place] for place in distance.argmin(axis=1)]
        values.append(1.02 - numpy.exp(-(learned.mean() + _kernel(distance) @ weights)))
    return nearest, numpy.concatenate(values)


def left_out_error(path: str) -> float:
    """Median error of a trained configuration's accuracy where it is left out."""
    rows = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    known = {(r["lr"], r["b"], r["d"], r["w"], r["a"]): _recorded(r) for r in rows if r["seed"] == 0}
    at = _features(list(known))
    values = numpy.array([point.value for point in known.values()])
    learned = -numpy.log(1.02 - values)
    inverse = numpy.linalg.inv(_kernel(_distance(at, at)) + NOISE * numpy.eye(len(at)))
    without = learned - (inverse @ (learned - learned.mean())) / numpy.diag(inverse)
    return float(numpy.median(abs(1.02 - numpy.exp(-without) - values)[values > 0.7]))


def _features(configurations: list[Configuration]) -> "numpy.ndarray[Any, Any]":
    return numpy.array([_feature(each) for each in configurations])


@functools.cache
def _feature(configuration: Configuration) -> list[float]:
    rate, batch, depth, width, activation = configuration
    kind = ACTIVATIONS.index(activation) if activation else len(ACTIVATIONS)
    return [
        math.log10(rate),
        math.log2(batch),
        depth,
        math.log2(width or 128),
        kind,
        math.log10(rate / batch),
    ]


def _distance(one: "numpy.ndarray[Any, Any]", other: "numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    apart = one[:, None, :] - other[None, :, :]
    apart[..., 4] = apart[..., 4] != 0
    return numpy.sqrt(((apart / SCALES) ** 2).sum(axis=2))


def _kernel(distance: "numpy.ndarray[Any, Any]") -> "numpy.ndarray[Any, Any]":
    """Matern 5/2."""
    far = math.sqrt(5) * distance
    return (1 + far + far * far / 3) * numpy.exp(-far)
