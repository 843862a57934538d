"""What one core of this machine can do at most: products a second, and bytes a second from where they lie."""

import dataclasses
import functools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from models import caches
from models.engines import kernels

LANES = kernels.LANES
CHAINS = kernels.TILE_ROWS * kernels.TILE_VECTORS  # sums at once: as many as the registers hold
TURNS = 64  # of the chains between two calls
BLOCK = 64 * LANES  # float32 that are read between two calls
READ_CHAINS = 8
LINE = 64  # bytes that come together
SECONDS = 0.001  # of CPU that a try takes at least; a run takes dozens, of which the quickest counts
TRIES = 2  # the first brings the bytes to where they are read from
FOUND = pathlib.Path("/sys/devices/system/cpu/cpu0/cache")
GLIBC = {"L1": 188, "L2": 194, "L3": 197}  # `_SC_LEVEL1_DCACHE_SIZE` and on: Python has no names for them
ASSUMED = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}  # where nothing says it
MEMORY, LARGEST = "memory", 512 << 20
VECTOR = ir.VectorType(ir.FloatType(), LANES)


@dataclasses.dataclass(frozen=True)
class Limits:
    """The fastest that was seen.

    Args:
        fma: products and sums a second in float32, each counted, of one core: FLOP/s.
        reads: bytes a second that one core reads, by level, the nearest first, `memory` last.
        sizes: bytes of each level but the memory.
    """

    fma: float
    reads: dict[str, float]
    sizes: dict[str, int]

    def level(self, held: float) -> str:
        """The nearest level that holds so many bytes."""
        return next((name for name, size in self.sizes.items() if held <= size), MEMORY)

    def fastest(self, other: "Limits") -> "Limits":
        """Of two measurements of one machine."""
        reads = {name: max(speed, other.reads[name]) for name, speed in self.reads.items()}
        return Limits(max(self.fma, other.fma), reads, self.sizes)

    def seconds(self, flops: float, traffic: Iterable[tuple[float, float]]) -> float:
        """What a piece of work takes at least: its products, or the way of its bytes if that takes longer.

        Args:
            flops: products and sums, each counted.
            traffic: bytes that are read, and how many bytes the level must hold that they come from.
        """
        return max(flops / self.fma, sum(read / self.reads[self.level(held)] for read, held in traffic))


class Core:
    """The core that this thread is on, measured again and again; its buffers are kept from time to time."""

    def __init__(self, sizes: dict[str, int] | None = None) -> None:
        self._sizes = cache_sizes() if sizes is None else sizes
        self._out = _ones(LANES * max(CHAINS, READ_CHAINS))
        self._buffers = {name: _ones(held // 4 // BLOCK * BLOCK) for name, held in buffers(self._sizes).items()}
        self._multiplied = _Pace(lambda times: _multiply(self._out, times))
        self._read = {
            name: _Pace(functools.partial(_go_through, held, self._out)) for name, held in self._buffers.items()
        }

    def measure(self) -> Limits:
        """About ten milliseconds, and two passes through the memory's buffer."""
        fma = 2.0 * LANES * CHAINS * TURNS * self._multiplied.measure()
        reads = {name: self._buffers[name].nbytes * pace.measure() for name, pace in self._read.items()}
        return Limits(fma, reads, self._sizes)


def buffers(sizes: dict[str, int]) -> dict[str, int]:
    """Bytes to go through so that they come from each level: half of the nearest, then four times the one before.

    Where the next is too small for that, half of the way to its size; from the memory at most half a gigabyte.
    """
    found, before = {}, 0
    for name, size in sizes.items():
        found[name] = min(4 * before, (before + size) // 2) if before else size // 2
        before = size
    return {**found, MEMORY: min(4 * before, LARGEST)}


def cache_sizes() -> dict[str, int]:
    """Bytes of each level of data that the first core sees, by name, the nearest first."""
    found = _of_sys(FOUND) or _of_sysconf() or ASSUMED
    rising: dict[str, int] = {}
    for name, size in sorted(found.items()):
        if size > max(rising.values(), default=0):  # a machine that says it otherwise has no such level
            rising[name] = size
    return rising


def _of_sys(folder: pathlib.Path) -> dict[str, int]:
    """What Linux says; nothing where it does not, or what cannot be read."""
    units, found = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}, {}
    try:
        for place in sorted(folder.glob("index*")):
            level, kind, size = ((place / name).read_text().strip() for name in ("level", "type", "size"))
            if kind != "Instruction":
                found[f"L{int(level)}"] = int(size[:-1]) * units[size[-1]]
    except (OSError, ValueError, KeyError, IndexError):
        return {}
    return found


def _of_sysconf() -> dict[str, int]:
    """What glibc says."""
    if not sys.platform.startswith("linux"):
        return {}
    try:
        found = {name: os.sysconf(number) for name, number in GLIBC.items()}
    except (OSError, ValueError):
        return {}
    return {name: size for name, size in found.items() if size > 0}


def _ones(size: int) -> numpy.ndarray:
    """Ones that begin at a cache line; written, not only reserved: untouched pages would all be the same one."""
    raw = numpy.ones(size + LINE // 4, numpy.float32)
    skip = -raw.ctypes.data % LINE // 4
    return raw[skip : skip + size]


class _Pace:
    """How often a second something is done; how many times fill a try is kept from measurement to measurement."""

    def __init__(self, work: Callable[[int], Any]) -> None:
        self._work, self._times = work, 1
        work(1)  # compiled, or fetched from the cache

    def measure(self) -> float:
        """By CPU time: the quickest of the tries."""
        paces: list[float] = []
        while len(paces) < TRIES:
            started = time.process_time()
            self._work(self._times)
            taken = time.process_time() - started
            if taken >= SECONDS:
                paces.append(self._times / taken)
            else:
                self._times *= 2
        return max(paces)


def _at(builder: ir.IRBuilder, base: Any, vector: int) -> Any:
    return builder.inttoptr(builder.add(base, ir.Constant(ir.IntType(64), 4 * LANES * vector)), VECTOR.as_pointer())


def _each(builder: ir.IRBuilder, base: Any, count: int) -> list[Any]:
    return [builder.load(_at(builder, base, number), align=4) for number in range(count)]


def _keep(builder: ir.IRBuilder, values: Sequence[Any], base: Any) -> None:
    for number, value in enumerate(values):
        builder.store(value, _at(builder, base, number), align=4)


@intrinsic
def _fused(typing, sums):  # type: ignore[no-untyped-def]
    """Multiplies and adds each of CHAINS vectors TURNS times, in registers: x / 2 + 1, which stays a usual number."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")  # type: ignore[no-untyped-call]
        half, one = (ir.Constant(VECTOR, [number] * LANES) for number in (0.5, 1.0))
        chains = _each(builder, args[0], CHAINS)
        for _ in range(TURNS):
            chains = [builder.call(fma, [chain, half, one]) for chain in chains]
        _keep(builder, chains, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), code


@intrinsic
def _read(typing, source, sums):  # type: ignore[no-untyped-def]
    """Adds a block of floats to READ_CHAINS vectors."""

    def code(context: Any, builder: ir.IRBuilder, _: Any, args: Any) -> Any:
        chains = _each(builder, args[1], READ_CHAINS)
        for number, value in enumerate(_each(builder, args[0], BLOCK // LANES)):
            chains[number % READ_CHAINS] = builder.fadd(chains[number % READ_CHAINS], value)
        _keep(builder, chains, args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


_multiply_block: Any = _fused
_read_block: Any = _read


@caches.compiled
def _multiply(out, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        _multiply_block(numpy.int64(out.ctypes.data))


@caches.compiled
def _go_through(held, out, times):  # type: ignore[no-untyped-def]
    for _ in range(times):
        for block in range(0, len(held), BLOCK):
            _read_block(numpy.int64(held.ctypes.data) + 4 * block, numpy.int64(out.ctypes.data))
