"""The same training as the reference's, in compiled loops near the processor's limit.

A step of batch size 1 through three layers of 128 takes 8.6 us where autograd takes 390 and the lab's loop 580; one of
64 takes 260 us instead of 830 and 2,700 (`search bench`: CPU time of one core of an Intel Xeon with AVX-512, medians of
5, float32, torch 2.15, Numba 0.68). Large steps run at 70 to 80 % of torch's own product of large matrices there.

Unlike the reference: one compiled call runs many steps without Python, and every matrix lies in panels of 32 columns,
so that whatever a product goes through next lies next in memory:

    images, activations h, their slopes, dL/dz (rows = samples)      weights (rows = inputs), and a bias a layer

      columns 0..31      columns 32..63                                outputs 0..31      outputs 32..
      | sample 0     |   | sample 0     |                              | input 0      |   | input 0
      | sample 1     |   | sample 1     |   ...                        | input 1      |   | input 1       ...
      | ...          |   | ...          |                              | ...          |   | ...

The last panel of a matrix has 16 columns where that is enough; padding is zero and stays zero. At batch size 1 panels
of weights are 128 wide, and inputs that are zero are skipped: half of the pixels, and what ReLU has cut off. Images
stay bytes where they are bytes: a quarter of the memory to go through.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import filelock
import numpy

from models import caches, datasets, engine, errors, evaluations, recipes, signals, weights
from models.data import Dataset, order
from models.engines import loops
from models.engines.loops import ACTIVITY, ALIGNMENT, BIAS, INPUTS, KIND, LANES, OUTPUTS, PADDED, PANEL, WEIGHTS, WIDE

log = logging.getLogger(__name__)

SINGLE_PANEL = 128  # columns: at batch size 1 whole rows are read
EVALUATION_LANES = 64  # images at once: their activations stay in the L2
ANNOUNCED_SECONDS = 2.0  # the cache answers sooner
CHUNK_SECONDS = 0.25  # between two looks at whether to stop
ACTIVATIONS = {"ReLU": loops.RELU, "Sigmoid": loops.SIGMOID, "GELU": loops.GELU, None: loops.NONE}


class Cpu:
    """Float32 on one core, with AVX-512 or what the processor has."""

    name = "cpu"

    def __init__(self, device: str = "cpu") -> None:
        if device != "cpu":
            raise errors.DeviceError(f"engine {self.name!r} trains on the cpu only, got device {device!r}")
        self.device = device
        self._data: tuple[Dataset, _Images, _Images] | None = None

    def train(
        self,
        recipe: recipes.Recipe,
        data: Dataset,
        resume: engine.State | None = None,
        *,
        tick: Callable[[], None] | None = None,
        train_accuracy: bool = False,
    ) -> Iterator[engine.Epoch]:
        """See `engine.Engine.train`."""
        if resume is not None and resume.recipe != recipe:
            raise errors.RecipeError(f"state of {resume.recipe} cannot resume {recipe}")
        if self._data is None or self._data[0] is not data:
            self.prepare(data)
        assert self._data is not None
        _, images, evaluated = self._data
        run = self._run(recipe, images, resume.weights if resume else weights.initial(recipe))
        for number in range(resume.epoch + 1 if resume else 1, recipe.epochs + 1):
            losses = run.epoch(number, tick)
            found = run.copied()
            loss, accuracy = run.evaluate(evaluated)
            train_share = run.evaluate(images)[1] if train_accuracy else None

            def state(number: int = number, found: weights.Weights = found) -> engine.State:
                return engine.State(recipe, number, found)

            yield engine.Epoch(number, losses, loss, accuracy, state, train_share)

    def _run(self, recipe: recipes.Recipe, images: "_Images", start: weights.Weights) -> "_Run":
        return _Run(recipe, images, start)

    def prepare(self, data: Dataset) -> None:
        """See `engine.Engine.prepare`."""
        self._data = data, _images(data.train_images, data.train_labels), _images(data.test_images, data.test_labels)
        for images in self._data[1:]:
            _compile(images.pixels.dtype)

    def footprint(self, recipe: recipes.Recipe) -> int:
        """See `engine.Engine.footprint`: weights here, after the epoch and in a checkpoint; buffers of activations."""
        rows = max(recipe.batch_size, EVALUATION_LANES)
        return 4 * (4 * recipe.weights + 6 * rows * sum(recipe.layer_sizes))

    def capacity(self) -> int:
        """See `engine.capacity`: a core each."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare() -> None:
    """Compiles everything now, into Numba's cache: for an image whose containers shall start at once."""
    for kind in (numpy.uint8, numpy.float32):
        _compile(numpy.dtype(kind))


@functools.cache
def _compile(kind: numpy.dtype) -> None:
    """Compiles the loops for one kind of images, or takes them from the cache."""
    images = _blank(kind)
    with compiling(Cpu.name):
        for batch_size in (1, 2):
            recipe = recipes.Recipe(0.1, batch_size, 1, 1, "ReLU")
            run = _Run(recipe, images, weights.initial(recipe))
            run.epoch(1, None)
            run.evaluate(images)
        signals.flows(recipe, run.copied(), images.pixels, images.labels)


def _blank(kind: numpy.dtype) -> "_Images":
    return _Images(numpy.zeros((2, datasets.IMAGE_PIXELS), kind), numpy.zeros(2, numpy.int64))


@contextlib.contextmanager
def compiling(engine: str) -> Iterator[None]:
    """Workers that start together wait for the first: otherwise each would spend the same seconds of all cores."""
    user = os.getuid() if hasattr(os, "getuid") else "all"
    done, said = threading.Event(), threading.Event()

    def say() -> None:
        while not done.wait(ANNOUNCED_SECONDS):
            if caches.missed.is_set():  # else a slow disk or a busy core
                log.info("event=compiling engine=%s note='once, half a minute'", engine)
                said.set()
                return

    threading.Thread(target=say, name="compiling", daemon=True).start()
    try:
        with filelock.FileLock(pathlib.Path(tempfile.gettempdir(), f"search-cpu-engine-{user}.lock")):
            yield
    finally:
        done.set()
    if said.is_set():
        log.info("event=compiled engine=%s", engine)


@dataclasses.dataclass(frozen=True)
class _Images:
    pixels: numpy.ndarray
    labels: numpy.ndarray


def _images(pixels: numpy.ndarray, labels: numpy.ndarray) -> _Images:
    return _Images(numpy.ascontiguousarray(pixels), numpy.ascontiguousarray(labels))


class _Run:
    """The buffers of one training."""

    def __init__(self, recipe: recipes.Recipe, images: _Images, start: weights.Weights) -> None:
        self._recipe, self._images = recipe, images
        # rows of a panel of activations; a single image lies flat
        self._lanes = lanes = 1 if recipe.batch_size == 1 else _padded(min(recipe.batch_size, len(images.labels)))
        self._layers = _table(recipe, lanes)
        last = self._layers[-1]
        self._weights = _buffer(last[BIAS] + last[PADDED])
        self._fill(start)
        widest = int(self._layers[1:, PADDED].max())
        activity = int(last[ACTIVITY] + lanes * last[PADDED])
        self._h, self._slope, self._g = _buffer(activity), _buffer(activity), _buffer(lanes * widest)
        self._flipped, self._deep = _buffer(lanes * widest), _buffer(lanes * widest)
        self._constants = _buffer(PANEL + 1)  # zeros, and a one
        self._constants[PANEL] = 1
        self._index, self._value = numpy.zeros(activity, numpy.int64), _buffer(activity)

    def epoch(self, number: int, tick: Callable[[], None] | None) -> numpy.ndarray:
        """Trains an epoch in chunks; returns the loss of every batch, (steps,) float32."""
        samples = order(self._recipe.seed, number, len(self._images.labels))
        steps = self._recipe.steps_per_epoch(len(self._images.labels))
        losses = numpy.empty(steps, numpy.float32)
        done, chunk = 0, 1
        while done < steps:
            if tick is not None:
                tick()
            started = time.perf_counter()
            until = min(steps, done + chunk)
            self._steps(samples, done, until, losses)
            pace = (time.perf_counter() - started) / (until - done)
            done, chunk = until, max(1, min(2 * chunk, int(CHUNK_SECONDS / max(pace, 1e-9))))
        return losses

    def _steps(self, samples: numpy.ndarray, first: int, last: int, losses: numpy.ndarray) -> None:
        rate = numpy.float32(self._recipe.learning_rate)
        data = (self._images.pixels, self._images.labels, samples, first, last)
        net = (self._layers, self._weights, self._h, self._slope, self._g)
        if self._recipe.batch_size == 1:
            loops.singles(*data, *net, self._deep, self._index, self._value, losses, rate)
        else:
            loops.batches(
                *data,
                self._recipe.batch_size,
                *net,
                self._flipped,
                self._deep,
                self._constants,
                self._lanes,
                losses,
                rate,
            )

    def evaluate(self, images: _Images) -> tuple[float, float]:
        """See `network.evaluate`."""
        layers = _table(self._recipe, EVALUATION_LANES)
        activity = int(layers[-1, ACTIVITY] + EVALUATION_LANES * layers[-1, PADDED])
        h, slope, g = _buffer(activity), _buffer(activity), _buffer(EVALUATION_LANES * layers[-1, PADDED])
        losses, order = numpy.empty(len(images.labels), numpy.float32), numpy.arange(len(images.labels))
        net = (layers, self._weights, h, slope, g)
        right = loops.evaluate(images.pixels, images.labels, order, *net, EVALUATION_LANES, losses)
        return evaluations.mean_of_batches(losses, self._recipe.batch_size), right / len(losses)

    def copied(self) -> weights.Weights:
        """A copy of the weights in PyTorch's form and order."""
        found = []
        for layer in self._layers[1:]:
            inputs, outputs = layer[INPUTS], layer[OUTPUTS]
            whole = self._matrix(layer)
            bias = self._weights[layer[BIAS] : layer[BIAS] + outputs]
            found += [whole[:inputs, :outputs].T.copy(), bias.copy()]
        return tuple(found)

    def _fill(self, start: weights.Weights) -> None:
        for number, layer in enumerate(self._layers[1:]):
            matrix, bias = start[2 * number], start[2 * number + 1]
            inputs, outputs = layer[INPUTS], layer[OUTPUTS]
            whole = numpy.zeros((_padded(inputs), layer[PADDED]), numpy.float32)
            whole[:inputs, :outputs] = matrix.T
            self._set_matrix(layer, whole)
            self._weights[layer[BIAS] : layer[BIAS] + outputs] = bias

    def _matrix(self, layer: numpy.ndarray) -> numpy.ndarray:
        """The weights of a layer with their padding, (inputs, outputs)."""
        whole = numpy.concatenate(list(self._panels(layer)), axis=1)
        return whole if layer[WIDE] else whole.T

    def _set_matrix(self, layer: numpy.ndarray, whole: numpy.ndarray) -> None:
        rest = whole if layer[WIDE] else whole.T
        for panel in self._panels(layer):
            panel[:], rest = rest[:, : panel.shape[1]], rest[:, panel.shape[1] :]

    def _panels(self, layer: numpy.ndarray) -> Iterator[numpy.ndarray]:
        """The weights of a layer as views of its panels: up to 32 or 128 outputs each, or inputs of the top layer."""
        height, padded = _padded(layer[INPUTS]), int(layer[PADDED])
        widest = int(layer[WIDE])
        if not widest:
            height, padded, widest = padded, height, PANEL
        for p in range(0, padded, widest):
            wide = min(widest, padded - p)
            start = int(layer[WEIGHTS]) + p * height
            yield self._weights[start : start + height * wide].reshape(height, wide)


def _table(recipe: recipes.Recipe, lanes: int) -> numpy.ndarray:
    """The layers, a row each, the images first: (depth + 2, 8) int64."""
    sizes = recipe.layer_sizes
    table = numpy.zeros((len(sizes), 8), numpy.int64)
    wide = SINGLE_PANEL if recipe.batch_size == 1 else PANEL
    weights = activity = 0
    for number, size in enumerate(sizes):
        padded = _padded(size)
        row = {OUTPUTS: size, PADDED: padded, ACTIVITY: activity, KIND: ACTIVATIONS[recipe.activation], WIDE: wide}
        activity += lanes * padded
        if number == len(sizes) - 1 and recipe.batch_size > 1:
            row[WIDE] = 0
        if number:
            row[INPUTS] = sizes[number - 1]
            row[WEIGHTS] = weights
            row[BIAS] = weights + _padded(sizes[number - 1]) * padded
            weights = row[BIAS] + padded
        for key, value in row.items():
            table[number, key] = value
    return table


def _padded(size: int) -> int:
    return (int(size) + LANES - 1) // LANES * LANES


def _buffer(size: int) -> numpy.ndarray:
    """Zeros that begin at a cache line."""
    raw = numpy.zeros(size * 4 + ALIGNMENT, numpy.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + 4 * size].view(numpy.float32)
