"""Whether an engine on its device trains as exactly as autograd in its precision does, which is told by float64."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy
from scipy import special

from models import backends, data, engine, recipes, weights
from models.data import Dataset

ALLOWED = 1.5  # times autograd's own distance from float64: rounding alone stays below, TF32 is at some hundred
NETWORKS: tuple[tuple[int, int | None, str | None], ...] = (
    (0, None, None),
    (1, 33, "ReLU"),
    (3, 17, "GELU"),
    (2, 130, "Sigmoid"),
)
SEEDS = range(5)
BATCH_SIZES = (1, 2, 3, 41, 127, 128)
IMAGES = 137  # a prime: every batch size but 1 leaves a smaller last batch
IMAGES_OF_TEAMS, BATCHES_OF_TEAMS = 45, (1, 7, 40)
TRAININGS = len(NETWORKS) * len(SEEDS) * len(BATCH_SIZES)


@dataclasses.dataclass(frozen=True)
class Finding:
    """How far the engine ends from float64 on one network, in distances of autograd: the larger of two medians.

    One is over its trainings with few samples in a batch, the other over those with more.
    """

    depth: int
    width: int | None
    activation: str | None
    losses: float
    weights: float

    @property
    def agrees(self) -> bool:
        """Whether both are within what rounding explains."""
        return self.losses <= ALLOWED and self.weights <= ALLOWED  # nan is not


def check(engine: engine.Engine, on_training: Callable[[], None] = lambda: None) -> list[Finding]:
    """Trains small networks by the engine, by autograd on the CPU in its precision, and in float64; a few seconds.

    Args:
        on_training: called after each of the `TRAININGS`.
    """
    images, autograd = data.synthetic(train=IMAGES, test=10), yardstick(backends.of(engine).precision)
    findings = []
    for network in NETWORKS:
        each: dict[bool, list[list[tuple[float, float]]]] = {True: [], False: []}
        for seed, batch_size in itertools.product(SEEDS, BATCH_SIZES):
            recipe = recipes.Recipe(0.01, batch_size, *network, epochs=1, seed=seed)
            wanted = truth(recipe, images)
            each[batch_size <= backends.FEW].append(
                [_distance(one, recipe, images, wanted) for one in (engine, autograd)]
            )
            on_training()
        ours, theirs = numpy.array([numpy.median(found, axis=0) for found in each.values() if found]).swapaxes(0, 1)
        findings.append(Finding(*network, *map(float, (ours / theirs).max(axis=0))))
    return findings


def yardstick(precision: str) -> engine.Engine:
    """Plain PyTorch on the CPU in a precision.

    Rounding is what it does alike, so that an engine of this precision ends about as far from float64: for factors
    of p digits some 2^(24 - p) times as far as float32. A precision in finer clothes is beyond `ALLOWED` by 2^(p - p').
    """
    from models.engines import reference, rounded  # torch

    return reference.Reference("cpu") if precision == backends.FLOAT32 else rounded.Rounded(precision)


def other_bits(engine: engine.Engine, teams: Sequence[int]) -> list[int]:
    """Those of the sizes of teams that do not end with the bits of one block; a second or less."""
    images = data.synthetic(train=IMAGES_OF_TEAMS, test=10)
    wrong = set()
    for network, batch_size in itertools.product(NETWORKS, BATCHES_OF_TEAMS):
        recipe = recipes.Recipe(0.01, batch_size, *network, epochs=1)
        wanted = _bits(engine, recipe, images)
        wrong |= {team for team in teams if _bits(engine.in_teams(team), recipe, images) != wanted}  # type: ignore[attr-defined]
    return sorted(wrong)


def _bits(engine: engine.Engine, recipe: recipes.Recipe, images: Dataset) -> list[bytes]:
    *_, epoch = engine.train(recipe, images)
    return [each.tobytes() for each in (epoch.batch_losses, *epoch.state().weights)]


def truth(recipe: recipes.Recipe, images: Dataset) -> tuple[numpy.ndarray, list[numpy.ndarray]]:
    """The training in float64, written out: the loss of every batch, and the final weights."""
    found = [weight.astype(numpy.float64) for weight in weights.initial(recipe)]
    inputs, labels = data.pixels(images.train_images).astype(numpy.float64), images.train_labels
    losses = []
    for epoch in range(1, recipe.epochs + 1):
        samples = data.order(recipe.seed, epoch, len(labels))
        for first in range(0, len(samples), recipe.batch_size):
            batch = samples[first : first + recipe.batch_size]
            losses.append(_step(found, inputs[batch], labels[batch], recipe))
    return numpy.array(losses), found


def _step(found: list[numpy.ndarray], x: numpy.ndarray, labels: numpy.ndarray, recipe: recipes.Recipe) -> float:
    """One step of plain SGD on cross-entropy, in place; returns the loss."""
    values, slopes = [x], []
    for matrix, bias in zip(found[:-2:2], found[1:-2:2], strict=True):
        value, slope = _activated(values[-1] @ matrix.T + bias, recipe.activation)
        values.append(value)
        slopes.append(slope)
    logits = values[-1] @ found[-2].T + found[-1]
    logits -= special.logsumexp(logits, axis=1, keepdims=True)
    rows = numpy.arange(len(labels))
    loss = -float(logits[rows, labels].mean())
    g = numpy.exp(logits)
    g[rows, labels] -= 1
    g /= len(labels)
    for layer in range(len(values) - 1, -1, -1):
        down = g @ found[2 * layer] * slopes[layer - 1] if layer else None
        found[2 * layer] -= recipe.learning_rate * (g.T @ values[layer])
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


def _distance(
    engine: engine.Engine,
    recipe: recipes.Recipe,
    images: Dataset,
    wanted: tuple[numpy.ndarray, list[numpy.ndarray]],
) -> tuple[float, float]:
    """The largest of losses and of weights."""
    *_, epoch = engine.train(recipe, images)
    losses = float(numpy.abs(epoch.batch_losses - wanted[0]).max())
    pairs = zip(epoch.state().weights, wanted[1], strict=True)
    return losses, max(float(numpy.abs(got - exact).max()) for got, exact in pairs)
