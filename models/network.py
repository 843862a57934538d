"""The MLP in PyTorch, and how the lab evaluates it."""

import itertools

import numpy
import torch
from torch import nn
from torch.nn import functional

from models import data, recipes
from models.weights import Weights, initial

# F.gelu's default is the exact form with erf, which is what the lab's nn.GELU() computes.
ACTIVATIONS = {"ReLU": nn.ReLU, "Sigmoid": nn.Sigmoid, "GELU": nn.GELU}
EVALUATION_ROWS = 2_000


def build(recipe: recipes.Recipe, weights: Weights | None = None) -> nn.Sequential:
    """The network of `recipe` with `weights`, or its initial ones: `(n, 784)` images to `(n, 10)` logits."""
    sizes = recipe.layer_sizes
    layers: list[nn.Module] = []
    for index, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        if index > 0:
            layers.append(ACTIVATIONS[str(recipe.activation)]())
        # skip_init: the default initialisation would draw from the global generator for nothing
        layers.append(nn.utils.skip_init(nn.Linear, fan_in, fan_out))
    network = nn.Sequential(*layers)
    load(network, initial(recipe) if weights is None else weights)
    return network


def load(network: nn.Module, weights: Weights) -> None:
    """Copies `weights` into the network, in the order of `weights.initial`."""
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))


def tensor(images: numpy.ndarray) -> torch.Tensor:
    """Images of a dataset as the network takes them: (n, 784) float32 in [0, 1]."""
    return torch.from_numpy(data.pixels(images))


def evaluate(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, batch_size: int) -> tuple[float, float]:
    """The lab's two figures: mean of the batch losses, and accuracy.

    The lab feeds consecutive batches of `batch_size` and averages their mean losses, so a smaller last batch
    weighs as much as a full one. Here the images go through in larger pieces and the losses are grouped afterwards:
    the same figures up to float32 rounding, without 10,000 calls at batch size 1.

    Args:
        images: (n, 784) float32.
        labels: (n,) int64.

    Returns:
        `(loss, accuracy)`, accuracy from 0 to 1.
    """
    losses, correct = [], 0
    with torch.inference_mode():
        for rows, targets in zip(images.split(EVALUATION_ROWS), labels.split(EVALUATION_ROWS), strict=True):
            logits = network(rows)
            losses.append(functional.cross_entropy(logits, targets, reduction="none"))
            correct += int((logits.argmax(dim=1) == targets).sum())
        each = torch.cat(losses).double()
        batches = torch.stack([batch.mean() for batch in each.split(batch_size)])
    return float(batches.mean()), correct / len(labels)
