"""Compiled steps of SGD over many batches: products of matrices, activations, loss, and the way back.

With images x = h0, layers z = h W + b, h' = f(z), the logits z of the last layer and B samples in a batch:

    L = 1/B sum of (log sum exp z - z[label])      dL/dz = (softmax z - onehot label) / B     of the last layer
    dL/dW = h^T dL/dz       dL/db = sum over samples of dL/dz       dL/dh = dL/dz W^T
    dL/dz = dL/dh * f'(z)   of the layer below, whose h this layer's was; f'(z) is kept on the way forward
    W -= rate dL/dW         b -= rate dL/db                         after dL/dh was taken with the old W

`g` is dL/dz, `slope` is f'(z), `deep` is dL/dh. Addresses are in bytes, strides and offsets in float32 elements.
"""

import hashlib
import pathlib
import types
from collections.abc import Callable
from typing import Any

import numba
import numpy

from models import caches
from models.engines import kernels

# Numba's cache looks at the content of this file alone: what it compiled holds for these kernels and no others.
KERNELS = "31c81f3896f67ece"


def has_cache(sources: str, *modules: types.ModuleType) -> bool:
    """Whether Numba finds a folder for its cache, beside this file or the user's, and it is of these modules.

    Args:
        sources: their checksum, as it stands in the file of what is compiled.
    """
    if checksum(*modules) != sources:
        return False

    def probe() -> None:
        pass

    try:
        numba.njit(cache=True)(probe)
    except RuntimeError:
        return False
    return True


def checksum(*modules: types.ModuleType) -> str:
    """Of their sources."""
    content = b"".join(pathlib.Path(str(each.__file__)).read_bytes() for each in modules)
    return hashlib.sha256(content).hexdigest()[:16]


SCORED = kernels.SCORED
LANES, ROWS, VECTORS, SPARSE_VECTORS = kernels.LANES, kernels.TILE_ROWS, kernels.TILE_VECTORS, kernels.SPARSE_VECTORS
PANEL, ALIGNMENT = kernels.PANEL, 64
CLASS_ROWS = min(5, ROWS)  # half of the classes: chains enough, and both halves alike
STRIP = 8  # panels of a product's left side gone through at once: as many rows of the right side stay in the L1
FEW = 10  # rows of a batch up to which products of rows beat those with the batch in the lanes
AHEAD = 6  # images asked for before they are needed: their order is random
RELU, SIGMOID, GELU, NONE = range(4)


def compiler(has_cache: bool) -> Callable[[Any], Any]:
    """Gives functions compiled when they are first called, or taken from Numba's cache."""
    # no `fast`: diverging runs must give inf and nan where they are due
    njit = numba.njit(nogil=True, cache=has_cache, fastmath={"contract"}, error_model="numpy")
    return lambda function: caches.mended(njit(function))


compiled = compiler(has_cache(KERNELS, kernels))


# A layer in the table that the compiled code gets: sizes, and offsets in elements into the flat vectors. WIDE is the
# width of the weights' panels, a row for each input; 0 for a top layer with a row for each class instead.
INPUTS, OUTPUTS, PADDED, WEIGHTS, BIAS, ACTIVITY, KIND, WIDE = range(8)

_prefetch: Any = kernels.prefetch
_widen: Any = kernels.widen
_copy: Any = kernels.copy
_product, _update = kernels.product(pairs=False), kernels.update(pairs=False)
_below_highest: Any = kernels.below_highest
_to_shares: Any = kernels.to_shares
_update_rows: Any = kernels.update_rows
_dots: Any = kernels.dots
_scores: Any = kernels.scores
_transpose, _transpose_times = kernels.transpose(False), kernels.transpose(True)
_add_rows: Any = kernels.add_rows
_step_rows, _step_rows_with_dots = kernels.step_rows(False), kernels.step_rows(True)


@compiled
def _at(array, offset):  # type: ignore[no-untyped-def]
    """The address of an element."""
    return numpy.int64(array.ctypes.data) + array.itemsize * numpy.int64(offset)


@compiled
def _multiply(a, height, size, b, ldb, start, lds, c, ldc, m, n):  # type: ignore[no-untyped-def]
    """C (m, n) = start + a b; a (m, size) lies in panels of `height` rows, n in whole vectors is at most a panel."""
    whole, done = size // PANEL * PANEL, 0
    while done < size:
        if done < whole:
            row, count, blocks = PANEL, PANEL, min(STRIP, (whole - done) // PANEL)
        else:
            row, count, blocks = LANES, LANES, 1
        for j in range(0, n, VECTORS * LANES):
            vectors = min(VECTORS, (n - j) // LANES)
            for i in range(0, m, ROWS):
                left, right = a + 4 * (done * height + i * row), b + 4 * (done * ldb + j)
                begin, to = start + 4 * (i * lds + j), c + 4 * (i * ldc + j)
                rows = min(ROWS, m - i)
                _product(rows, vectors, left, row, PANEL * height, blocks, count, right, ldb, begin, lds, to, ldc)
        start, lds = c, ldc
        done += blocks * count


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
def _activate(h, kind, slope, n):  # type: ignore[no-untyped-def]
    """Pre-activations h (n,) become activations, in place: LLVM vectorizes no loop over arrays that overlap."""
    one, half = numpy.float32(1), numpy.float32(0.5)
    if kind == RELU:
        for i in range(n):
            positive = not h[i] <= 0  # nan stays
            h[i] = h[i] if positive else numpy.float32(0)
            slope[i] = one if positive else numpy.float32(0)
    elif kind == SIGMOID:
        for i in range(n):
            s = one / (one + _exp(-h[i]))
            h[i] = s
            slope[i] = s * (one - s)
    else:
        for i in range(n):
            x = h[i]
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
    """Cross-entropy of one sample's logits (16,); its slopes times `share` into g (16,), zeros after the classes."""
    highest = logits[0]
    for k in range(1, classes):
        if logits[k] > highest:
            highest = logits[k]
    # loops over 16, a constant, and one array become vector code
    for k in range(LANES):
        g[k] = logits[k] - highest
    for k in range(LANES):
        g[k] = _exp(g[k])
    total = numpy.float32(0)
    for k in range(classes):
        total += g[k]
    loss = numpy.log(total) + highest - logits[label]
    for k in range(LANES):
        g[k] = share * (g[k] / total)
    g[label] -= share
    for k in range(classes, LANES):
        g[k] = 0
    return loss


@compiled
def _losses_and_slopes(logits, labels, order, first, count, classes, share, g, tile, losses):  # type: ignore[no-untyped-def]
    """As `_loss_and_slopes`, to the last bit, of samples `order[first:first + count]`; losses (count,).

    Logits and g are (count, 16). Sixteen samples at a time lie in the columns of `tile`, (18, 16).
    """
    highest, total = LANES * LANES, (LANES + 1) * LANES
    whole = count // LANES * LANES
    for b in range(0, whole, LANES):
        _transpose(_at(logits, b * LANES), LANES, _at(tile, 0), LANES, 0)
        _below_highest(classes, _at(tile, 0), _at(tile, highest))
        for i in range(classes * LANES):
            tile[i] = _exp(tile[i])
        _to_shares(classes, _at(tile, 0), _at(tile, total), share)
        for i in range(classes * LANES, LANES * LANES):
            tile[i] = 0
        for i in range(LANES):
            label = labels[order[first + b + i]]
            losses[b + i] = numpy.log(tile[total + i]) + tile[highest + i] - logits[(b + i) * LANES + label]
            tile[label * LANES + i] -= share
        _transpose(_at(tile, 0), LANES, _at(g, b * LANES), LANES, 0)
    for b in range(whole, count):
        place, label = b * LANES, labels[order[first + b]]
        losses[b] = _loss_and_slopes(logits[place:], label, classes, share, g[place:])


@compiled
def _forward_top(layer, below, weights, h, batch, lanes):  # type: ignore[no-untyped-def]
    """Logits (batch, 16)."""
    panels, rest = below[PADDED] // PANEL, below[PADDED] % PANEL // LANES
    w, bias, x = _at(weights, layer[WEIGHTS]), _at(weights, layer[BIAS]), _at(h, below[ACTIVITY])
    for b in range(0, batch, SCORED):
        c = _at(h, layer[ACTIVITY] + b * LANES)
        _scores(min(SCORED, batch - b), w, x, lanes, b, panels, rest, bias, c)


@compiled
def _forward(layers, weights, h, slope, batch, lanes):  # type: ignore[no-untyped-def]
    """Activations of all layers, and their slopes; layer 0's are the images. The last layer's are the logits."""
    for number in range(1, len(layers)):
        layer, below = layers[number], layers[number - 1]
        inputs, outputs, padded = below[PADDED], layer[OUTPUTS], layer[PADDED]
        if layer[WIDE] == 0:
            _forward_top(layer, below, weights, h, batch, lanes)
            break
        for p in range(0, padded, PANEL):
            wide, panel = min(PANEL, padded - p), p - p % layer[WIDE]
            w, ldw = _at(weights, layer[WEIGHTS] + panel * inputs + p - panel), min(layer[WIDE], padded - panel)
            low = layer[ACTIVITY] + p * lanes
            high = low + batch * wide
            bias, target = _at(weights, layer[BIAS] + p), _at(h, low)
            _multiply(_at(h, below[ACTIVITY]), lanes, inputs, w, ldw, bias, 0, target, wide, batch, wide)
            if number < len(layers) - 1:
                _activate(h[low:high], layer[KIND], slope[low:high], batch * wide)
                for b in range(batch):
                    for o in range(outputs - p, wide):  # padding stays zero
                        h[low + b * wide + o] = 0
                        slope[low + b * wide + o] = 0


@compiled
def _slopes_below(layer, below, weights, g, flipped, deep, zeros, batch, lanes):  # type: ignore[no-untyped-def]
    """Deep (inputs, batch) = weights g^T: the batch lies in the lanes, so that the weights are never transposed."""
    inputs, height, padded = layer[INPUTS], below[PADDED], layer[PADDED]
    batch = (batch + LANES - 1) // LANES * LANES
    for q in range(0, batch, PANEL):
        wide = min(PANEL, batch - q)
        for o in range(0, padded, LANES):
            panel = o - o % PANEL
            ldg = min(PANEL, padded - panel)
            for b in range(q, q + wide, LANES):
                source, target = panel * lanes + b * ldg + o - panel, q * padded + o * wide + b - q
                _transpose(_at(g, source), ldg, _at(flipped, target), wide, 0)
        w, right, target = _at(weights, layer[WEIGHTS]), _at(flipped, q * padded), _at(deep, q * height)
        _multiply(w, height, padded, right, wide, _at(zeros, 0), 0, target, wide, inputs, wide)
        for i in range(q * height + inputs * wide, (q + wide) * height):
            deep[i] = 0


@compiled
def _flip_back(below, deep, slope, g, batch, lanes):  # type: ignore[no-untyped-def]
    """G (batch, inputs) = deep^T, times the slopes of the activations."""
    height = below[PADDED]
    for b in range(0, batch, LANES):
        q = b - b % PANEL
        wide = min(PANEL, (batch + LANES - 1) // LANES * LANES - q)
        for i in range(0, height, LANES):
            panel = i - i % PANEL
            ldg = min(PANEL, height - panel)
            source, target = q * height + i * wide + b - q, panel * lanes + b * ldg + i - panel
            _transpose_times(_at(deep, source), wide, _at(g, target), ldg, _at(slope, below[ACTIVITY] + target))


@compiled
def _slopes_below_few(layer, below, weights, slope, g, deep, batch, lanes):  # type: ignore[no-untyped-def]
    """Deep (batch, inputs) = g weights^T, times the slopes of the activations, as products of rows."""
    padded, height = layer[PADDED], below[PADDED]
    panels, rest = padded // PANEL, padded % PANEL // LANES
    for i in range(0, height, LANES):
        panel = i - i % PANEL
        ldg = min(PANEL, height - panel)
        for b in range(batch):
            to = panel * lanes + b * ldg + i - panel
            times = _at(slope, below[ACTIVITY] + to)
            w = _at(weights, layer[WEIGHTS])
            _dots(w, height, i, _at(g, 0), lanes, b, panels, rest, times, _at(deep, to))


@compiled
def _slopes_below_top(layer, below, weights, slope, g, deep, zeros, batch, lanes):  # type: ignore[no-untyped-def]
    """Deep (batch, inputs) = g weights, times the slopes of the activations."""
    height = below[PADDED]
    count = (layer[OUTPUTS] + 3) // 4 * 4
    for q in range(0, height, PANEL):
        wide = min(PANEL, height - q)
        for j in range(0, wide, VECTORS * LANES):
            vectors = min(VECTORS, (wide - j) // LANES)
            for i in range(0, batch, ROWS):
                w, to = _at(weights, layer[WEIGHTS] + q * LANES + j), _at(deep, q * lanes + i * wide + j)
                rows, left = min(ROWS, batch - i), _at(g, i * LANES)
                _product(rows, vectors, left, LANES, 0, 1, count, w, wide, _at(zeros, 0), 0, to, wide)
        times, low = below[ACTIVITY] + q * lanes, q * lanes
        for i in range(batch * wide):
            deep[low + i] *= slope[times + i]


@compiled
def _descend_top(layer, below, weights, h, g, one, batch, lanes, rate):  # type: ignore[no-untyped-def]
    """As `_descend`, with a row of weights for each class."""
    height = below[PADDED]
    for q in range(0, height, PANEL):
        wide = min(PANEL, height - q)
        for j in range(0, wide, VECTORS * LANES):
            vectors, x = min(VECTORS, (wide - j) // LANES), _at(h, below[ACTIVITY] + q * lanes + j)
            for i in range(0, layer[OUTPUTS], CLASS_ROWS):
                rows, to = min(CLASS_ROWS, layer[OUTPUTS] - i), _at(weights, layer[WEIGHTS] + q * LANES + i * wide + j)
                _update(rows, vectors, _at(g, i), LANES, batch, x, wide, to, wide, -rate)
    _update(1, 1, _at(one, 0), 0, batch, _at(g, 0), LANES, _at(weights, layer[BIAS]), LANES, -rate)


@compiled
def _descend(layer, below, weights, h, g, one, batch, lanes, rate):  # type: ignore[no-untyped-def]
    """Weights and bias -= rate x their gradients."""
    inputs, height, padded = layer[INPUTS], below[PADDED], layer[PADDED]
    for p in range(0, padded, PANEL):
        wide, slopes = min(PANEL, padded - p), _at(g, p * lanes)
        for q in range(0, inputs, PANEL):
            step, high = min(PANEL, height - q), min(PANEL, inputs - q)
            left, w = _at(h, below[ACTIVITY] + q * lanes), _at(weights, layer[WEIGHTS] + p * height + q * wide)
            for j in range(0, wide, VECTORS * LANES):
                vectors = min(VECTORS, (wide - j) // LANES)
                if batch <= ROWS:
                    _update_rows(high, vectors, left, step, batch, slopes + 4 * j, wide, w + 4 * j, wide, -rate)
                    continue
                for i in range(0, high, ROWS):
                    rows, to = min(ROWS, high - i), w + 4 * (i * wide + j)
                    _update(rows, vectors, left + 4 * i, step, batch, slopes + 4 * j, wide, to, wide, -rate)
        for j in range(0, wide, LANES):  # a bias is the weight of an input that is 1
            to = _at(weights, layer[BIAS] + p + j)
            _update(1, 1, _at(one, 0), 0, batch, slopes + 4 * j, wide, to, wide, -rate)


@compiled
def _backward(layers, weights, h, slope, g, flipped, deep, constants, batch, lanes, rate):  # type: ignore[no-untyped-def]
    """Takes one step of SGD, from the slopes of the logits in `g`; slopes of the layers below replace it on the way."""
    for number in range(len(layers) - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        is_top = layer[WIDE] == 0
        if number > 1 and is_top:
            _slopes_below_top(layer, below, weights, slope, g, deep, constants, batch, lanes)
        elif number > 1 and batch <= FEW:
            _slopes_below_few(layer, below, weights, slope, g, deep, batch, lanes)
        elif number > 1:
            _slopes_below(layer, below, weights, g, flipped, deep, constants, batch, lanes)
        if is_top:
            _descend_top(layer, below, weights, h, g, constants[PANEL:], batch, lanes, rate)
        else:
            _descend(layer, below, weights, h, g, constants[PANEL:], batch, lanes, rate)
        if number > 1 and (is_top or batch <= FEW):
            g, deep = deep, g
        elif number > 1:
            _flip_back(below, deep, slope, g, batch, lanes)


@compiled
def _prefetch_row(images, row):  # type: ignore[no-untyped-def]
    width = images.shape[1] * images.itemsize
    for line in range(0, width, ALIGNMENT):
        _prefetch(_at(images, row * images.shape[1]) + line)


@compiled
def _copy_row(images, row, h, b, lanes):  # type: ignore[no-untyped-def]
    """One image as float32 into row `b` of the lowest layer; bytes are divided by 255, as `ToTensor` does."""
    pixels = images.shape[1]
    for p in range(0, pixels, LANES):
        panel = p - p % PANEL
        source = _at(images, row * pixels + p)
        target = _at(h, panel * lanes + b * min(PANEL, pixels - panel) + p - panel)
        if images.itemsize == 1:
            _widen(source, target)
        else:
            _copy(source, target)


@compiled
def _ask_for(images, order, first, count):  # type: ignore[no-untyped-def]
    """So that the next batch's images are on their way while this one's are trained."""
    for place in range(first, min(first + count, len(order))):
        _prefetch_row(images, order[place])


@compiled
def _load_images(images, order, first, count, h, lanes):  # type: ignore[no-untyped-def]
    """The images `order[first:first + count]` as rows of the lowest layer."""
    for b in range(count):
        if b + AHEAD < count:
            _prefetch_row(images, order[first + b + AHEAD])
        _copy_row(images, order[first + b], h, b, lanes)


@compiled
def batches(  # type: ignore[no-untyped-def]
    images,
    labels,
    order,
    first,
    last,
    size,
    layers,
    weights,
    h,
    slope,
    g,
    flipped,
    deep,
    constants,
    lanes,
    losses,
    rate,
):
    """Steps `first` to `last` of an epoch in batches of `size`."""
    top = layers[len(layers) - 1]
    classes = top[OUTPUTS]
    tile, each = numpy.empty((LANES + 2) * LANES, numpy.float32), numpy.empty(size, numpy.float32)
    for step in range(first, last):
        batch = min(size, len(order) - step * size)
        _load_images(images, order, step * size, batch, h, lanes)
        _forward(layers, weights, h, slope, batch, lanes)
        total = 0.0
        share = numpy.float32(1) / numpy.float32(batch)
        _losses_and_slopes(h[top[ACTIVITY] :], labels, order, step * size, batch, classes, share, g, tile, each)
        _ask_for(images, order, (step + 1) * size, size)
        for b in range(batch):
            total += each[b]
        losses[step] = total / batch
        _backward(layers, weights, h, slope, g, flipped, deep, constants, batch, lanes, rate)


@compiled
def evaluate(images, labels, order, layers, weights, h, slope, g, lanes, losses):  # type: ignore[no-untyped-def]
    """Losses (n,) of images in their order; returns how many are classified right. As for `argmax`, nan is highest."""
    top = layers[len(layers) - 1]
    classes, padded = top[OUTPUTS], top[PADDED]
    tile, right = numpy.empty((LANES + 2) * LANES, numpy.float32), 0
    for first in range(0, len(order), lanes):
        count = min(lanes, len(order) - first)
        _load_images(images, order, first, count, h, lanes)
        _forward(layers, weights, h, slope, count, lanes)
        logits, one = h[top[ACTIVITY] :], numpy.float32(1)
        _losses_and_slopes(logits, labels, order, first, count, classes, one, g, tile, losses[first:])
        for b in range(count):
            logits, label = h[top[ACTIVITY] + b * padded :], labels[order[first + b]]
            best = 0
            for k in range(1, classes):
                if logits[k] > logits[best] or (logits[k] != logits[k] and logits[best] == logits[best]):
                    best = k
            right += best == label
    return right


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
def _forward_single(layers, weights, h, slope, counts, index, value):  # type: ignore[no-untyped-def]
    """As `_forward` for one image, from what is not zero; notes what is not zero in each layer."""
    for number in range(1, len(layers)):
        layer, below = layers[number], layers[number - 1]
        padded, low = layer[PADDED], layer[ACTIVITY]
        at, values, count = _at(index, below[ACTIVITY]), _at(value, below[ACTIVITY]), counts[number - 1]
        for p in range(0, padded, layer[WIDE]):
            wide = min(layer[WIDE], padded - p)
            w = _at(weights, layer[WEIGHTS] + p * below[PADDED])
            for j in range(0, wide, SPARSE_VECTORS * LANES):
                vectors = min(SPARSE_VECTORS, (wide - j) // LANES)
                start, y = _at(weights, layer[BIAS] + p + j), _at(h, low + p + j)
                _add_rows(vectors, at, values, count, w + 4 * j, wide, start, y)
        if number < len(layers) - 1:
            _activate(h[low : low + padded], layer[KIND], slope[low : low + padded], padded)
            counts[number] = _gather(h[low:], slope[low:], layer[OUTPUTS], index[low:], value[low:])


@compiled
def _backward_single(layers, weights, h, slope, g, deep, counts, index, value, rate):  # type: ignore[no-untyped-def]
    """As `_backward` for one image. Rows of weights whose input is zero do not change and are not read.

    Nor is the slope of such an input needed: only what is zero and stays zero, as ReLU's, is left out.
    """
    for number in range(len(layers) - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        inputs, padded, low = layer[INPUTS], layer[PADDED], below[ACTIVITY]
        at, values, count = _at(index, low), _at(value, low), counts[number - 1]
        for i in range(inputs if number > 1 else 0):
            deep[i] = 0
        for p in range(0, padded, layer[WIDE]):
            wide = min(layer[WIDE], padded - p)
            w = _at(weights, layer[WEIGHTS] + p * below[PADDED])
            for j in range(0, wide, SPARSE_VECTORS * LANES):
                vectors, slopes = min(SPARSE_VECTORS, (wide - j) // LANES), _at(g, p + j)
                if number > 1:
                    _step_rows_with_dots(vectors, at, values, count, w + 4 * j, wide, slopes, -rate, _at(deep, 0))
                else:
                    _step_rows(vectors, at, values, count, w + 4 * j, wide, slopes, -rate, 0)
        for o in range(padded):
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
        _copy_row(images, sample, h, 0, 1)
        counts[0] = _gather(h, h, pixels, index, value)
        _forward_single(layers, weights, h, slope, counts, index, value)
        losses[step] = _loss_and_slopes(h[top[ACTIVITY] :], labels[sample], top[OUTPUTS], numpy.float32(1), g)
        _backward_single(layers, weights, h, slope, g, deep, counts, index, value, rate)
