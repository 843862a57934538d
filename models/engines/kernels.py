"""The inner loops of the CPU engine: register tiles and sparse rows, written as vector code for LLVM.

Every address is an integer, every stride counts float32 elements. Columns come in whole vectors of 16 floats: who
calls pads with zeros. A vector of 16 is one register with AVX-512, two with AVX2; LLVM splits it where it must.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
FLOAT, LONG = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)


def _load(builder: ir.IRBuilder, base: Any, offset: Any, kind: Any = VECTOR) -> Any:
    return builder.load(_pointer(builder, base, offset, kind), align=4)


def _store(builder: ir.IRBuilder, value: Any, base: Any, offset: Any) -> None:
    builder.store(value, _pointer(builder, base, offset, value.type), align=4)


def _pointer(builder: ir.IRBuilder, base: Any, offset: Any, kind: Any) -> Any:
    address = builder.add(base, builder.shl(offset, LONG(2)))
    return builder.inttoptr(address, kind.as_pointer())


def _fma(builder: ir.IRBuilder, left: Any, right: Any, addend: Any) -> Any:
    function = _function(builder, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32")
    return builder.call(function, [left, right, addend])


def _function(builder: ir.IRBuilder, kind: ir.FunctionType, name: str) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]


def _splat(builder: ir.IRBuilder, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


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


def tile(rows: int, vectors: int, updates: bool) -> Any:
    """A kernel `(a, row, step, b, ldb, start, lds, c, ldc, count, scale)` over `rows` x `16 * vectors` of `c`.

    acc[i, j] = start[i * lds + j] + sum over k < count of a[i * row + k * step] * b[k * ldb + j], kept in registers;
    then c = acc, or with `updates` c += scale * acc: a sum that starts from zero and is rounded once into c.
    """

    @intrinsic
    def kernel(typing, a, row, step, b, ldb, start, lds, c, ldc, count, scale):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 10, types.float32)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            a, row, step, b, ldb, start, lds, c, ldc, count, scale = args
            places = [(i, j) for i in range(rows) for j in range(vectors)]
            begin = [_load(builder, start, builder.add(builder.mul(lds, LONG(i)), LONG(LANES * j))) for i, j in places]
            loop = _Loop(builder, count, begin)
            along, down = builder.mul(loop.index, step), builder.mul(loop.index, ldb)
            right = [_load(builder, b, builder.add(down, LONG(LANES * j))) for j in range(vectors)]
            left = [
                _splat(builder, _load(builder, a, builder.add(builder.mul(row, LONG(i)), along), FLOAT))
                for i in range(rows)
            ]
            end = loop.close(
                [_fma(builder, left[i], right[j], acc) for (i, j), acc in zip(places, loop.carried, strict=True)]
            )
            for (i, j), value in zip(places, end, strict=True):
                offset = builder.add(builder.mul(ldc, LONG(i)), LONG(LANES * j))
                if updates:
                    value = _fma(builder, _splat(builder, scale), value, _load(builder, c, offset))
                _store(builder, value, c, offset)
            return context.get_dummy_value()

        return signature, code

    return kernel


def sparse_rows(vectors: int) -> Any:
    """A kernel `(index, value, count, w, ldw, y)`: y[j] += sum over i of value[i] * w[index[i] * ldw + j]."""

    @intrinsic
    def kernel(typing, index, value, count, w, ldw, y):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 6)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            index, value, count, w, ldw, y = args
            begin = [_load(builder, y, LONG(LANES * j)) for j in range(vectors)]
            loop = _Loop(builder, count, begin)
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
            return context.get_dummy_value()

        return signature, code

    return kernel


def sparse_update(vectors: int, dots: bool) -> Any:
    """A kernel `(index, value, count, w, ldw, g, scale, d)` in one pass over the rows of w that are named.

    With `dots`, d[index[i]] += w[row] . g before the row changes; then w[row] += scale * value[i] * g.
    """

    @intrinsic
    def kernel(typing, index, value, count, w, ldw, g, scale, d):  # type: ignore[no-untyped-def]
        signature = types.void(*[types.int64] * 6, types.float32, types.int64)

        def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
            index, value, count, w, ldw, g, scale, d = args
            slopes = [_load(builder, g, LONG(LANES * j)) for j in range(vectors)]
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
            return context.get_dummy_value()

        return signature, code

    return kernel


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
        kind = ir.VectorType(ir.IntType(32), lanes)
        low = builder.shuffle_vector(vector, vector, ir.Constant(kind, list(range(lanes))))
        high = builder.shuffle_vector(vector, vector, ir.Constant(kind, list(range(lanes, 2 * lanes))))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.IntType(32)(0))
