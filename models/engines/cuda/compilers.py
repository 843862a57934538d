"""Compiles the kernels for a device with NVRTC, which PyTorch's Linux wheels bring."""

import functools
import hashlib
import pathlib
from typing import Any

from models import backends, errors

SOURCES = ("kernels.cu", "products.cuh", "teams.cuh", "activations.cuh", "tensor_cores.cuh")
OPTIONS = ("-std=c++17", "-default-device", "-fmad=false")
TENSOR_CORES = (8, 0)  # the first compute capability whose tensor cores take TF32 and bf16
FOLDER = pathlib.Path(__file__).parent


@functools.cache
def checksum(precision: str = backends.FLOAT32) -> str:
    """Which version of the kernels, and how they are compiled: the first 16 digits of a SHA-256."""
    parts = [(FOLDER / name).read_bytes() for name in SOURCES]
    return hashlib.sha256(b"".join([*parts, *map(str.encode, (*OPTIONS, *defined(precision)))])).hexdigest()[:16]


def defined(precision: str) -> tuple[str, ...]:
    """The macro by which the kernels have tensor cores multiply; none in float32."""
    return () if precision == backends.FLOAT32 else (f"-D{precision.upper()}",)


def check(engine: str = "cuda") -> None:
    """Whether there is what compiles.

    Args:
        engine: that asks, for what is said.

    Raises:
        errors.DeviceError: it is not; the text says what brings it.
    """
    try:
        from cuda.bindings import driver, nvrtc  # noqa: F401
    except ImportError as error:
        raise errors.DeviceError(
            f"engine {engine!r} needs cuda-bindings, which PyTorch's CUDA wheels bring: {error}"
        ) from None


def compiled(capability: tuple[int, int], precision: str = backends.FLOAT32) -> bytes:
    """Machine code of a compute capability, as `(9, 0)`; takes some seconds, and no GPU.

    Raises:
        errors.DeviceError: NVRTC is not there, or too old for the device: its first line says why; or the device has
            no tensor cores that multiply in this precision.
    """
    check()
    architecture = f"sm_{capability[0]}{capability[1]}"
    if precision != backends.FLOAT32 and capability < TENSOR_CORES:
        raise errors.DeviceError(f"products in {precision} need a GPU of sm_80 or later, this one is {architecture}")
    from cuda.bindings import nvrtc

    headers = [(FOLDER / name).read_bytes() for name in SOURCES[1:]]
    names = [name.encode() for name in SOURCES]
    source = (FOLDER / SOURCES[0]).read_bytes()
    program = _checked(nvrtc, nvrtc.nvrtcCreateProgram(source, names[0], len(headers), headers, names[1:]))
    options = [f"-arch={architecture}", *OPTIONS, *defined(precision)]
    try:
        done = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if int(done[0]):
            log = _taken(nvrtc, program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
            said = log.decode(errors="replace").strip("\0\n ").partition("\n")[0]
            raise errors.DeviceError(f"NVRTC does not compile for {options[0]}: {said or done[0].name}")
        return _taken(nvrtc, program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _taken(nvrtc: Any, program: Any, size: Any, get: Any) -> bytes:
    found = bytearray(_checked(nvrtc, size(program)))
    _checked(nvrtc, get(program, found))
    return bytes(found)


def _checked(nvrtc: Any, answer: tuple[Any, ...]) -> Any:
    """What a call of NVRTC gives.

    Raises:
        errors.DeviceError: an error.
    """
    if int(answer[0]):
        raise errors.DeviceError(f"NVRTC: {nvrtc.nvrtcGetErrorString(answer[0])[1].decode()}")
    return answer[1] if len(answer) > 1 else None
