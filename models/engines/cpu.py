"""The same training as the reference's, in compiled loops near the processor's limit. See docs/measurements.md.

Unlike the reference: weights lie as (inputs, outputs) in panels of 128 columns, padded with zeros to whole vectors;
one compiled call runs many steps without Python; at batch size 1 pixels and activations that are zero are skipped.
"""

import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import filelock
import numpy
import torch

from models import data as datasets
from models import engine, errors, network
from models import recipe as recipes
from models.engines import loops
from models.engines.loops import ACTIVITY, ALIGNMENT, BIAS, INPUTS, KIND, LANES, OUTPUTS, PADDED, PANEL, WEIGHTS

CHUNK_SECONDS = 0.25  # between two looks at whether to stop
ACTIVATIONS = {"ReLU": loops.RELU, "Sigmoid": loops.SIGMOID, "GELU": loops.GELU, None: loops.NONE}


class Cpu:
    """Float32 on one core, with AVX-512 or what the processor has."""

    name = "cpu"

    def __init__(self, device: str = "cpu") -> None:
        if device != "cpu":
            raise errors.DeviceError(f"engine 'cpu' trains on the cpu only, got device {device!r}")
        self.device = device
        self._compact: tuple[datasets.Dataset, numpy.ndarray] | None = None

    def train(
        self,
        recipe: recipes.Recipe,
        data: datasets.Dataset,
        resume: engine.State | None = None,
        *,
        tick: Callable[[], None] | None = None,
        train_accuracy: bool = False,
    ) -> Iterator[engine.Epoch]:
        """See `engine.Engine.train`."""
        if resume is not None and resume.recipe != recipe:
            raise errors.RecipeError(f"state of {resume.recipe} cannot resume {recipe}")
        if self._compact is None or self._compact[0] is not data:
            self._compact = data, _compact(data.train_images)
        images, labels = self._compact[1], data.train_labels.numpy()
        _compile(images.dtype)
        run = _Run(recipe, images, labels, resume.weights if resume else network.initial_weights(recipe))
        for number in range(resume.epoch + 1 if resume else 1, recipe.epochs + 1):
            losses = run.epoch(number, tick)
            weights = run.weights()
            net = network.build(recipe, weights)
            loss, accuracy = network.evaluate(net, data.test_images, data.test_labels, recipe.batch_size)
            train = None
            if train_accuracy:
                train = network.evaluate(net, data.train_images, data.train_labels, recipe.batch_size)[1]

            def state(number: int = number, weights: network.Weights = weights) -> engine.State:
                return engine.State(recipe, number, weights)

            yield engine.Epoch(number, losses, loss, accuracy, state, train)


@functools.cache
def _compile(kind: numpy.dtype) -> None:
    """Compiles the loops for one kind of images, or takes them from the cache.

    Workers that start together wait for the first: otherwise each would spend the same seconds of all cores.
    """
    images, labels = numpy.zeros((2, recipes.IMAGE_PIXELS), kind), numpy.zeros(2, numpy.int64)
    user = os.getuid() if hasattr(os, "getuid") else "all"
    with filelock.FileLock(pathlib.Path(tempfile.gettempdir(), f"search-cpu-engine-{user}.lock")):
        for batch_size in (1, 2):
            recipe = recipes.Recipe(0.1, batch_size, 1, 1, "ReLU")
            _Run(recipe, images, labels, network.initial_weights(recipe)).epoch(1, None)


class _Run:
    """The buffers of one training."""

    def __init__(
        self, recipe: recipes.Recipe, images: numpy.ndarray, labels: numpy.ndarray, weights: network.Weights
    ) -> None:
        self._recipe, self._images, self._labels = recipe, images, labels
        self._batch = min(recipe.batch_size, len(self._images))
        self._layers = _table(recipe, self._batch)
        last = self._layers[-1]
        self._weights = _buffer(last[BIAS] + last[PADDED])
        self._fill(weights)
        lanes = _padded(self._batch)
        widest = int(self._layers[:, PADDED].max())
        activity = int(last[ACTIVITY] + self._batch * last[PADDED])
        self._h, self._slope, self._g = _buffer(activity), _buffer(activity), _buffer(self._batch * widest)
        self._flipped, self._deep = _buffer(widest * lanes), _buffer(widest * lanes)
        self._zeros = _buffer(8 * LANES)
        self._index, self._value = numpy.zeros(activity, numpy.int64), _buffer(activity)

    def epoch(self, number: int, tick: Callable[[], None] | None) -> numpy.ndarray:
        """Trains an epoch in chunks; returns the loss of every batch, (steps,) float32."""
        order = datasets.order(self._recipe.seed, number, len(self._images)).numpy()
        steps = self._recipe.steps_per_epoch(len(self._images))
        losses = numpy.empty(steps, numpy.float32)
        done, chunk = 0, 1
        while done < steps:
            if tick is not None:
                tick()
            started = time.perf_counter()
            until = min(steps, done + chunk)
            self._steps(order, done, until, losses)
            pace = (time.perf_counter() - started) / (until - done)
            done, chunk = until, max(1, min(2 * chunk, int(CHUNK_SECONDS / max(pace, 1e-9))))
        return losses

    def _steps(self, order: numpy.ndarray, first: int, last: int, losses: numpy.ndarray) -> None:
        rate = numpy.float32(self._recipe.learning_rate)
        data = (self._images, self._labels, order, first, last)
        net = (self._layers, self._weights, self._h, self._slope, self._g)
        if self._recipe.batch_size == 1:
            loops.singles(*data, *net, self._deep, self._index, self._value, losses, rate)
        else:
            loops.batches(*data, self._recipe.batch_size, *net, self._flipped, self._deep, self._zeros, losses, rate)

    def weights(self) -> network.Weights:
        """A copy of the weights in PyTorch's form and order."""
        found = []
        for layer in self._layers[1:]:
            inputs, outputs, padded = (int(layer[k]) for k in (INPUTS, OUTPUTS, PADDED))
            whole = numpy.empty((inputs, padded), numpy.float32)
            for p in range(0, padded, PANEL):
                wide = min(PANEL, padded - p)
                start = int(layer[WEIGHTS]) + p * inputs
                whole[:, p : p + wide] = self._weights[start : start + inputs * wide].reshape(inputs, wide)
            bias = self._weights[layer[BIAS] : layer[BIAS] + outputs]
            found += [torch.from_numpy(whole[:, :outputs].T.copy()), torch.from_numpy(bias.copy())]
        return tuple(found)

    def _fill(self, weights: network.Weights) -> None:
        for number, layer in enumerate(self._layers[1:]):
            matrix, bias = weights[2 * number].numpy(), weights[2 * number + 1].numpy()
            inputs, outputs, padded = (int(layer[k]) for k in (INPUTS, OUTPUTS, PADDED))
            whole = numpy.zeros((inputs, padded), numpy.float32)
            whole[:, :outputs] = matrix.T
            for p in range(0, padded, PANEL):
                wide = min(PANEL, padded - p)
                start = int(layer[WEIGHTS]) + p * inputs
                self._weights[start : start + inputs * wide] = whole[:, p : p + wide].ravel()
            self._weights[layer[BIAS] : layer[BIAS] + outputs] = bias


def _compact(images: torch.Tensor) -> numpy.ndarray:
    """The images as bytes, a quarter of the memory to go through, where nothing is lost by it; else as they are."""
    pixels = images.mul(255).round_().clamp_(0, 255).byte()
    return (pixels if torch.equal(pixels.float().div_(255), images) else images.contiguous()).numpy()


def _table(recipe: recipes.Recipe, batch: int) -> numpy.ndarray:
    """The layers, a row each, the images first: (depth + 2, 7) int64."""
    sizes = recipe.layer_sizes
    table = numpy.zeros((len(sizes), 7), numpy.int64)
    weights = activity = 0
    for number, size in enumerate(sizes):
        padded = size if number == 0 else _padded(size)
        row = {OUTPUTS: size, PADDED: padded, ACTIVITY: activity, KIND: ACTIVATIONS[recipe.activation]}
        activity += _padded(batch * padded)
        if number:
            row[INPUTS] = sizes[number - 1]
            row[WEIGHTS] = weights
            row[BIAS] = weights + sizes[number - 1] * padded
            weights = row[BIAS] + padded
        for key, value in row.items():
            table[number, key] = value
    return table


def _padded(size: int) -> int:
    return (size + LANES - 1) // LANES * LANES


def _buffer(size: int) -> numpy.ndarray:
    """Zeros that begin at a cache line."""
    raw = numpy.zeros(size * 4 + ALIGNMENT, numpy.uint8)
    skip = -raw.ctypes.data % ALIGNMENT
    return raw[skip : skip + 4 * size].view(numpy.float32)
