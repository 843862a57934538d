"""A device for the kernels of the cuda engine on the CPU: `emulator.cpp`, compiled by this machine's C++ compiler."""

import ctypes
import functools
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import pytest

from models.engines import cuda
from models.engines.cuda import compilers, layouts

SOURCE = pathlib.Path(__file__).parent / "emulator.cpp"
OPTIONS = ["-O2", "-march=native", "-ffp-contract=off", "-std=c++17", "-U_FORTIFY_SOURCE", "-shared", "-fPIC"]
FORWARD, REVERSE, SHUFFLED = range(3)
COMPILERS = ("c++", "g++", "clang++") if sys.platform == "linux" else ()  # elsewhere its fibers were not tried
COMPILER = next((found for name in COMPILERS if (found := shutil.which(name))), None)
needed = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler on this machine, or not Linux: c++, g++, clang++")
WRONG = {1: "threads of a block wait at different barriers", 2: "the blocks of a team wait for ever"}
NANOSECONDS = 4_000_000  # that a step takes: some sixty in a launch


@functools.cache
def library(*defined: str) -> ctypes.CDLL:
    """The emulator, compiled once a process."""
    assert COMPILER is not None
    kernels = compilers.FOLDER / compilers.SOURCES[0]
    with tempfile.TemporaryDirectory() as folder:
        built = pathlib.Path(folder) / "emulator.so"
        options = [*OPTIONS, "-Wno-unknown-pragmas", f'-DKERNELS="{kernels}"', *defined]
        subprocess.run([COMPILER, *options, str(SOURCE), "-o", str(built)], check=True)
        found = ctypes.CDLL(str(built))
    found.emulate.argtypes = [ctypes.c_void_p, *[ctypes.c_int] * 5, ctypes.c_longlong]
    found.guarded.argtypes, found.guarded.restype = [ctypes.c_size_t], ctypes.c_void_p
    found.release.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    assert found.job_bytes() == layouts.JOB.itemsize
    return found


class Emulated:
    """See `devices.Device`.

    Args:
        how: the order of blocks, warps and lanes: FORWARD, REVERSE or SHUFFLED.
        ahead: each block runs to its end before the next begins; else all from barrier to barrier.
        dropped: the number of a barrier that is left out.
        defined: macros.
    """

    name = "emulated"
    versions = "1"
    blocks = largest_team = 4

    def __init__(
        self, how: int = FORWARD, ahead: bool = False, dropped: int = -1, seed: int = 0, defined: tuple[str, ...] = ()
    ) -> None:
        self._library = library(*defined)
        self.how, self.ahead, self.dropped, self.seed = how, ahead, dropped, seed
        self.nanoseconds = NANOSECONDS
        self.launches: list[int] = []  # blocks of each

    def allocate(self, size: int) -> "_Guarded":
        """See `devices.Device.allocate`."""
        return _Guarded(self._library, size)

    def run(self, jobs: numpy.ndarray) -> None:
        """See `devices.Device.run`."""
        self.launches.append(len(jobs))
        order = (self.how, self.ahead, self.seed, self.dropped)
        assert len(jobs) <= self.blocks
        if wrong := self._library.emulate(jobs.ctypes.data, len(jobs), *order, self.nanoseconds):
            raise RuntimeError(WRONG[wrong])


class _Guarded:
    """Memory that begins as nan and ends at a page that may not be touched."""

    def __init__(self, library: ctypes.CDLL, size: int) -> None:
        self._library, self._size = library, -(-max(1, size) // 16) * 16
        self.address: int = library.guarded(self._size)
        ctypes.memset(self.address, 0xFF, self._size)

    def __del__(self) -> None:
        self._library.release(self.address, self._size)

    def put(self, values: numpy.ndarray) -> None:
        """See `devices.Memory.put`."""
        assert values.flags.c_contiguous
        assert values.nbytes <= self._size
        ctypes.memmove(self.address, values.ctypes.data, values.nbytes)

    def get(self, values: numpy.ndarray) -> None:
        """See `devices.Memory.get`."""
        assert values.flags.c_contiguous
        assert values.nbytes <= self._size
        ctypes.memmove(values.ctypes.data, self.address, values.nbytes)


CLASSES = {each.precision: each for each in (cuda.Cuda, cuda.Tf32, cuda.Bf16)}


def engine(precision: str = "float32", made_for: str | None = None, team: int = 1, **how: object) -> cuda.Cuda:
    """The cuda engine of a precision on an emulated device, with blocks in teams.

    Args:
        made_for: the precision that the device multiplies in, where it is not what it says.
    """
    how.setdefault("defined", compilers.defined(made_for or precision))
    found = CLASSES[precision]("emulated", Emulated(**how))  # type: ignore[arg-type]
    return found if team == 1 else found.in_teams(team)
