"""How a network lies in the memory of a device, and what a block is told: the structures of kernels.cu."""

import dataclasses
import itertools

import numpy

from models import recipes, weights
from models.datasets import CLASSES, IMAGE_PIXELS

VECTOR = 4  # floats that are read at once; columns are padded to it
PIECE = 128  # images of an evaluation at once, at least
CODES = {"ReLU": 0, "Sigmoid": 1, "GELU": 2, None: 0}

IMAGES = numpy.dtype(
    [("pixels", "u8"), ("labels", "u8"), ("count", "i4"), ("bytes", "i4")],
    align=True,
)
JOB = numpy.dtype(
    [
        ("train", IMAGES),
        ("test", IMAGES),
        *((name, "u8") for name in ("order", "weights", "work", "losses", "found")),
        ("nanoseconds", "i8"),
        *((name, "i4") for name in ("done", "steps", "batch", "depth", "width", "padded", "activation", "rows")),
        ("rate", "f4"),
        *((name, "i4") for name in ("team", "member", "arrived", "over")),
    ],
    align=True,
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the weights of a network lie, and how much room its training takes.

    Args:
        images: the largest batch there can be.
    """

    recipe: recipes.Recipe
    images: int

    @property
    def padded(self) -> int:
        """Columns of a hidden layer."""
        return _padded(self.recipe.width or 0)

    @property
    def rows(self) -> int:
        """Samples that there is room for."""
        return max(PIECE, min(self.recipe.batch_size, self.images))

    @property
    def floats(self) -> int:
        """Of the weights with their padding."""
        return sum((inputs + 1) * _padded(outputs) for inputs, outputs in itertools.pairwise(self.recipe.layer_sizes))

    @property
    def work(self) -> int:
        """Floats of activations, slopes and gradients."""
        lanes = IMAGE_PIXELS + 2 * self.recipe.depth * self.padded + 2 * max(self.padded, _padded(CLASSES)) + 1
        return self.rows * lanes

    def pack(self, found: weights.Weights) -> numpy.ndarray:
        """Weights in PyTorch's form as they lie on the device, (floats,)."""
        parts = []
        for matrix, bias in zip(found[::2], found[1::2], strict=True):
            outputs, inputs = matrix.shape
            whole = numpy.zeros((inputs + 1, _padded(outputs)), numpy.float32)
            whole[:inputs, :outputs], whole[inputs, :outputs] = matrix.T, bias
            parts.append(whole.reshape(-1))
        return numpy.concatenate(parts)

    def unpack(self, flat: numpy.ndarray) -> weights.Weights:
        """A copy of weights as they lie on the device, in PyTorch's form."""
        found, at = [], 0
        for inputs, outputs in itertools.pairwise(self.recipe.layer_sizes):
            size = (inputs + 1) * _padded(outputs)
            whole = flat[at : at + size].reshape(inputs + 1, _padded(outputs))
            found += [whole[:inputs, :outputs].T.copy(), whole[inputs, :outputs].copy()]
            at += size
        return tuple(found)


def _padded(columns: int) -> int:
    return -(-columns // VECTOR) * VECTOR
