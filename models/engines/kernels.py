"""The inner loops of the CPU engine: register tiles and sparse rows, written as vector code for LLVM.

Every address is an integer, every stride counts float32 elements. Columns come in whole vectors of 16 floats: who
calls pads with zeros. A vector of 16 is one register with AVX-512, two with AVX2; LLVM splits it where it must.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.extending import intrinsic

from models.datasets import CLASSES

LANES = 16
PANEL = 2 * LANES
CHAINS = 8  # sums at once that keep two units busy whose result takes four cycles
FLOAT, LONG = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
WORDS, HALVES = ir.VectorType(ir.IntType(32), LANES), ir.VectorType(ir.IntType(16), 2 * LANES)


def _features() -> list[str]:
    """What the target has."""
    asked = getattr(config, "CPU_FEATURES", None)  # NUMBA_CPU_FEATURES
    return str(codegen.get_host_cpu_features() if asked is None else asked).split(",")  # type: ignore[no-untyped-call]


def _tile() -> tuple[int, int, int]:
    """Rows and vectors of the largest tile, vectors of the widest row, whose sums fit the registers of the target."""
    return (8, 2, 8) if "+avx512f" in _features() else (4, 1, 4)


HAS_BF16 = {"+avx512f", "+avx512bw", "+avx512bf16"} <= set(_features())
TILE_ROWS, TILE_VECTORS, SPARSE_VECTORS = _tile()
SCORED = 2 if TILE_VECTORS > 1 else 1  # samples whose sums for all classes fit the registers


def _load(builder: ir.IRBuilder, base: Any, offset: Any, kind: Any = VECTOR) -> Any:
    return builder.load(_pointer(builder, base, offset, kind), align=4)


def _store(builder: ir.IRBuilder, value: Any, base: Any, offset: Any) -> None:
    builder.store(value, _pointer(builder, base, offset, value.type), align=4)


def _pointer(builder: ir.IRBuilder, base: Any, offset: Any, kind: Any) -> Any:
    address = builder.add(base, builder.shl(offset, LONG(2)))
    return builder.inttoptr(address, kind.as_pointer())


def _fma(builder: ir.IRBuilder, left: Any, right: Any, addend: Any) -> Any:
    # fmuladd, not fma: a processor that has none would call a function for every element
    function = _function(builder, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fmuladd.v{LANES}f32")
    return builder.call(function, [left, right, addend])


def _fma_pairs(builder: ir.IRBuilder, left: Any, right: Any, addend: Any) -> Any:
    # named with the types of LLVM's first version of it, which later ones read as theirs
    kind = ir.FunctionType(VECTOR, [VECTOR, WORDS, WORDS])
    function = _function(builder, kind, "llvm.x86.avx512bf16.dpbf16ps.512")
    return builder.call(function, [addend, builder.bitcast(left, WORDS), builder.bitcast(right, WORDS)])


def _function(builder: ir.IRBuilder, kind: ir.FunctionType, name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]


def _splat(builder: ir.IRBuilder, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.IntType(32)(0))
    return _shuffle(builder, one, one, [0] * LANES)


def _shuffle(builder: ir.IRBuilder, one: Any, two: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(one, two, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


class _Loop:
    """`for i in range(count)` with values carried from round to round."""

    def __init__(self, builder: ir.IRBuilder, count: Any, carried: list[Any]) -> None:
        self._builder = builder
        start, self._head = builder.block, builder.append_basic_block("head")
        self._body, self._end = builder.append_basic_block("body"), builder.append_basic_block("end")
        builder.branch(self._head)
        builder.position_at_end(self._head)
        self.index = builder.phi(LONG)
        self.index.add_incoming(LONG(0), start)
        self.carried = []
        for value in carried:
            phi = builder.phi(value.type)
            phi.add_incoming(value, start)
            self.carried.append(phi)
        builder.cbranch(builder.icmp_signed("<", self.index, count), self._body, self._end)
        builder.position_at_end(self._body)

    def close(self, carried: list[Any]) -> list[Any]:
        """Ends the body; returns the values after the last round."""
        builder, block = self._builder, self._builder.block
        self.index.add_incoming(builder.add(self.index, LONG(1)), block)
        for phi, value in zip(self.carried, carried, strict=True):
            phi.add_incoming(value, block)
        builder.branch(self._head)
        builder.position_at_end(self._end)
        return self.carried


def _zero(builder: ir.IRBuilder) -> Any:
    return ir.Constant(VECTOR, [0.0] * LANES)


def _choose(builder: ir.IRBuilder, key: Any, codes: dict[int, Callable[[], None]]) -> None:
    """Jumps to the code of a key."""
    end = builder.append_basic_block("end")
    jump = builder.switch(key, end)
    for number, emit in codes.items():
        block = builder.append_basic_block(f"case_{number}")
        jump.add_case(LONG(number), block)
        builder.position_at_end(block)
        emit()
        builder.branch(end)
    builder.position_at_end(end)


def _choose_tile(builder: ir.IRBuilder, rows: Any, vectors: Any, emit: Callable[[int, int], None]) -> None:
    """Emits every tile up to the largest."""
    key = builder.add(builder.mul(rows, LONG(TILE_VECTORS + 1)), vectors)
    shapes = itertools.product(range(1, TILE_ROWS + 1), range(1, TILE_VECTORS + 1))
    _choose(
        builder, key, {high * (TILE_VECTORS + 1) + wide: functools.partial(emit, high, wide) for high, wide in shapes}
    )


def _choose_row(builder: ir.IRBuilder, vectors: Any, emit: Callable[[int], None]) -> None:
    _choose(builder, vectors, {wide: functools.partial(emit, wide) for wide in range(1, SPARSE_VECTORS + 1)})


def product(pairs: bool) -> Any:
    """A kernel `(rows, vectors, a, row, block, blocks, count, b, ldb, start, lds, c, ldc)`: a tile of C = start + a b.

    The tile is `rows` x `16 * vectors`, its sums kept in registers:
    c[i * ldc + j] = start[i * lds + j] + the sum over p < blocks and k < count, a multiple of 4, of
    a[i * row + p * block + k] * b[(p * count + k) * ldb + j].

    With `pairs`, an element of a and of b is a pair of bf16, their product the sum of the two products.
    """
    multiply = _fma_pairs if pairs else _fma

    @intrinsic
    def kernel(typing, rows, vectors, a, row, block, blocks, count, b, ldb, start, lds, c, ldc):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 13)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            rows, vectors, a, row, block, blocks, count, b, ldb, start, lds, c, ldc = args

            def emit(high: int, wide: int) -> None:
                places = list(itertools.product(range(high), range(wide)))
                apart = next(
                    n for n in (1, 2, 4) if n * len(places) >= CHAINS or n == 4
                )  # sums that do not wait for each other
                sums = [
                    _load(builder, start, builder.add(builder.mul(lds, LONG(i)), LONG(LANES * j))) for i, j in places
                ]
                sums += [_zero(builder)] * (len(places) * (apart - 1))
                outer = _Loop(builder, blocks, sums)
                a_block, done = builder.mul(outer.index, block), builder.mul(outer.index, count)
                inner = _Loop(builder, builder.sdiv(count, LONG(apart)), outer.carried)
                sums = []
                for turn in range(apart):
                    k = builder.add(builder.mul(inner.index, LONG(apart)), LONG(turn))
                    along = builder.add(a_block, k)
                    down = builder.mul(builder.add(done, k), ldb)
                    right = [_load(builder, b, builder.add(down, LONG(LANES * j))) for j in range(wide)]
                    left = [
                        _splat(builder, _load(builder, a, builder.add(builder.mul(row, LONG(i)), along), FLOAT))
                        for i in range(high)
                    ]
                    before = inner.carried[turn * len(places) : (turn + 1) * len(places)]
                    sums += [
                        multiply(builder, left[i], right[j], acc) for (i, j), acc in zip(places, before, strict=True)
                    ]
                sums = outer.close(inner.close(sums))
                while len(sums) > len(places):
                    half = len(sums) // 2
                    sums = [builder.fadd(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
                for (i, j), value in zip(places, sums, strict=True):
                    _store(builder, value, c, builder.add(builder.mul(ldc, LONG(i)), LONG(LANES * j)))

            _choose_tile(builder, rows, vectors, emit)
            return context.get_dummy_value()

        return signature, code

    return kernel


def update(pairs: bool) -> Any:
    """A kernel `(rows, vectors, a, step, count, b, ldb, c, ldc, scale)`: a tile of C += scale x a b.

    Sums start from zero and are rounded into c once:
    c[i * ldc + j] += scale * the sum over k < count of a[i + k * step] * b[k * ldb + j]; `pairs` as in `product`.
    """
    multiply = _fma_pairs if pairs else _fma

    @intrinsic
    def kernel(typing, rows, vectors, a, step, count, b, ldb, c, ldc, scale):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 9, types.float32)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            rows, vectors, a, step, count, b, ldb, c, ldc, scale = args

            def emit(high: int, wide: int) -> None:
                places = list(itertools.product(range(high), range(wide)))
                if pairs:  # they are due sooner than the L3 gives them
                    for i in range(high):
                        _ask(builder, builder.add(c, builder.shl(builder.mul(ldc, LONG(i)), LONG(2))), wide)
                loop = _Loop(builder, count, [_zero(builder)] * len(places))
                along, down = builder.mul(loop.index, step), builder.mul(loop.index, ldb)
                right = [_load(builder, b, builder.add(down, LONG(LANES * j))) for j in range(wide)]
                left = [_splat(builder, _load(builder, a, builder.add(along, LONG(i)), FLOAT)) for i in range(high)]
                before = zip(places, loop.carried, strict=True)
                sums = loop.close([multiply(builder, left[i], right[j], acc) for (i, j), acc in before])
                factor = _splat(builder, scale)
                for (i, j), value in zip(places, sums, strict=True):
                    offset = builder.add(builder.mul(ldc, LONG(i)), LONG(LANES * j))
                    _store(builder, _fma(builder, factor, value, _load(builder, c, offset)), c, offset)

            _choose_tile(builder, rows, vectors, emit)
            return context.get_dummy_value()

        return signature, code

    return kernel


@intrinsic
def update_rows(typing, rows, vectors, a, step, count, b, ldb, c, ldc, scale):  # type: ignore[no-untyped-def]
    """As the kernel of `update`, of any number of rows and up to TILE_ROWS of b, which stay in registers."""
    signature = types.void(*[types.int64] * 9, types.float32)

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        rows, vectors, a, step, count, b, ldb, c, ldc, scale = args

        def emit(many: int, wide: int) -> None:
            right = [
                [_load(builder, b, builder.add(builder.mul(ldb, LONG(k)), LONG(LANES * j))) for j in range(wide)]
                for k in range(many)
            ]
            factor, loop = _splat(builder, scale), _Loop(builder, rows, [])
            places = [builder.add(builder.mul(step, LONG(k)), loop.index) for k in range(many)]
            left = [_splat(builder, _load(builder, a, place, FLOAT)) for place in places]
            for j in range(wide):
                total = _zero(builder)
                for k in range(many):
                    total = _fma(builder, left[k], right[k][j], total)
                offset = builder.add(builder.mul(ldc, loop.index), LONG(LANES * j))
                _store(builder, _fma(builder, factor, total, _load(builder, c, offset)), c, offset)
            loop.close([])

        _choose_tile(builder, count, vectors, emit)
        return context.get_dummy_value()

    return signature, code


@intrinsic
def pack_rows(typing, vectors, one, two, to_one, to_two, across):  # type: ignore[no-untyped-def]
    """Two rows of `16 * vectors` floats, at most 32, rounded to bf16: pairs along each row, 16, and pairs across them.

    to_one[k] = (one[2 k], one[2 k + 1]), zeros after the last; to_two[k] likewise; across[j] = (one[j], two[j]).
    """

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        vectors, one, two, to_one, to_two, across = args

        def emit(wide: int) -> None:
            rows = [[_load(builder, each, LONG(LANES * j)) for j in range(wide)] for each in (one, two)]
            for row, target in zip(rows, (to_one, to_two), strict=True):
                _store(builder, _along(builder, row), target, LONG(0))
            for j, (upper, lower) in enumerate(zip(*rows, strict=True)):
                _store(builder, _across(builder, upper, lower), across, LONG(LANES * j))

        _choose(builder, vectors, {wide: functools.partial(emit, wide) for wide in (1, 2)})
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), code


@intrinsic
def pack_weights(typing, vectors, w, ldw, across, lda, down, ldd):  # type: ignore[no-untyped-def]
    """16 rows of `16 * vectors` floats, at most 32, rounded to bf16: pairs across rows; pairs along them, transposed.

    across[i * lda + j] = (w[2 i * ldw + j], w[(2 i + 1) * ldw + j]);
    down[k * ldd + i] = (w[i * ldw + 2 k], w[i * ldw + 2 k + 1]), zeros after the last k, for k < 16.
    """

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        vectors, w, ldw, across, lda, down, ldd = args

        def emit(wide: int) -> None:
            rows = [
                [_load(builder, w, builder.add(builder.mul(ldw, LONG(i)), LONG(LANES * j))) for j in range(wide)]
                for i in range(LANES)
            ]
            for i, j in itertools.product(range(LANES // 2), range(wide)):
                offset = builder.add(builder.mul(lda, LONG(i)), LONG(LANES * j))
                _store(builder, _across(builder, rows[2 * i][j], rows[2 * i + 1][j]), across, offset)
            for k, column in enumerate(_transposed(builder, [_along(builder, row) for row in rows])):
                _store(builder, column, down, builder.mul(ldd, LONG(k)))

        _choose(builder, vectors, {wide: functools.partial(emit, wide) for wide in (1, 2)})
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), code


def _along(builder: ir.IRBuilder, row: list[Any]) -> Any:
    """Pairs along a row of one vector or two: 16, zeros after the last."""
    return builder.bitcast(_rounded(builder, row[0], row[1] if len(row) > 1 else _zero(builder)), VECTOR)


def _across(builder: ir.IRBuilder, upper: Any, lower: Any) -> Any:
    """Pairs of what stands above one another in two vectors."""
    both = _rounded(builder, upper, lower)
    places = [place for k in range(LANES) for place in (k, k + LANES)]
    return builder.bitcast(_shuffle(builder, both, both, places), VECTOR)


def _rounded(builder: ir.IRBuilder, low: Any, high: Any) -> Any:
    """32 floats as bf16, to the nearest, of two the even one."""
    function = _function(builder, ir.FunctionType(HALVES, [VECTOR] * 2), "llvm.x86.avx512bf16.cvtne2ps2bf16.512")
    return builder.call(function, [high, low])


@intrinsic
def widen(typing, source, target):  # type: ignore[no-untyped-def]
    """16 bytes as floats, divided by 255: as `ToTensor` does, to the last bit."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        source, target = args
        kind = ir.VectorType(ir.IntType(8), LANES)
        pixels = builder.uitofp(builder.load(builder.inttoptr(source, kind.as_pointer()), align=1), VECTOR)
        # a byte x 257 / 65,536 is exact; with the rest of 1 / 255 the sum rounds as the quotient does
        large, rest = _splat(builder, FLOAT(257 / 65536)), _splat(builder, FLOAT(1 / 255 - 257 / 65536))
        _store(builder, _fma(builder, pixels, large, builder.fmul(pixels, rest)), target, LONG(0))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def copy(typing, source, target):  # type: ignore[no-untyped-def]
    """16 floats."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        _store(builder, _load(builder, args[0], LONG(0)), args[1], LONG(0))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


def transpose(multiplies: bool) -> Any:
    """A kernel `(a, lda, c, ldc, times)`: 16 x 16 elements of `a` across the diagonal into `c`.

    With `multiplies`, each times the element of `times` that lies as it will lie in `c`.
    """

    @intrinsic
    def kernel(typing, a, lda, c, ldc, times):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 5)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            a, lda, c, ldc, times = args
            rows = [_load(builder, a, builder.mul(lda, LONG(i))) for i in range(LANES)]
            for i, value in enumerate(_transposed(builder, rows)):
                offset = builder.mul(ldc, LONG(i))
                if multiplies:
                    value = builder.fmul(value, _load(builder, times, offset))
                _store(builder, value, c, offset)
            return context.get_dummy_value()

        return signature, code

    return kernel


def _transposed(builder: ir.IRBuilder, rows: list[Any]) -> list[Any]:
    """16 x 16 elements across the diagonal."""
    for _ in range(LANES.bit_length() - 1):  # perfect shuffles: as many as a row's number has bits
        rows = [row for pair in _interleave(builder, rows) for row in pair]
    return rows


@intrinsic
def below_highest(typing, rows, t, highest):  # type: ignore[no-untyped-def]
    """Of 16 columns in `rows` rows of 16 the highest values, (16,), and t less them."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        rows, t, highest = args
        loop = _Loop(builder, builder.sub(rows, LONG(1)), [_load(builder, t, LONG(0))])
        value = _load(builder, t, builder.mul(builder.add(loop.index, LONG(1)), LONG(LANES)))
        above = builder.fcmp_ordered(">", value, loop.carried[0])
        (most,) = loop.close([builder.select(above, value, loop.carried[0])])
        _store(builder, most, highest, LONG(0))
        loop = _Loop(builder, rows, [])
        offset = builder.mul(loop.index, LONG(LANES))
        _store(builder, builder.fsub(_load(builder, t, offset), most), t, offset)
        loop.close([])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), code


@intrinsic
def to_shares(typing, rows, t, total, share):  # type: ignore[no-untyped-def]
    """Of 16 columns in `rows` rows of 16 the sums, (16,), and t as `share` x its part of them."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        rows, t, total, share = args
        loop = _Loop(builder, rows, [_zero(builder)])
        value = _load(builder, t, builder.mul(loop.index, LONG(LANES)))
        (sums,) = loop.close([builder.fadd(loop.carried[0], value)])
        _store(builder, sums, total, LONG(0))
        factor = _splat(builder, share)
        loop = _Loop(builder, rows, [])
        offset = builder.mul(loop.index, LONG(LANES))
        part = builder.fdiv(_load(builder, t, offset), sums)
        _store(builder, builder.fmul(factor, part), t, offset)
        loop.close([])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3, types.float32), code


@intrinsic
def dots(typing, w, height, i, g, lanes, b, panels, tail, times, c):  # type: ignore[no-untyped-def]
    """16 products of rows: c[k] = times[k] * (row i + k of w) . (row b of g), both in panels of 32 columns.

    Panels of w have `height` rows, those of g `lanes`. After the whole ones come `tail` panels, 0 or 1, of 16 columns.
    """
    signature = types.void(*[types.int64] * 10)

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        w, height, i, g, lanes, b, panels, tail, times, c = args

        def add(sums: list[Any], at: Any, wide: int) -> list[Any]:
            first = builder.add(builder.mul(at, height), builder.mul(i, LONG(wide)))
            slopes = builder.add(builder.mul(at, lanes), builder.mul(b, LONG(wide)))
            for j in range(0, wide, LANES):
                right = _load(builder, g, builder.add(slopes, LONG(j)))
                left = [_load(builder, w, builder.add(first, LONG(k * wide + j))) for k in range(LANES)]
                sums = [_fma(builder, one, right, acc) for one, acc in zip(left, sums, strict=True)]
            return sums

        whole = _Loop(builder, panels, [_zero(builder)] * LANES)
        sums = whole.close(add(whole.carried, builder.mul(whole.index, LONG(2 * LANES)), 2 * LANES))
        rest = _Loop(builder, tail, sums)
        sums = rest.close(add(rest.carried, builder.mul(panels, LONG(2 * LANES)), LANES))
        _store(builder, builder.fmul(_fold(builder, sums), _load(builder, times, LONG(0))), c, LONG(0))
        return context.get_dummy_value()

    return signature, code


@intrinsic
def scores(typing, samples, w, x, lanes, b, panels, tail, bias, c):  # type: ignore[no-untyped-def]
    """Logits of the rows b, ... of x, at most SCORED: c[s * 16 + k] = bias[k] + (row b + s of x) . (row k of w).

    Both lie in panels of 32 columns, those of w of 16 rows, of which the first CLASSES count. After the whole ones come
    `tail` panels, 0 or 1, of 16 columns. The inputs lie in the lanes: ten sums, where classes there would be sixteen.
    """
    signature = types.void(*[types.int64] * 9)

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        samples, w, x, lanes, b, panels, tail, bias, c = args

        def emit(high: int) -> None:
            def add(sums: list[Any], at: Any, wide: int) -> list[Any]:
                first = builder.mul(at, LONG(LANES))
                row = builder.add(builder.mul(at, lanes), builder.mul(b, LONG(wide)))
                for j in range(0, wide, LANES):
                    left = [_load(builder, x, builder.add(row, LONG(s * wide + j))) for s in range(high)]
                    right = [_load(builder, w, builder.add(first, LONG(k * wide + j))) for k in range(CLASSES)]
                    pairs = itertools.product(left, right)
                    sums = [_fma(builder, *pair, acc) for pair, acc in zip(pairs, sums, strict=True)]
                return sums

            whole = _Loop(builder, panels, [_zero(builder)] * (high * CLASSES))
            sums = whole.close(add(whole.carried, builder.mul(whole.index, LONG(2 * LANES)), 2 * LANES))
            rest = _Loop(builder, tail, sums)
            sums = rest.close(add(rest.carried, builder.mul(panels, LONG(2 * LANES)), LANES))
            for s in range(high):
                own = sums[s * CLASSES : (s + 1) * CLASSES] + [_zero(builder)] * (LANES - CLASSES)
                total = builder.fadd(_fold(builder, own), _load(builder, bias, LONG(0)))
                _store(builder, total, c, LONG(s * LANES))

        _choose(builder, samples, {high: functools.partial(emit, high) for high in range(1, SCORED + 1)})
        return context.get_dummy_value()

    return signature, code


def _fold(builder: ir.IRBuilder, rows: list[Any]) -> Any:
    """The sums of 16 vectors' elements, as one vector."""
    while len(rows) > 1:
        rows = [builder.fadd(low, high) for low, high in _interleave(builder, rows)]
    return rows[0]


def _interleave(builder: ir.IRBuilder, rows: list[Any]) -> list[tuple[Any, Any]]:
    """Each row of the first half with its fellow of the second: the lower and the upper 16 of their 32 elements."""
    half = LANES // 2
    low = [place for k in range(half) for place in (k, k + LANES)]
    high = [place + half for place in low]
    pairs = zip(rows[: len(rows) // 2], rows[len(rows) // 2 :], strict=True)
    return [(_shuffle(builder, one, two, low), _shuffle(builder, one, two, high)) for one, two in pairs]


@intrinsic
def add_rows(typing, vectors, index, value, count, w, ldw, start, y):  # type: ignore[no-untyped-def]
    """Y[j] = start[j] + the sum over i < count of value[i] * w[index[i] * ldw + j], for j < 16 * vectors."""
    signature = types.void(*[types.int64] * 8)

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        vectors, index, value, count, w, ldw, start, y = args

        def emit(wide: int) -> None:
            loop = _Loop(builder, count, [_load(builder, start, LONG(LANES * j)) for j in range(wide)])
            row = builder.mul(_long(builder, index, loop.index), ldw)
            factor = _splat(builder, _load(builder, value, loop.index, FLOAT))
            end = loop.close(
                [
                    _fma(builder, factor, _load(builder, w, builder.add(row, LONG(LANES * j))), acc)
                    for j, acc in enumerate(loop.carried)
                ]
            )
            for j, total in enumerate(end):
                _store(builder, total, y, LONG(LANES * j))

        _choose_row(builder, vectors, emit)
        return context.get_dummy_value()

    return signature, code


def step_rows(dots: bool) -> Any:
    """A kernel `(vectors, index, value, count, w, ldw, g, scale, d)` in one pass over the rows of w that are named.

    With `dots`, d[index[i]] += w[row] . g before the row changes; then w[row] += scale * value[i] * g.
    """

    @intrinsic
    def kernel(typing, vectors, index, value, count, w, ldw, g, scale, d):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 7, types.float32, types.int64)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            vectors, index, value, count, w, ldw, g, scale, d = args

            def emit(wide: int) -> None:
                slopes = [_load(builder, g, LONG(LANES * j)) for j in range(wide)]
                loop = _Loop(builder, count, [])
                number = _long(builder, index, loop.index)
                row = builder.mul(number, ldw)
                factor = _splat(builder, builder.fmul(scale, _load(builder, value, loop.index, FLOAT)))
                total = None
                for j, slope in enumerate(slopes):
                    offset = builder.add(row, LONG(LANES * j))
                    weight = _load(builder, w, offset)
                    if dots:
                        total = builder.fmul(weight, slope) if total is None else _fma(builder, weight, slope, total)
                    _store(builder, _fma(builder, factor, slope, weight), w, offset)
                if dots:
                    before = _load(builder, d, number, FLOAT)
                    _store(builder, builder.fadd(before, _sum(builder, total)), d, number)
                loop.close([])

            _choose_row(builder, vectors, emit)
            return context.get_dummy_value()

        return signature, code

    return kernel


def _ask(builder: ir.IRBuilder, address: Any, vectors: int) -> None:
    """Asks for vectors that will be changed."""
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
    function = _function(builder, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0")
    for j in range(vectors):
        place = builder.inttoptr(builder.add(address, LONG(4 * LANES * j)), byte)
        builder.call(function, [place, word(1), word(3), word(1)])


@intrinsic
def prefetch(typing, address):  # type: ignore[no-untyped-def]
    """Asks for the cache line at an address, for reading."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        builder.call(
            _function(builder, kind, "llvm.prefetch.p0"), [builder.inttoptr(args[0], byte), word(0), word(3), word(1)]
        )
        return context.get_dummy_value()

    return types.void(types.int64), code


def _long(builder: ir.IRBuilder, base: Any, offset: Any) -> Any:
    address = builder.add(base, builder.shl(offset, LONG(3)))
    return builder.load(builder.inttoptr(address, LONG.as_pointer()), align=8)


def _sum(builder: ir.IRBuilder, vector: Any) -> Any:
    """The sum of the lanes, halves upon halves."""
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        low = _shuffle(builder, vector, vector, list(range(lanes)))
        high = _shuffle(builder, vector, vector, list(range(lanes, 2 * lanes)))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.IntType(32)(0))
