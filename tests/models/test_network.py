import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from models import data, network, weights
from models.recipes import Recipe


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_initial_weights_are_pytorchs_default(depth: int) -> None:
    """The weights are, bit for bit, what the lab's notebook gets from torch.manual_seed and nn.Linear."""
    recipe = Recipe(0.1, 64, depth, 33, "ReLU", seed=7)
    torch.manual_seed(7)
    sizes = recipe.layer_sizes
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    expected = [p for layer in layers for p in layer.parameters()]
    found = weights.initial(recipe)
    assert len(found) == 2 * (depth + 1)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.tobytes() == theirs.detach().numpy().tobytes()


def test_building_leaves_the_global_generator_alone() -> None:
    """Training a network does not disturb anybody's random numbers."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    network.build(Recipe(0.1, 64, 3, 16, "GELU"))
    assert torch.equal(before, torch.get_rng_state())


def test_layers_follow_the_lab() -> None:
    """Depth hidden layers with their activation, then a linear one; depth 0 is one linear layer."""
    kinds = [type(layer).__name__ for layer in network.build(Recipe(0.1, 64, 2, 16, "Sigmoid"))]
    assert kinds == ["Linear", "Sigmoid", "Linear", "Sigmoid", "Linear"]
    assert [type(layer).__name__ for layer in network.build(Recipe(0.1, 64, 0))] == ["Linear"]


@pytest.mark.parametrize("batch_size", [1, 7, 64, 10_000])
def test_evaluation_is_the_labs(batch_size: int) -> None:
    """Loss is the plain mean over batches, a short last one weighing as much as the others; accuracy over images."""
    small = data.synthetic(test=150)
    images, targets = network.tensor(small.test_images), torch.from_numpy(small.test_labels)
    net = network.build(Recipe(0.1, 64, 1, 16, "ReLU"))
    losses, correct = [], 0
    with torch.no_grad():
        for start in range(0, 150, batch_size):
            rows, labels = images[start : start + batch_size], targets[start : start + batch_size]
            logits = net(rows)
            losses.append(functional.cross_entropy(logits, labels).item())
            correct += (logits.argmax(1) == labels).sum().item()
    loss, accuracy = network.evaluate(net, images, targets, batch_size)
    assert loss == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert accuracy == correct / 150
