"""What a training step or an evaluation cannot do without: products, and bytes on their way."""

import dataclasses
import itertools

from models import signals, weights
from models.data import Dataset
from models.engines import cpu
from models.recipes import Recipe

SAMPLES = 1000  # images by which the share of zeros is known


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step or an evaluation cannot do without: see `of_step` and `of_evaluation`.

    Args:
        flops: products and sums of the products of matrices, each counted.
        traffic: bytes that are read, and how much lies together where they come from.
    """

    flops: float
    traffic: tuple[tuple[float, float], ...]


def of_step(recipe: Recipe, data: Dataset) -> Work:
    """A step goes through its weights twice, forward and when they change, and has three products a layer.

    The products: forward, gradients of the weights, and slopes of every layer but the first. The activations are read
    twice as well, and its images once, out of all of them. Weights and activations come from the nearest level that
    holds both. Writes are not counted, nor are activation functions, the loss and random access: it is a lower limit.

    A single image needs the weights of inputs that are not zero, and their products, alone: the share of those is
    counted, at the start of a training. Of several images at once products of whole matrices are counted.
    """
    each = [float(a * b) for a, b in itertools.pairwise(recipe.layer_sizes)]
    held = sum(each) + recipe.batch_size * sum(recipe.layer_sizes)
    if recipe.batch_size == 1:
        each = [size * share for size, share in zip(each, _shares(recipe, data), strict=True)]
    flops = 2.0 * recipe.batch_size * (2 * sum(each) + sum(each[1:]))
    read = sum(each) + recipe.batch_size * sum(recipe.layer_sizes)
    images = data.train_images
    return Work(flops, ((2 * 4.0 * read, 4.0 * held), (recipe.batch_size * images[0].nbytes, images.nbytes)))


def of_evaluation(recipe: Recipe, data: Dataset) -> Work:
    """A product a layer, with the weights once for every group of images that goes through together."""
    each, images = sum(a * b for a, b in itertools.pairwise(recipe.layer_sizes)), data.test_images
    read = each * len(images) / cpu.EVALUATION_LANES + len(images) * sum(recipe.layer_sizes)
    held = each + cpu.EVALUATION_LANES * sum(recipe.layer_sizes)
    return Work(2.0 * len(images) * each, ((4.0 * read, 4.0 * held), (images.nbytes, images.nbytes)))


def _shares(recipe: Recipe, data: Dataset) -> list[float]:
    """Of each layer's inputs, how many are not zero."""
    flows = signals.flows(recipe, weights.initial(recipe), data.train_images[:SAMPLES], data.train_labels[:SAMPLES])
    return [float((inputs != 0).mean()) for inputs, _, _ in flows]
