"""What a network makes of images, in float64: forward, and how the loss depends on every layer."""

import math

import numpy

from models import caches, data, recipes
from models.weights import Weights

KINDS = {"ReLU": 0, "Sigmoid": 1, "GELU": 2}


def logits(recipe: recipes.Recipe, weights: Weights, images: numpy.ndarray) -> numpy.ndarray:
    """Of images of a dataset: (n, 10) float64."""
    signal = data.pixels(images).astype(numpy.float64)
    for number in range(recipe.depth + 1):
        signal = _apply(weights, number, signal)
        if number < recipe.depth:
            _activate(KINDS[str(recipe.activation)], signal.reshape(-1), signal.reshape(-1))
    return signal


def flows(
    recipe: recipes.Recipe, weights: Weights, images: numpy.ndarray, labels: numpy.ndarray
) -> list[tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]]:
    """Of each layer, the first one first, (n, units) each: its input, its output, and the slope of the loss there.

    The loss is the mean cross-entropy.
    """
    kind, signal = KINDS.get(str(recipe.activation), 0), data.pixels(images).astype(numpy.float64)
    inputs, outputs = [], []
    for number in range(recipe.depth + 1):
        inputs.append(signal)
        outputs.append(_apply(weights, number, signal))
        signal = numpy.empty_like(outputs[-1])
        if number < recipe.depth:
            _activate(kind, outputs[-1].reshape(-1), signal.reshape(-1))
    slope = outputs[-1] - outputs[-1].max(axis=1, keepdims=True)
    numpy.exp(slope, out=slope)
    slope /= slope.sum(axis=1, keepdims=True)
    slope[numpy.arange(len(labels)), labels] -= 1
    slope /= len(labels)
    slopes = [slope]
    for number in range(len(inputs) - 1, 0, -1):
        slope = slope @ weights[2 * number].astype(numpy.float64)
        _bend(kind, outputs[number - 1].reshape(-1), slope.reshape(-1))
        slopes.append(slope)
    return list(zip(inputs, outputs, reversed(slopes), strict=True))


def _apply(weights: Weights, number: int, signal: numpy.ndarray) -> numpy.ndarray:
    """A layer's output, before its activation."""
    out: numpy.ndarray = signal @ weights[2 * number].T.astype(numpy.float64)
    out += weights[2 * number + 1]
    return out


@caches.compiled
def _activate(kind, z, h):  # type: ignore[no-untyped-def]
    for i in range(len(z)):
        x = z[i]
        if kind == 0:
            h[i] = x if not x <= 0 else 0.0  # nan stays nan
        elif kind == 1:
            h[i] = 1 / (1 + math.exp(-x))
        else:
            h[i] = 0.5 * x * (1 + math.erf(x * math.sqrt(0.5)))


@caches.compiled
def _bend(kind, z, slope):  # type: ignore[no-untyped-def]
    """Takes slopes back through an activation."""
    for i in range(len(z)):
        x = z[i]
        if kind == 0:
            slope[i] = slope[i] if x > 0 else 0.0
        elif kind == 1:
            h = 1 / (1 + math.exp(-x))
            slope[i] *= h * (1 - h)
        else:
            share = 0.5 * (1 + math.erf(x * math.sqrt(0.5)))
            slope[i] *= share + x * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
