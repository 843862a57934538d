"""Compiled steps of SGD over many batches: products of matrices, activations, loss, and the way back.

One file, since Numba's cache looks at the one file that a function stands in: touch this one after a change in
kernels.py. Addresses are in bytes, strides and offsets in float32 elements.
"""

from typing import Any

import numba
import numpy

from models.engines import kernels


def _has_cache() -> bool:
    """Whether Numba finds a folder for its cache: beside this file, or the user's. Without one it would refuse."""

    def probe() -> None:
        pass

    try:
        numba.njit(cache=True)(probe)
    except RuntimeError:
        return False
    return True


LANES, PANEL, ALIGNMENT = kernels.LANES, 128, 64
AHEAD = 3  # images asked for before they are needed: their order is random
RELU, SIGMOID, GELU, NONE = range(4)
# no `fast`: diverging runs must give inf and nan where they are due
compiled = numba.njit(nogil=True, cache=_has_cache(), fastmath={"contract"}, error_model="numpy")

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
            if not size < numpy.float32(numpy.inf):  # 0 x inf on the way
                h[i] = x if x > 0 else x - x
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
def _slopes_below(layer, weights, g, flipped, deep, zeros, batch, lanes):  # type: ignore[no-untyped-def]
    """Deep (inputs, lanes) = weights g^T: the batch lies in the lanes, so that the weights are never transposed."""
    inputs, outputs, padded = layer[INPUTS], layer[OUTPUTS], layer[PADDED]
    for o in range(outputs):
        for b in range(batch):
            flipped[o * lanes + b] = g[b * padded + o]
        for b in range(batch, lanes):
            flipped[o * lanes + b] = 0
    for p in range(0, padded, PANEL):
        wide = min(PANEL, padded - p)
        w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
        start, lds = (zeros.ctypes.data, 0) if p == 0 else (deep.ctypes.data, lanes)
        right = flipped.ctypes.data + 4 * p * lanes
        real = min(wide, outputs - p)
        _product(w, wide, 1, right, lanes, start, lds, deep.ctypes.data, lanes, inputs, lanes, real)


@compiled
def _descend(layer, below, weights, h, g, zeros, batch, rate):  # type: ignore[no-untyped-def]
    """Weights and bias -= rate x their gradients."""
    inputs, padded = layer[INPUTS], layer[PADDED]
    left = h.ctypes.data + 4 * below[ACTIVITY]
    for p in range(0, padded, PANEL):
        wide = min(PANEL, padded - p)
        w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
        right = g.ctypes.data + 4 * p
        _update(left, 1, below[PADDED], right, padded, zeros.ctypes.data, w, wide, inputs, wide, batch, -rate)
    for o in range(layer[OUTPUTS]):
        total = numpy.float32(0)
        for b in range(batch):
            total += g[b * padded + o]
        weights[layer[BIAS] + o] -= rate * total


@compiled
def _backward(layers, weights, h, slope, g, flipped, deep, zeros, batch, rate):  # type: ignore[no-untyped-def]
    """Takes one step of SGD, from the slopes of the logits in `g`; slopes of the layers below replace it on the way."""
    lanes = (batch + LANES - 1) // LANES * LANES
    for number in range(len(layers) - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        if number > 1:
            _slopes_below(layer, weights, g, flipped, deep, zeros, batch, lanes)
        _descend(layer, below, weights, h, g, zeros, batch, rate)
        if number > 1:
            inputs, width, low = layer[INPUTS], below[PADDED], below[ACTIVITY]
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
def batches(  # type: ignore[no-untyped-def]
    images, labels, order, first, last, size, layers, weights, h, slope, g, flipped, deep, zeros, losses, rate
):
    """Steps `first` to `last` of an epoch in batches of `size`."""
    top = layers[len(layers) - 1]
    classes, padded = top[OUTPUTS], top[PADDED]
    pixels = layers[0][PADDED]
    for step in range(first, last):
        batch = min(size, len(order) - step * size)
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
        _backward(layers, weights, h, slope, g, flipped, deep, zeros, batch, rate)


@compiled
def _gather(x, slope, n, index, value):  # type: ignore[no-untyped-def]
    """Positions and values of what is not zero, or may become it; returns how many."""
    count = 0
    for i in range(n):
        index[count] = i
        value[count] = x[i]
        count += x[i] != 0 or slope[i] != 0
    return count


@compiled
def _add_rows(layer, weights, at, values, count, y):  # type: ignore[no-untyped-def]
    """Y += the rows of the weights that `at` names, times their values."""
    inputs, padded = layer[INPUTS], layer[PADDED]
    for p in range(0, padded, PANEL):
        wide = min(PANEL, padded - p)
        w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
        j = 0
        while j < wide:
            wj, yj = w + 4 * j, y + 4 * (p + j)
            if wide - j >= 128:
                _rows_8(at, values, count, wj, wide, yj)
                j += 128
            elif wide - j >= 64:
                _rows_4(at, values, count, wj, wide, yj)
                j += 64
            else:
                _rows_1(at, values, count, wj, wide, yj)
                j += 16


@compiled
def _step_rows(layer, weights, at, values, count, g, rate):  # type: ignore[no-untyped-def]
    """The rows of the weights that `at` names -= rate x value x g."""
    inputs, padded = layer[INPUTS], layer[PADDED]
    for p in range(0, padded, PANEL):
        wide = min(PANEL, padded - p)
        w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
        j = 0
        while j < wide:
            wj, gj = w + 4 * j, g + 4 * (p + j)
            if wide - j >= 128:
                _step_8(at, values, count, wj, wide, gj, -rate, 0)
                j += 128
            elif wide - j >= 64:
                _step_4(at, values, count, wj, wide, gj, -rate, 0)
                j += 64
            else:
                _step_1(at, values, count, wj, wide, gj, -rate, 0)
                j += 16


@compiled
def _step_rows_with_dots(layer, weights, at, values, count, g, rate, deep):  # type: ignore[no-untyped-def]
    """The same in one pass with deep[row] += row . g, taken before the row changes."""
    inputs, padded = layer[INPUTS], layer[PADDED]
    for p in range(0, padded, PANEL):
        wide = min(PANEL, padded - p)
        w = weights.ctypes.data + 4 * (layer[WEIGHTS] + p * inputs)
        j = 0
        while j < wide:
            wj, gj = w + 4 * j, g + 4 * (p + j)
            if wide - j >= 128:
                _both_8(at, values, count, wj, wide, gj, -rate, deep)
                j += 128
            elif wide - j >= 64:
                _both_4(at, values, count, wj, wide, gj, -rate, deep)
                j += 64
            else:
                _both_1(at, values, count, wj, wide, gj, -rate, deep)
                j += 16


@compiled
def _forward_single(layers, weights, h, slope, counts, index, value):  # type: ignore[no-untyped-def]
    """As `_forward` for one image, from what is not zero; notes what is not zero in each layer."""
    for number in range(1, len(layers)):
        layer, below = layers[number], layers[number - 1]
        padded, low = layer[PADDED], layer[ACTIVITY]
        at, values = index.ctypes.data + 8 * below[ACTIVITY], value.ctypes.data + 4 * below[ACTIVITY]
        h[low : low + padded] = weights[layer[BIAS] : layer[BIAS] + padded]
        _add_rows(layer, weights, at, values, counts[number - 1], h.ctypes.data + 4 * low)
        if number < len(layers) - 1:
            _activate(h[low : low + padded], layer[KIND], h[low : low + padded], slope[low : low + padded], padded)
            counts[number] = _gather(h[low:], slope[low:], layer[OUTPUTS], index[low:], value[low:])


@compiled
def _backward_single(layers, weights, h, slope, g, deep, counts, index, value, rate):  # type: ignore[no-untyped-def]
    """As `_backward` for one image. Rows of weights whose input is zero do not change and are not read.

    Nor is the slope of such an input needed: only what is zero and stays zero, as ReLU's, is left out.
    """
    for number in range(len(layers) - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        inputs, low = layer[INPUTS], below[ACTIVITY]
        at, values = index.ctypes.data + 8 * low, value.ctypes.data + 4 * low
        if number > 1:
            deep[:inputs] = 0
            _step_rows_with_dots(layer, weights, at, values, counts[number - 1], g.ctypes.data, rate, deep.ctypes.data)
        else:
            _step_rows(layer, weights, at, values, counts[number - 1], g.ctypes.data, rate)
        for o in range(layer[PADDED]):
            weights[layer[BIAS] + o] -= rate * g[o]
        if number > 1:
            for i in range(inputs):
                g[i] = deep[i] * slope[low + i]
            for i in range(inputs, below[PADDED]):
                g[i] = 0


@compiled
def singles(  # type: ignore[no-untyped-def]
    images, labels, order, first, last, layers, weights, h, slope, g, deep, index, value, losses, rate
):
    """Steps of batch size 1."""
    top = layers[len(layers) - 1]
    pixels = layers[0][PADDED]
    counts = numpy.zeros(len(layers), numpy.int64)
    for step in range(first, last):
        sample = order[step]
        if step + 2 < last:
            _prefetch_row(images, order[step + 2])
        _copy_row(images, sample, h[:pixels])
        counts[0] = _gather(h, h, pixels, index, value)
        _forward_single(layers, weights, h, slope, counts, index, value)
        losses[step] = _loss_and_slopes(h[top[ACTIVITY] :], labels[sample], top[OUTPUTS], numpy.float32(1), g)
        for k in range(top[OUTPUTS], top[PADDED]):
            g[k] = 0
        _backward_single(layers, weights, h, slope, g, deep, counts, index, value, rate)
