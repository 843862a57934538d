"""The CPU engine with products in bf16, on processors that have them: 1.7 times as fast at width 512."""

import functools

import numpy

from models import errors, recipes, weights
from models.data import Dataset
from models.engines import cpu, kernels, pair_loops
from models.engines.loops import LANES, PADDED
from models.engines.pair_loops import ACROSS, BOTH, COLUMNS, DOWN, LEFT, PAIRS

FEW, NARROW = 8, 24  # float32 is as fast: up to so many samples of a batch, in layers less wide than that


class CpuBf16(cpu.Cpu):
    """Float32 weights and sums, factors of eight binary digits, on one core that multiplies them in pairs.

    In small batches, in narrow layers and without a hidden one it is the float32 engine, to the last bit.
    """

    name = "cpu-bf16"
    precision = "bf16"

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        check()

    def prepare(self, data: Dataset) -> None:
        """See `engine.Engine.prepare`."""
        super().prepare(data)
        for images in (data.train_images, data.test_images):
            _compile(images.dtype)

    def footprint(self, recipe: recipes.Recipe) -> int:
        """See `engine.Engine.footprint`: the float32 engine's, and weights, values and slopes as pairs."""
        rows = recipe.batch_size
        return super().footprint(recipe) + 4 * recipe.weights + 6 * rows * sum(recipe.layer_sizes)

    def _run(self, recipe: recipes.Recipe, images: cpu._Images, start: weights.Weights) -> cpu._Run:
        return (_Run if is_paired(recipe) else cpu._Run)(recipe, images, start)


def is_paired(recipe: recipes.Recipe) -> bool:
    """Whether a recipe's products are of bf16."""
    return recipe.depth > 0 and recipe.batch_size > FEW and (recipe.width or 0) >= NARROW


def check() -> None:
    """Whether this processor has what the engine needs.

    Raises:
        errors.DeviceError: it has not.
    """
    if not kernels.HAS_BF16:
        raise errors.DeviceError("engine 'cpu-bf16' needs a processor with avx512_bf16, which this one has not")


@functools.cache
def _compile(kind: numpy.dtype) -> None:
    """As `cpu._compile`."""
    recipe = recipes.Recipe(0.1, FEW + 1, 1, 1, "ReLU")
    with cpu.compiling(CpuBf16.name):
        _Run(recipe, cpu._blank(kind), weights.initial(recipe)).epoch(1, None)


class _Run(cpu._Run):
    """The buffers of one training, and its weights as pairs beside them."""

    def __init__(self, recipe: recipes.Recipe, images: cpu._Images, start: weights.Weights) -> None:
        super().__init__(recipe, images, start)
        lanes, buffer = self._lanes, cpu._buffer
        self._layers = layers = _table(self._layers, lanes)
        highest = layers[-2]  # its weights' pairs are the last; of its values there are none
        self._packed = buffer(highest[DOWN] + highest[PAIRS] * layers[-3, PADDED])
        self._left, self._both = buffer(highest[LEFT]), buffer(highest[BOTH])
        widest = layers[1:-1].max(axis=0)
        self._g_left, self._g_both = buffer(lanes * widest[PAIRS]), buffer(lanes // 2 * widest[PADDED])
        pair_loops.pack(layers, self._weights, self._packed)

    def _steps(self, samples: numpy.ndarray, first: int, last: int, losses: numpy.ndarray) -> None:
        pair_loops.batches(
            self._images.pixels,
            self._images.labels,
            samples,
            first,
            last,
            self._recipe.batch_size,
            self._layers,
            self._weights,
            self._packed,
            self._h,
            self._slope,
            self._g,
            self._deep,
            self._left,
            self._both,
            self._g_left,
            self._g_both,
            self._constants,
            self._lanes,
            losses,
            numpy.float32(self._recipe.learning_rate),
        )


def _table(layers: numpy.ndarray, lanes: int) -> numpy.ndarray:
    """The layers with where their pairs are: (depth + 2, 13) int64."""
    table = numpy.zeros((len(layers), COLUMNS), numpy.int64)
    table[:, : layers.shape[1]] = layers
    table[:, PAIRS] = (layers[:, PADDED] // 2 + LANES - 1) // LANES * LANES
    left = both = packed = 0
    for number, layer in enumerate(table[:-1]):
        layer[LEFT], layer[BOTH] = left, both
        left, both = left + lanes * layer[PAIRS], both + lanes // 2 * layer[PADDED]
        if number:
            below = table[number - 1]
            layer[ACROSS] = packed
            layer[DOWN] = packed + below[PAIRS] * layer[PADDED]
            packed = layer[DOWN] + layer[PAIRS] * below[PADDED]
    return table
