"""Whether an engine on its device trains as exactly as its numbers allow, which is told by float64."""

import dataclasses
import itertools
from collections.abc import Callable

import numpy
from scipy import special

from models import backends, data, engine, recipes, weights
from models.data import Dataset

ALLOWED = 1.5  # times the yardstick's own distance from float64: rounding alone stays below, TF32 is at some hundred
DIGITS = {"tf32": 11, "bf16": 8}  # binary ones of what is multiplied
NETWORKS: tuple[tuple[int, int | None, str | None], ...] = (
    (0, None, None),
    (1, 33, "ReLU"),
    (3, 17, "GELU"),
    (2, 130, "Sigmoid"),
)
SEEDS = range(5)
BATCH_SIZES = (1, 2, 3, 41, 127, 128)
IMAGES = 137  # a prime: every batch size but 1 leaves a smaller last batch
TRAININGS = len(NETWORKS) * len(SEEDS) * len(BATCH_SIZES)


@dataclasses.dataclass(frozen=True)
class Finding:
    """How far the engine ends from float64 on one network, in distances of its yardstick, over its trainings."""

    depth: int
    width: int | None
    activation: str | None
    losses: float
    weights: float
    precision: str = backends.FLOAT32

    @property
    def agrees(self) -> bool:
        """Whether both are within what rounding explains."""
        return self.losses <= ALLOWED and self.weights <= ALLOWED  # nan is not


def check(engine: engine.Engine, on_training: Callable[[], None] = lambda: None) -> list[Finding]:
    """Trains small networks by the engine, by its yardstick and in float64; a few seconds.

    The yardstick of float32 is autograd on the CPU. That of coarser numbers is float64 with factors rounded to their
    digits: two factors of p binary digits, each rounded by 2^-p of itself at most, have an exact product in
    float32 (2 p <= 24), and a sum in float32 adds 2^-24 where they have 2^-8 or 2^-11 each. So rounding the factors
    explains all of the distance; how large it is depends on the network: it is measured, and no figure stands here.

    Args:
        on_training: called after each of the `TRAININGS`.
    """
    images, precision = data.synthetic(train=IMAGES, test=10), backends.of(engine).precision
    yardstick = _yardstick(precision)
    findings = []
    for network in NETWORKS:
        ours, theirs = [], []
        for seed, batch_size in itertools.product(SEEDS, BATCH_SIZES):
            recipe = recipes.Recipe(0.01, batch_size, *network, epochs=1, seed=seed)
            wanted = truth(recipe, images)
            ours.append(_distance(_trained(engine, recipe, images), wanted))
            theirs.append(_distance(yardstick(recipe, images), wanted))
            on_training()
        ratios = _ratios(numpy.array(ours), numpy.array(theirs), precision)
        findings.append(Finding(*network, float(ratios[0]), float(ratios[1]), precision))
    return findings


def _ratios(ours: numpy.ndarray, theirs: numpy.ndarray, precision: str) -> numpy.ndarray:
    """(2,), of (trainings, 2).

    Coarser numbers are compared training by training: one rounds as the other does. An engine may be float32 where they
    are no faster, as in small batches, half of these trainings: the upper quartile is the middle of the others.
    """
    if precision == backends.FLOAT32:
        return numpy.asarray(numpy.median(ours, axis=0) / numpy.median(theirs, axis=0))
    return numpy.asarray(numpy.quantile(ours / theirs, 0.75, axis=0))


Training = tuple[numpy.ndarray, list[numpy.ndarray]]  # the loss of every batch, and the final weights


def _yardstick(precision: str) -> Callable[[recipes.Recipe, Dataset], Training]:
    if precision != backends.FLOAT32:
        return lambda recipe, images: truth(recipe, images, DIGITS[precision])
    from models.engines import reference  # torch

    autograd = reference.Reference("cpu")
    return lambda recipe, images: _trained(autograd, recipe, images)


def _trained(engine: engine.Engine, recipe: recipes.Recipe, images: Dataset) -> Training:
    *_, epoch = engine.train(recipe, images)
    return epoch.batch_losses, list(epoch.state().weights)


def truth(recipe: recipes.Recipe, images: Dataset, digits: int | None = None) -> Training:
    """The training in float64, written out.

    Args:
        digits: binary ones to which what is multiplied is rounded; None for all that it has.
    """
    found = [weight.astype(numpy.float64) for weight in weights.initial(recipe)]
    inputs, labels = data.pixels(images.train_images).astype(numpy.float64), images.train_labels
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        samples = data.order(recipe.seed, epoch, len(labels))
        for first in range(0, len(samples), recipe.batch_size):
            batch = samples[first : first + recipe.batch_size]
            losses.append(_step(found, inputs[batch], labels[batch], recipe, digits))
    return numpy.array(losses), found


def rounded(values: numpy.ndarray, digits: int | None) -> numpy.ndarray:
    """To so many binary digits, to the nearest, of two the even one; exponents have no end."""
    if digits is None:
        return values
    fraction, exponent = numpy.frexp(values)
    return numpy.asarray(numpy.ldexp(numpy.rint(numpy.ldexp(fraction, digits)), exponent - digits))


def _step(
    found: list[numpy.ndarray], x: numpy.ndarray, labels: numpy.ndarray, recipe: recipes.Recipe, digits: int | None
) -> float:
    """One step of plain SGD on cross-entropy, in place; returns the loss."""

    def product(left: numpy.ndarray, right: numpy.ndarray) -> numpy.ndarray:
        return numpy.asarray(rounded(left, digits) @ rounded(right, digits))

    values, slopes = [x], []
    for matrix, bias in zip(found[:-2:2], found[1:-2:2], strict=True):
        value, slope = _activated(product(values[-1], matrix.T) + bias, recipe.activation)
        values.append(value)
        slopes.append(slope)
    logits = product(values[-1], found[-2].T) + found[-1]
    logits -= special.logsumexp(logits, axis=1, keepdims=True)
    rows = numpy.arange(len(labels))
    loss = -float(logits[rows, labels].mean())
    g = numpy.exp(logits)
    g[rows, labels] -= 1
    g /= len(labels)
    for layer in range(len(values) - 1, -1, -1):
        down = product(g, found[2 * layer]) * slopes[layer - 1] if layer else None
        found[2 * layer] -= recipe.learning_rate * product(g.T, values[layer])
        found[2 * layer + 1] -= recipe.learning_rate * g.sum(axis=0)
        g = down
    return loss


def _activated(z: numpy.ndarray, activation: str | None) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Values and slopes."""
    if activation == "ReLU":
        return numpy.maximum(z, 0), (z > 0).astype(numpy.float64)
    if activation == "Sigmoid":
        value = special.expit(z)
        return value, value * (1 - value)
    below = special.ndtr(z)
    return z * below, below + z * numpy.exp(-z * z / 2) / numpy.sqrt(2 * numpy.pi)


def _distance(found: Training, wanted: Training) -> tuple[float, float]:
    """The largest of losses and of weights."""
    pairs = zip(found[1], wanted[1], strict=True)
    losses = float(numpy.abs(found[0] - wanted[0]).max())
    return losses, max(float(numpy.abs(got - exact).max()) for got, exact in pairs)
