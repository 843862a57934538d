"""What a network makes of images, in float64."""

import numpy
import pytest
import torch
from torch.nn import functional

from models import data, network, signals, weights
from models.recipes import Recipe

SMALL = data.synthetic(train=60, test=10)


@pytest.mark.parametrize("activation", ["ReLU", "Sigmoid", "GELU"])
@pytest.mark.parametrize("depth", [0, 1, 4])
def test_flows_are_those_of_autograd(activation: str, depth: int) -> None:
    """Outputs of all layers, and the slopes of the loss there, agree with PyTorch's in float64."""
    recipe = Recipe(0.1, 8, depth, 33, activation, seed=2)
    net = network.build(recipe).double()
    signal, outputs = network.tensor(SMALL.train_images).double(), []
    for layer in net:
        signal = layer(signal)
        if isinstance(layer, torch.nn.Linear):
            signal.retain_grad()
            outputs.append(signal)
    functional.cross_entropy(signal, torch.from_numpy(SMALL.train_labels)).backward()
    flows = signals.flows(recipe, weights.initial(recipe), SMALL.train_images, SMALL.train_labels)
    assert len(flows) == depth + 1
    assert numpy.array_equal(flows[0][0], SMALL.train_images)
    for (_, output, slope), wanted in zip(flows, outputs, strict=True):
        assert wanted.grad is not None
        numpy.testing.assert_allclose(output, wanted.detach().numpy(), rtol=1e-9, atol=1e-13)
        numpy.testing.assert_allclose(slope, wanted.grad.numpy(), rtol=1e-9, atol=1e-13)
    logits = signals.logits(recipe, weights.initial(recipe), SMALL.train_images)
    numpy.testing.assert_allclose(logits, signal.detach().numpy(), rtol=1e-9, atol=1e-13)


def test_nan_stays_nan() -> None:
    """Weights of a training that has diverged give no numbers that look well."""
    for activation in ("ReLU", "Sigmoid", "GELU"):
        recipe = Recipe(0.1, 8, 2, 5, activation)
        broken = tuple(numpy.full_like(each, numpy.nan) for each in weights.initial(recipe))
        assert numpy.isnan(signals.logits(recipe, broken, SMALL.test_images)).all()
