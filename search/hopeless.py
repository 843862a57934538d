"""Tells a network that cannot learn from one that is only slow, by two cheap signals on a probe batch."""

import math

import torch
from torch.nn import functional

from models import data as datasets
from models import engine, network
from models import recipe as recipes

# Fitted on 34 trained configurations of the lab's space (docs/decisions/0004-hopeless-trials.md).
PROBE_IMAGES = 2_048
MOVE_LIMIT = 3e-4
SPREAD_LIMIT = 1.03
ACCURACY_LIMIT = 0.115
CLASSES_LIMIT = 2


class Hopeless:
    """The rule for one trial.

    `before` prunes where an epoch of gradient steps cannot move some layer: with `move` = learning rate x steps per
    epoch x the least |grad W| / |W| over the layers at initialisation. `after` prunes where the first epoch left the
    outputs as flat as they began: `spread` = standard deviation of the logits across images, relative to the start.
    """

    def __init__(self, recipe: recipes.Recipe, data: datasets.Dataset) -> None:
        self._recipe = recipe
        self._images = data.train_images[:PROBE_IMAGES]
        self._labels = data.train_labels[:PROBE_IMAGES]
        self._steps = recipe.steps_per_epoch(len(data.train_images))
        self._start_spread = math.nan

    def before(self) -> str | None:
        """The reason to prune before any training, or None."""
        net = network.build(self._recipe).to(self._images.device)
        logits = net(self._images)
        self._start_spread = _spread(logits.detach())
        functional.cross_entropy(logits, self._labels).backward()
        shifts = [
            float(weight.grad.norm() / weight.detach().norm())
            for weight in net.parameters()
            if weight.dim() == 2 and weight.grad is not None
        ]
        move = self._recipe.learning_rate * self._steps * min(shifts)
        if move >= MOVE_LIMIT:
            return None
        return f"hopeless before training: move {move:.1e} is below {MOVE_LIMIT:.0e}"

    def after(self, epoch: engine.Epoch) -> str | None:
        """The reason to prune after an epoch, or None. `before` must have been asked first."""
        if not math.isfinite(epoch.loss):
            return f"diverged: avg loss is {epoch.loss} after epoch {epoch.number}"
        if epoch.number != 1 or epoch.accuracy > ACCURACY_LIMIT:
            return None
        net = network.build(self._recipe, epoch.state().weights).to(self._images.device)
        with torch.inference_mode():
            logits = net(self._images)
        classes = len(logits.argmax(dim=1).unique())
        spread = _spread(logits) / self._start_spread
        if classes > CLASSES_LIMIT or spread >= SPREAD_LIMIT:
            return None
        return (
            f"hopeless after epoch 1: accuracy {epoch.accuracy:.4f}, classes predicted {classes}, "
            f"outputs spread {spread:.3f} x the initial, below {SPREAD_LIMIT}"
        )


def _spread(logits: torch.Tensor) -> float:
    """Standard deviation across images, averaged over the classes; logits (n, 10)."""
    return float(logits.std(dim=0).mean())
