"""The same training as the reference's, in compiled loops near the processor's limit. See docs/measurements.md.

Unlike the reference: weights lie as (inputs, outputs) in panels of 128 columns, padded with zeros to whole vectors;
one compiled call runs many steps without Python; at batch size 1 pixels and activations that are zero are skipped.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy
import torch

from models import data as datasets
from models import engine, errors, network
from models import recipe as recipes
from models.engines import kernels

LANES, PANEL, ALIGNMENT = kernels.LANES, 128, 64
AHEAD = 3  # images asked for before they are needed: their order is random
CHUNK_SECONDS = 0.25  # between two looks at whether to stop
RELU, SIGMOID, GELU, NONE = range(4)
ACTIVATIONS = {"ReLU": RELU, "Sigmoid": SIGMOID, "GELU": GELU, None: NONE}
# no `fast`: diverging runs must give inf and nan where they are due
compiled = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")

# a layer in the table that the compiled code gets: sizes, and offsets in elements into the flat vectors
INPUTS, OUTPUTS, PADDED, WEIGHTS, BIAS, ACTIVITY, KIND = range(7)

_prefetch: Any = kernels.prefetch
_set_82, _set_81 = kernels.tile(8, 2, False), kernels.tile(8, 1, False)
_set_44, _set_42, _set_41 = kernels.tile(4, 4, False), kernels.tile(4, 2, False), kernels.tile(4, 1, False)
_set_14, _set_12, _set_11 = kernels.tile(1, 4, False), kernels.tile(1, 2, False), kernels.tile(1, 1, False)
_add_82, _add_81 = kernels.tile(8, 2, True), kernels.tile(8, 1, True)
_add_44, _add_42, _add_41 = kernels.tile(4, 4, True), kernels.tile(4, 2, True), kernels.tile(4, 1, True)
_add_14, _add_12, _add_11 = kernels.tile(1, 4, True), kernels.tile(1, 2, True), kernels.tile(1, 1, True)
_rows_8, _rows_4, _rows_1 = kernels.sparse_rows(8), kernels.sparse_rows(4), kernels.sparse_rows(1)
_step_8, _step_4, _step_1 = (kernels.sparse_update(n, False) for n in (8, 4, 1))
_both_8, _both_4, _both_1 = (kernels.sparse_update(n, True) for n in (8, 4, 1))


@compiled
def _product(a, row, step, b, ldb, start, lds, c, ldc, m, n, count):  # type: ignore[no-untyped-def]
    """C (m, n) = start + a b, over tiles; addresses in bytes, strides in elements, n in whole vectors."""
    i = 0
    zero = numpy.float32(0)
    while i < m:
        left = m - i
        rows = 8 if left >= 8 else (4 if left >= 4 else 1)
        ai, si, ci = a + 4 * i * row, start + 4 * i * lds, c + 4 * i * ldc
        j = 0
        while j < n:
            wide = n - j
            bj, sj, cj = b + 4 * j, si + 4 * j, ci + 4 * j
            if rows == 8:
                if wide >= 32:
                    _set_82(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                    j += 32
                else:
                    _set_81(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                    j += 16
            elif rows == 4:
                if wide >= 64:
                    _set_44(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                    j += 64
                elif wide >= 32:
                    _set_42(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                    j += 32
                else:
                    _set_41(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                    j += 16
            elif wide >= 64:
                _set_14(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                j += 64
            elif wide >= 32:
                _set_12(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                j += 32
            else:
                _set_11(ai, row, step, bj, ldb, sj, lds, cj, ldc, count, zero)
                j += 16
        i += rows


@compiled
def _update(a, row, step, b, ldb, zeros, c, ldc, m, n, count, scale):  # type: ignore[no-untyped-def]
    """C (m, n) += scale x a b, the sum taken from zero and rounded into c once."""
    i = 0
    while i < m:
        left = m - i
        rows = 8 if left >= 8 else (4 if left >= 4 else 1)
        ai, ci = a + 4 * i * row, c + 4 * i * ldc
        j = 0
        while j < n:
            wide = n - j
            bj, cj = b + 4 * j, ci + 4 * j
            if rows == 8:
                if wide >= 32:
                    _add_82(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                    j += 32
                else:
                    _add_81(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                    j += 16
            elif rows == 4:
                if wide >= 64:
                    _add_44(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                    j += 64
                elif wide >= 32:
                    _add_42(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                    j += 32
                else:
                    _add_41(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                    j += 16
            elif wide >= 64:
                _add_14(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                j += 64
            elif wide >= 32:
                _add_12(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                j += 32
            else:
                _add_11(ai, row, step, bj, ldb, zeros, 0, cj, ldc, count, scale)
                j += 16
        i += rows


@compiled
def _exp(x):  # type: ignore[no-untyped-def]
    """Exp in float32, 1e-7 relative, inf and nan as they are due; a polynomial, so that loops over it vectorize."""
    high, low = numpy.float32(88.72284), numpy.float32(-87.33654)
    y = min(max(x, low), high)
    n = numpy.float32(y * numpy.float32(1.442695041) + numpy.float32(12582912.0)) - numpy.float32(12582912.0)
    r = y - n * numpy.float32(0.693359375)
    r = r - n * numpy.float32(-2.12194440e-4)
    p = numpy.float32(0.0013933732)
    p = p * r + numpy.float32(0.008363235)
    p = p * r + numpy.float32(0.041666464)
    p = p * r + numpy.float32(0.16666577)
    p = p * r + numpy.float32(0.5)
    power = p * r * r + r + numpy.float32(1)
    half = numpy.int32(n) >> numpy.int32(1)  # in two steps: 2^128 is no float
    rest = numpy.int32(n) - half
    power = power * numpy.int32((half + numpy.int32(127)) << numpy.int32(23)).view(numpy.float32)
    power = power * numpy.int32((rest + numpy.int32(127)) << numpy.int32(23)).view(numpy.float32)
    if x > high:
        power = numpy.float32(numpy.inf)
    if x < low:
        power = numpy.float32(0)
    return power if x == x else x


@compiled
def _activate(z, kind, h, slope, n):  # type: ignore[no-untyped-def]
    """H and slope (n,) of pre-activations z (n,)."""
    one, half = numpy.float32(1), numpy.float32(0.5)
    if kind == RELU:
        for i in range(n):
            positive = not z[i] <= 0  # nan stays
            h[i] = z[i] if positive else numpy.float32(0)
            slope[i] = one if positive else numpy.float32(0)
    elif kind == SIGMOID:
        for i in range(n):
            s = one / (one + _exp(-z[i]))
            h[i] = s
            slope[i] = s * (one - s)
    else:
        for i in range(n):
            x = z[i]
            size = abs(x)
            bell = _exp(-half * x * x)
            t = one / (one + numpy.float32(0.47 * 0.7071067811865476) * size)
            # erfcx(|x| / sqrt 2) as a polynomial in t, 5e-8 relative
            q = numpy.float32(-0.0539782345)
            q = q * t + numpy.float32(0.303395391)
            q = q * t + numpy.float32(-0.643274426)
            q = q * t + numpy.float32(0.565485299)
            q = q * t + numpy.float32(-0.200921923)
            q = q * t + numpy.float32(0.284791797)
            q = q * t + numpy.float32(0.210778281)
            q = q * t + numpy.float32(0.268850684)
            q = q * t + numpy.float32(0.264862001)
            q = q * t + numpy.float32(1.10840192e-05)
            tail = half * bell * q
            below = tail if x < 0 else one - tail
            h[i] = x * below
            slope[i] = below + (x * bell * numpy.float32(0.3989422804014327) if bell > 0 else numpy.float32(0))
            if not size < numpy.float32(1e30):  # inf - inf on the way
                h[i] = x if not x < 0 else numpy.float32(0) * x
                slope[i] = x - x


@compiled
def _loss_and_slopes(logits, label, classes, share, g):  # type: ignore[no-untyped-def]
    """Cross-entropy of one sample's logits (classes,), and its slopes times `share` into g."""
    highest = logits[0]
    for k in range(1, classes):
        if logits[k] > highest:
            highest = logits[k]
    total = numpy.float32(0)
    for k in range(classes):
        g[k] = _exp(logits[k] - highest)
        total += g[k]
    loss = numpy.log(total) + highest - logits[label]
    for k in range(classes):
        g[k] = share * (g[k] / total)
    g[label] -= share
    return loss


@compiled
def _forward(layers, weights, h, slope, batch):  # type: ignore[no-untyped-def]
    """Activations of all layers, and their slopes; layer 0's are the images. The last layer's are the logits."""
    for number in range(1, len(layers)):
        layer, below = layers[number], layers[number - 1]
        inputs, padded = layer[INPUTS], layer[PADDED]
        source = h.ctypes.data + 4 * below[ACTIVITY]
        low, high = layer[ACTIVITY], layer[ACTIVITY] + batch * padded
        for p in range(0, padded, PANEL):
            wide = min(PANEL, padded - p)
            w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
            start = weights.ctypes.data + 4 * (layer[BIAS] + p)
            target = h.ctypes.data + 4 * (low + p)
            _product(source, below[PADDED], 1, w, wide, start, 0, target, padded, batch, wide, inputs)
        if number < len(layers) - 1:
            _activate(h[low:high], layer[KIND], h[low:high], slope[low:high], batch * padded)


@compiled
def _backward(layers, weights, h, slope, g, flipped, deep, zeros, batch, lanes, rate):  # type: ignore[no-untyped-def]
    """Takes one step of SGD, from the slopes of the logits in `g`; slopes of the layers below replace it on the way.

    The product with the weights has the batch in its lanes, so that the weights are never transposed.
    """
    for number in range(len(layers) - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        inputs, outputs, padded = layer[INPUTS], layer[OUTPUTS], layer[PADDED]
        if number > 1:
            for o in range(outputs):
                for b in range(batch):
                    flipped[o * lanes + b] = g[b * padded + o]
        for p in range(0, padded, PANEL):
            wide = min(PANEL, padded - p)
            w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
            if number > 1:
                start, lds = (zeros.ctypes.data, 0) if p == 0 else (deep.ctypes.data, lanes)
                right = flipped.ctypes.data + 4 * p * lanes
                real = min(wide, outputs - p)
                _product(w, wide, 1, right, lanes, start, lds, deep.ctypes.data, lanes, inputs, lanes, real)
            left = h.ctypes.data + 4 * below[ACTIVITY]
            right = g.ctypes.data + 4 * p
            _update(left, 1, below[PADDED], right, padded, zeros.ctypes.data, w, wide, inputs, wide, batch, -rate)
        for o in range(outputs):
            total = numpy.float32(0)
            for b in range(batch):
                total += g[b * padded + o]
            weights[layer[BIAS] + o] -= rate * total
        if number > 1:
            width, low = below[PADDED], below[ACTIVITY]
            for b in range(batch):
                for i in range(inputs):
                    g[b * width + i] = deep[i * lanes + b] * slope[low + b * width + i]
                for i in range(inputs, width):
                    g[b * width + i] = 0


@compiled
def _prefetch_row(images, row):  # type: ignore[no-untyped-def]
    width = images.shape[1] * images.itemsize
    for line in range(0, width, ALIGNMENT):
        _prefetch(images.ctypes.data + row * width + line)


@compiled
def _copy_row(images, row, x):  # type: ignore[no-untyped-def]
    """One image as float32: bytes are divided by 255, as `ToTensor` does."""
    if images.itemsize == 1:
        for k in range(images.shape[1]):
            x[k] = numpy.float32(images[row, k]) / numpy.float32(255)
    else:
        for k in range(images.shape[1]):
            x[k] = images[row, k]


@compiled
def _batches(  # type: ignore[no-untyped-def]
    images, labels, order, first, last, size, layers, weights, h, slope, g, flipped, deep, zeros, losses, rate
):
    """Steps `first` to `last` of an epoch in batches of `size`."""
    top = layers[len(layers) - 1]
    classes, padded = top[OUTPUTS], top[PADDED]
    pixels = layers[0][PADDED]
    for step in range(first, last):
        batch = min(size, len(order) - step * size)
        lanes = (batch + LANES - 1) // LANES * LANES
        for b in range(batch):
            if b + AHEAD < batch:
                _prefetch_row(images, order[step * size + b + AHEAD])
            _copy_row(images, order[step * size + b], h[b * pixels : (b + 1) * pixels])
        _forward(layers, weights, h, slope, batch)
        total = 0.0
        share = numpy.float32(1) / numpy.float32(batch)
        for b in range(batch):
            logits = h[top[ACTIVITY] + b * padded :]
            total += _loss_and_slopes(logits, labels[order[step * size + b]], classes, share, g[b * padded :])
            for k in range(classes, padded):
                g[b * padded + k] = 0
        losses[step] = total / batch
        if lanes != batch:
            flipped[:] = 0
        _backward(layers, weights, h, slope, g, flipped, deep, zeros, batch, lanes, rate)


@compiled
def _gather(x, n, index, value):  # type: ignore[no-untyped-def]
    """Positions and values of what is not zero; returns how many."""
    count = 0
    for i in range(n):
        index[count] = i
        value[count] = x[i]
        count += x[i] != 0
    return count


@compiled
def _singles(  # type: ignore[no-untyped-def]
    images, labels, order, first, last, layers, weights, h, slope, g, deep, index, value, losses, rate
):
    """Steps of batch size 1. Rows of weights whose input is zero do not change and are not read.

    Under ReLU an input of zero has a slope of zero too, so that its row is not needed on the way back either.
    """
    top = layers[len(layers) - 1]
    pixels = layers[0][PADDED]
    counts = numpy.zeros(len(layers), numpy.int64)
    for step in range(first, last):
        sample = order[step]
        if step + 2 < last:
            _prefetch_row(images, order[step + 2])
        _copy_row(images, sample, h[:pixels])
        counts[0] = _gather(h, pixels, index, value)
        for number in range(1, len(layers)):
            layer, below = layers[number], layers[number - 1]
            inputs, padded, low = layer[INPUTS], layer[PADDED], layer[ACTIVITY]
            at = index.ctypes.data + 8 * below[ACTIVITY]
            values = value.ctypes.data + 4 * below[ACTIVITY]
            h[low : low + padded] = weights[layer[BIAS] : layer[BIAS] + padded]
            for p in range(0, padded, PANEL):
                wide = min(PANEL, padded - p)
                w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
                y = h.ctypes.data + 4 * (low + p)
                j = 0
                while j < wide:
                    if wide - j >= 128:
                        _rows_8(at, values, counts[number - 1], w + 4 * j, wide, y + 4 * j)
                        j += 128
                    elif wide - j >= 64:
                        _rows_4(at, values, counts[number - 1], w + 4 * j, wide, y + 4 * j)
                        j += 64
                    else:
                        _rows_1(at, values, counts[number - 1], w + 4 * j, wide, y + 4 * j)
                        j += 16
            if number < len(layers) - 1:
                _activate(h[low : low + padded], layer[KIND], h[low : low + padded], slope[low : low + padded], padded)
                counts[number] = _gather(h[low : low + padded], layer[OUTPUTS], index[low:], value[low:])
        classes = top[OUTPUTS]
        losses[step] = _loss_and_slopes(h[top[ACTIVITY] :], labels[sample], classes, numpy.float32(1), g)
        for k in range(classes, top[PADDED]):
            g[k] = 0
        for number in range(len(layers) - 1, 0, -1):
            layer, below = layers[number], layers[number - 1]
            inputs, padded = layer[INPUTS], layer[PADDED]
            at = index.ctypes.data + 8 * below[ACTIVITY]
            values = value.ctypes.data + 4 * below[ACTIVITY]
            count = counts[number - 1]
            if number > 1:
                deep[:inputs] = 0
            for p in range(0, padded, PANEL):
                wide = min(PANEL, padded - p)
                w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
                d = deep.ctypes.data
                j = 0
                while j < wide:
                    slopes = g.ctypes.data + 4 * (p + j)
                    if number > 1:
                        if wide - j >= 128:
                            _both_8(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                            j += 128
                        elif wide - j >= 64:
                            _both_4(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                            j += 64
                        else:
                            _both_1(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                            j += 16
                    elif wide - j >= 128:
                        _step_8(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                        j += 128
                    elif wide - j >= 64:
                        _step_4(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                        j += 64
                    else:
                        _step_1(at, values, count, w + 4 * j, wide, slopes, -rate, d)
                        j += 16
            for o in range(padded):
                weights[layer[BIAS] + o] -= rate * g[o]
            if number > 1:
                low = below[ACTIVITY]
                for i in range(inputs):
                    g[i] = deep[i] * slope[low + i]
                for i in range(inputs, below[PADDED]):
                    g[i] = 0


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
            _singles(*data, *net, self._deep, self._index, self._value, losses, rate)
        else:
            _batches(*data, self._recipe.batch_size, *net, self._flipped, self._deep, self._zeros, losses, rate)

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
