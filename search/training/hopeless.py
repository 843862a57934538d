"""Tells a network that cannot learn from one that is only slow, by how fast its signal can grow.

The signal is what an image makes of the logits beyond their mean: its spread. A network learns when the spread has
grown by orders of magnitude; docs/decisions/0007-hopeless-growth.md derives the bounds used here and validates them.
"""

import math
from typing import Any

import numpy

from models import engine, recipes, signals, weights
from models.data import Dataset

PROBE_IMAGES = 2_048
# Log-growth of the spread, over all epochs that are left, below which a network is given up: where growth feeds on
# itself as it does in deep networks, 1/4 is less than a third more, at any depth.
GROWTH_LIMIT = 0.25
# Fewer hidden layers have no plateau: their last layers learn at once, whatever the first do.
PLATEAU_DEPTH = 3
TINY = 1e-300  # a network that gives the same for every image has no spread


class Hopeless:
    """The rule for one trial: `before` its training, then `after` each epoch in turn.

    Args:
        memory: what the rule knew when the training was interrupted, in place of `before`.
    """

    def __init__(self, recipe: recipes.Recipe, data: Dataset, memory: list[Any] | None = None) -> None:
        self._recipe = recipe
        self._images = data.train_images[:PROBE_IMAGES]
        self._labels = data.train_labels[:PROBE_IMAGES]
        self._steps = recipe.steps_per_epoch(len(data.train_images))
        self._spread: float | None = None
        self._rates: list[float] = []
        self._alive = recipe.depth < PLATEAU_DEPTH
        if memory is not None:
            self._spread, self._rates, self._alive = memory

    @property
    def memory(self) -> list[Any]:
        """What the rule knows now; it survives JSON."""
        return [self._spread, list(self._rates), self._alive]

    def before(self) -> str | None:
        """The reason to prune before any training, or None."""
        gain, self._spread = growth(self._recipe, weights.initial(self._recipe), self._images, self._labels)
        return reason_before(self._recipe.learning_rate * self._steps * gain, self._recipe.epochs)

    def after(self, epoch: engine.Epoch) -> str | None:
        """The reason to prune after an epoch, or None."""
        if not math.isfinite(epoch.loss):
            return f"diverged: avg loss is {epoch.loss} after epoch {epoch.number}"
        if self._alive or 2 * epoch.number > self._recipe.epochs:
            return None
        before, (self._spread, classes) = self._spread, spread(self._recipe, epoch.state().weights, self._images)
        if classes > 1:  # it tells images apart: never judged again
            self._alive = True
            return None
        # the first epoch says little: the random spread of the start must fade before the learned one shows
        if before is not None and epoch.number > 1:
            self._rates.append(log_growth(before, self._spread))
        return reason_after(self._rates, epoch.number, self._recipe.epochs)


def footprint(recipe: recipes.Recipe) -> int:
    """Bytes that the rule takes: activations and gradients of its images in float64, 250 MB at depth 6, width 512."""
    return 8 * (4 * PROBE_IMAGES * sum(recipe.layer_sizes) + 3 * recipe.weights)


def reason_before(rate: float, epochs: int) -> str | None:
    """The reason to prune at a highest possible rate of log-growth per epoch, or None."""
    if rate * epochs >= GROWTH_LIMIT:
        return None
    return f"hopeless before training: the signal can grow by {100 * rate:.2g} % an epoch at most, over {epochs}"


def reason_after(rates: list[float], number: int, epochs: int) -> str | None:
    """The reason to prune a network that predicts one class for every image, or None.

    Args:
        rates: log-growth of the spread in each epoch from the second on.
        number: how many epochs are done.
    """
    if not rates or max(rates) * (epochs - number) >= GROWTH_LIMIT:
        return None
    return (
        f"hopeless after epoch {number}: one class for all images, and the signal grows by {100 * max(rates):.2g} % "
        "an epoch"
    )


def log_growth(before: float, after: float) -> float:
    """Log of how much a spread has grown."""
    return math.log(max(after, TINY) / max(before, TINY))


def growth(
    recipe: recipes.Recipe, at: weights.Weights, images: numpy.ndarray, labels: numpy.ndarray
) -> tuple[float, float]:
    """Bound on the log-growth of the spread per unit of learning rate x steps, at these weights; and the spread.

    The sum over layers of |G| / (|W x| / |x|): how fast the layer's gain for the signal x could grow if the gradient
    were aligned with it. Both are centred over the images: what they have in common the biases learn at once.
    """
    total = 0.0
    flows = signals.flows(recipe, at, images, labels)
    for flow in flows:
        x, y, slope = (each - each.mean(axis=0) for each in flow)
        size, gained = float(numpy.linalg.norm(x)), float(numpy.linalg.norm(y))
        total += float(numpy.linalg.norm(slope.T @ x)) * size / gained if gained > 0 else 0.0
    return total, _spread(flows[-1][1])


def spread(recipe: recipes.Recipe, at: weights.Weights, images: numpy.ndarray) -> tuple[float, int]:
    """Standard deviation of the logits across images, averaged over the classes; and how many classes are predicted."""
    logits = signals.logits(recipe, at, images)
    return _spread(logits), len(numpy.unique(logits.argmax(axis=1)))


def _spread(logits: numpy.ndarray) -> float:
    return float(logits.std(axis=0, ddof=1).mean())
