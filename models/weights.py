"""The weights that all engines start from."""

import itertools
import math

import numpy

from models import recipes
from models.generators import Generator

Weights = tuple[numpy.ndarray, ...]


def initial(recipe: recipes.Recipe) -> Weights:
    """PyTorch's default for `nn.Linear`: weight and bias uniform in +-1/sqrt(fan_in).

    Drawn layer by layer from one generator, which gives the bits of `torch.manual_seed(seed)` followed by building the
    layers.

    Returns:
        `W1 (out, in), b1 (out,), W2, b2, ...`, float32, `2 * (depth + 1)` arrays.
    """
    generator = Generator(recipe.seed)
    found = []
    for fan_in, fan_out in itertools.pairwise(recipe.layer_sizes):
        # as kaiming_uniform_(a=sqrt(5)) comes by it: 1/sqrt(fan_in), but for its last bit
        steep = math.sqrt(3.0) * (math.sqrt(2.0 / (1 + math.sqrt(5) ** 2)) / math.sqrt(fan_in))
        bound = 1 / math.sqrt(fan_in)
        found.append(generator.uniform(fan_out * fan_in, -steep, steep).reshape(fan_out, fan_in))
        found.append(generator.uniform(fan_out, -bound, bound))
    return tuple(found)
