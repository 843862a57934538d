"""Compiled steps of SGD whose products are of bf16, in pairs, with float32 sums: weights stay float32.

As in `loops`, with h, W and g = dL/dz rounded to bf16 where they are multiplied. The processor multiplies pairs, and
adds both products to a float32 sum: what a product goes along lies in pairs, an element each, in panels of 32 as there.

    h W               h: pairs along a row (LEFT)                 W: pairs of what stands above one another (ACROSS)
    dL/dh = g W^T     g: pairs along a row                        W: pairs along a row, transposed (DOWN)
    dL/dW = h^T g     h: pairs of two samples (BOTH)              g: pairs of two samples

Each is made once, where the values come to be: of weights in the pass that changes them. The top layer is float32.
"""

from typing import Any

import numpy

from models.engines import kernels, loops
from models.engines.loops import ACTIVITY, BIAS, INPUTS, KIND, LANES, OUTPUTS, PADDED, PANEL, ROWS, VECTORS, WEIGHTS

SOURCES = "7e39b401b2ebbf4f"  # as `loops.KERNELS`, of kernels.py and loops.py
# further columns of a layer's row: how many pairs a row has, padded to whole vectors; where its pairs begin
PAIRS, LEFT, BOTH, ACROSS, DOWN = range(8, 13)
COLUMNS = 13

compiled = loops.compiler(loops.has_cache(SOURCES, kernels, loops))
_product, _update = kernels.product(pairs=True), kernels.update(pairs=True)
_pack_rows: Any = kernels.pack_rows
_pack_weights: Any = kernels.pack_weights
_at, _add = loops._at, loops._update
_activate, _losses_and_slopes = loops._activate, loops._losses_and_slopes
_load_images, _ask_for = loops._load_images, loops._ask_for
_forward_top, _slopes_below_top, _descend_top = loops._forward_top, loops._slopes_below_top, loops._descend_top


@compiled
def _multiply(a, height, size, b, ldb, start, lds, c, ldc, m, n):  # type: ignore[no-untyped-def]
    """As `loops._multiply`, with `size` pairs."""
    whole, done = size // PANEL * PANEL, 0
    while done < size:
        if done < whole:
            row, count, blocks = PANEL, PANEL, min(loops.STRIP, (whole - done) // PANEL)
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
def _pack(x, low, wide, p, pairs, left, both, zeros, batch, lanes):  # type: ignore[no-untyped-def]
    """Panel p of a layer's values, x (batch, wide) from `low` on, into its pairs; an odd sample's fellow is zero."""
    panel = p // 2 - p // 2 % PANEL
    step = min(PANEL, pairs - panel)
    for b in range(0, batch, 2):
        one = _at(x, low + b * wide)
        two = one + 4 * wide if b + 1 < batch else zeros
        along = left + 4 * (panel * lanes + b * step + p // 2 - panel)
        _pack_rows(wide // LANES, one, two, along, along + 4 * step, both + 4 * (p * (lanes // 2) + b // 2 * wide))


@compiled
def _pack_block(layer, below, weights, packed, p, q):  # type: ignore[no-untyped-def]
    """The weights from up to 32 inputs q to up to 32 outputs p."""
    height, wide = below[PADDED], min(PANEL, layer[PADDED] - p)
    for i in range(q, min(q + PANEL, height), LANES):
        ldd = min(PANEL, height - q)
        w = _at(weights, layer[WEIGHTS] + p * height + i * wide)
        across = _at(packed, layer[ACROSS] + p * below[PAIRS] + i // 2 * wide)
        down = _at(packed, layer[DOWN] + q * layer[PAIRS] + p // 2 * ldd + i - q)
        _pack_weights(wide // LANES, w, wide, across, wide, down, ldd)


@compiled
def pack(layers, weights, packed):  # type: ignore[no-untyped-def]
    """All weights below the top layer's."""
    for number in range(1, len(layers) - 1):
        for p in range(0, layers[number][PADDED], PANEL):
            for q in range(0, layers[number - 1][PADDED], PANEL):
                _pack_block(layers[number], layers[number - 1], weights, packed, p, q)


@compiled
def _forward(layers, weights, packed, h, slope, left, both, constants, batch, lanes):  # type: ignore[no-untyped-def]
    """Activations of all layers as pairs, and their slopes; the highest hidden one's, and the logits, as floats."""
    zeros, highest = _at(constants, 0), len(layers) - 2
    for number in range(1, highest + 1):
        layer, below = layers[number], layers[number - 1]
        outputs, padded = layer[OUTPUTS], layer[PADDED]
        for p in range(0, padded, PANEL):
            wide, low = min(PANEL, padded - p), layer[ACTIVITY] + p * lanes
            to = low if number == highest else 0  # else it stays in the L1
            w, bias = _at(packed, layer[ACROSS] + p * below[PAIRS]), _at(weights, layer[BIAS] + p)
            _multiply(_at(left, below[LEFT]), lanes, below[PAIRS], w, wide, bias, 0, _at(h, to), wide, batch, wide)
            count = batch * wide
            _activate(h[to : to + count], layer[KIND], slope[low : low + count], count)
            for b in range(batch):
                for o in range(outputs - p, wide):  # padding stays zero
                    h[to + b * wide + o] = 0
                    slope[low + b * wide + o] = 0
            if number < highest:
                along, two = _at(left, layer[LEFT]), _at(both, layer[BOTH])
                _pack(h, to, wide, p, layer[PAIRS], along, two, zeros, batch, lanes)
    _forward_top(layers[highest + 1], layers[highest], weights, h, batch, lanes)


@compiled
def _slopes_below(layer, below, packed, slope, left, deep, zeros, batch, lanes):  # type: ignore[no-untyped-def]
    """Deep (batch, inputs) = g weights^T, times the slopes of the activations."""
    height = below[PADDED]
    for q in range(0, height, PANEL):
        wide, low = min(PANEL, height - q), q * lanes
        w = _at(packed, layer[DOWN] + q * layer[PAIRS])
        _multiply(left, lanes, layer[PAIRS], w, wide, zeros, 0, _at(deep, low), wide, batch, wide)
        times = below[ACTIVITY] + low
        for i in range(batch * wide):
            deep[low + i] *= slope[times + i]


@compiled
def _descend(layer, below, weights, packed, both, g_both, g, one, batch, lanes, rate):  # type: ignore[no-untyped-def]
    """Weights and bias -= rate x their gradients; the weights' pairs follow."""
    inputs, height, padded, half = layer[INPUTS], below[PADDED], layer[PADDED], lanes // 2
    count = (batch + 1) // 2
    for p in range(0, padded, PANEL):
        wide, right = min(PANEL, padded - p), g_both + 4 * p * half
        for q in range(0, inputs, PANEL):
            step, high = min(PANEL, height - q), min(PANEL, inputs - q)
            left, w = _at(both, below[BOTH] + q * half), _at(weights, layer[WEIGHTS] + p * height + q * wide)
            for j in range(0, wide, VECTORS * LANES):
                vectors = min(VECTORS, (wide - j) // LANES)
                for i in range(0, high, ROWS):
                    rows, to = min(ROWS, high - i), w + 4 * (i * wide + j)
                    _update(rows, vectors, left + 4 * i, step, count, right + 4 * j, wide, to, wide, -rate)
            _pack_block(layer, below, weights, packed, p, q)
        for j in range(0, wide, LANES):
            to = _at(weights, layer[BIAS] + p + j)
            _add(1, 1, one, 0, batch, _at(g, p * lanes + j), wide, to, wide, -rate)


@compiled
def _backward(  # type: ignore[no-untyped-def]
    layers, weights, packed, h, slope, g, deep, left, both, g_left, g_both, constants, batch, lanes, rate
):
    """Takes one step of SGD, from the slopes of the logits in `g`."""
    zeros, one, top = _at(constants, 0), _at(constants, PANEL), len(layers) - 1
    _slopes_below_top(layers[top], layers[top - 1], weights, slope, g, deep, constants, batch, lanes)
    _descend_top(layers[top], layers[top - 1], weights, h, g, constants[PANEL:], batch, lanes, rate)
    g, deep = deep, g
    along, two = _at(g_left, 0), _at(g_both, 0)
    for number in range(top - 1, 0, -1):
        layer, below = layers[number], layers[number - 1]
        for p in range(0, layer[PADDED], PANEL):
            wide = min(PANEL, layer[PADDED] - p)
            _pack(g, p * lanes, wide, p, layer[PAIRS], along, two, zeros, batch, lanes)
        if number > 1:
            _slopes_below(layer, below, packed, slope, along, deep, zeros, batch, lanes)
        _descend(layer, below, weights, packed, both, two, g, one, batch, lanes, rate)
        g, deep = deep, g


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
    packed,
    h,
    slope,
    g,
    deep,
    left,
    both,
    g_left,
    g_both,
    constants,
    lanes,
    losses,
    rate,
):
    """As `loops.batches`."""
    top, lowest, zeros = layers[len(layers) - 1], layers[0], _at(constants, 0)
    classes = top[OUTPUTS]
    tile, each = numpy.empty((LANES + 2) * LANES, numpy.float32), numpy.empty(size, numpy.float32)
    for step in range(first, last):
        batch = min(size, len(order) - step * size)
        _load_images(images, order, step * size, batch, h, lanes)
        for p in range(0, lowest[PADDED], PANEL):
            wide, along, two = min(PANEL, lowest[PADDED] - p), _at(left, lowest[LEFT]), _at(both, lowest[BOTH])
            _pack(h, p * lanes, wide, p, lowest[PAIRS], along, two, zeros, batch, lanes)
        _forward(layers, weights, packed, h, slope, left, both, constants, batch, lanes)
        total = 0.0
        share = numpy.float32(1) / numpy.float32(batch)
        _losses_and_slopes(h[top[ACTIVITY] :], labels, order, step * size, batch, classes, share, g, tile, each)
        _ask_for(images, order, (step + 1) * size, size)
        for b in range(batch):
            total += each[b]
        losses[step] = total / batch
        _backward(layers, weights, packed, h, slope, g, deep, left, both, g_left, g_both, constants, batch, lanes, rate)
