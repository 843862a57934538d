"""The reference with rounded factors: what TF32 or bf16 with float32 sums comes to, on any CPU."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from models import backends, network, recipes, weights
from models.engines import reference


class Rounded(reference.Reference):
    """Plain PyTorch on the CPU that rounds each factor of products with more samples than `backends.FEW`, both ways.

    Products and sums are float32, and so are weights, biases and their gradients. It is the yardstick of engines
    that round so: slow, and nobody's engine by name.

    Args:
        precision: "tf32" or "bf16".
    """

    def __init__(self, precision: str) -> None:
        super().__init__("cpu")
        self.precision = precision

    def network(self, recipe: recipes.Recipe, start: weights.Weights | None) -> nn.Module:
        """See `Reference.network`."""
        layers = network.build(recipe, start)
        return nn.Sequential(
            *[_Linear(each, self.precision) if isinstance(each, nn.Linear) else each for each in layers]
        )


def tf32(values: torch.Tensor) -> torch.Tensor:
    """To eleven digits, ties away from zero as a GPU's cvt.rna has them; float32 of the same shape."""
    nearest = (values.contiguous().view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)
    return torch.where(values.isfinite(), nearest, values)


def bf16(values: torch.Tensor) -> torch.Tensor:
    """To eight digits, ties to even; float32 of the same shape."""
    return values.bfloat16().float()


ROUNDINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"tf32": tf32, "bf16": bf16}


class _Linear(nn.Module):
    def __init__(self, layer: nn.Linear, precision: str) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self._multiply = functools.partial(_Product.apply, ROUNDINGS[precision])

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if len(h) <= backends.FEW:
            return functional.linear(h, self.weight, self.bias)
        product: torch.Tensor = self._multiply(h, self.weight)
        return product + self.bias


class _Product(torch.autograd.Function):
    """(n, inputs) by (outputs, inputs) to (n, outputs)."""

    @staticmethod
    def forward(context: Any, rounded: Callable[[torch.Tensor], torch.Tensor], h: Any, weight: Any) -> Any:
        h, weight = rounded(h), rounded(weight)
        context.rounded = rounded
        context.save_for_backward(h, weight)
        return h @ weight.T

    @staticmethod
    def backward(context: Any, *gradients: Any) -> Any:
        h, weight = context.saved_tensors
        gradient = context.rounded(gradients[0])
        return None, gradient @ weight, gradient.T @ h
