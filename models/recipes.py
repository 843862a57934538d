"""Everything that decides one training, frozen."""

import dataclasses
import itertools
import math

from models import datasets, errors

ACTIVATIONS = ("ReLU", "Sigmoid", "GELU")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training of one MLP with plain SGD.

    Two equal recipes give the same numbers, bit for bit, on one engine, device and thread count.
    At depth 0 the network is one linear layer: `width` and `activation` become None whatever was given,
    so that recipes that mean the same are equal.

    Raises:
        errors.RecipeError: a value is of the wrong type or outside its range.
    """

    learning_rate: float
    batch_size: int
    depth: int
    width: int | None = None
    activation: str | None = None
    epochs: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.learning_rate, (int, float)) and 0 < self.learning_rate < math.inf):
            raise errors.RecipeError(f"recipe.learning_rate must be a finite number > 0, got {self.learning_rate!r}")
        _at_least("batch_size", self.batch_size, 1)
        _at_least("depth", self.depth, 0)
        _at_least("epochs", self.epochs, 1)
        _at_least("seed", self.seed, 0)
        if self.depth == 0:
            object.__setattr__(self, "width", None)
            object.__setattr__(self, "activation", None)
            return
        _at_least("width", self.width, 1)
        if self.activation not in ACTIVATIONS:
            raise errors.RecipeError(
                f"recipe.activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer from the image to the classes: `depth + 2` numbers."""
        hidden = () if self.width is None else (self.width,) * self.depth
        return (datasets.IMAGE_PIXELS, *hidden, datasets.CLASSES)

    @property
    def weights(self) -> int:
        """Weights and biases of the network."""
        return sum((inputs + 1) * outputs for inputs, outputs in itertools.pairwise(self.layer_sizes))

    def steps_per_epoch(self, images: int) -> int:
        """Mini-batches that cover `images` images once, the last one possibly smaller."""
        return math.ceil(images / self.batch_size)


def _at_least(name: str, value: object, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise errors.RecipeError(f"recipe.{name} must be an integer >= {low}, got {value!r}")
