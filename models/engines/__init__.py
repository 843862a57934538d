"""The engines by name: `load("auto")` gives the best one for a device."""

import logging
from collections.abc import Callable

from models import backends, engine, errors, recipes
from models.engines import cpu, kernels

log = logging.getLogger(__name__)


def _reference(device: str) -> engine.Engine:
    from models.engines import reference  # torch: two seconds and 600 MB, which a worker with the cpu's does without

    return reference.Reference(device)


def _cuda(device: str) -> engine.Engine:
    from models.engines import cuda  # and torch with it

    return cuda.Cuda(device)


def _cpu_bf16(device: str) -> engine.Engine:
    from models.engines import cpu_bf16

    return cpu_bf16.CpuBf16(device)


def _tf32(device: str) -> engine.Engine:
    from models.engines import cuda

    return cuda.Tf32(device)


def _bf16(device: str) -> engine.Engine:
    from models.engines import cuda

    return cuda.Bf16(device)


CUDA = {"cuda": "float32", "cuda-tf32": "tf32", "cuda-bf16": "bf16"}  # the engines of GPUs alone, and their precisions
PRECISIONS = {"cpu-bf16": "bf16"} | {name: each for name, each in CUDA.items() if each != backends.FLOAT32}
ENGINES: dict[str, Callable[[str], engine.Engine]] = {
    "reference": _reference,
    "cpu": cpu.Cpu,
    "cpu-bf16": _cpu_bf16,
    "cuda": _cuda,
    "cuda-tf32": _tf32,
    "cuda-bf16": _bf16,
}

IN_TEAMS = tuple(CUDA)  # of which several parts of a device can share one network


def names(device: str) -> tuple[str, ...]:
    """The engines that train on a device of this machine, the one for float32 first."""
    if device != "cpu":
        return (*CUDA, "reference")
    return ("cpu", "reference", *(("cpu-bf16",) if kernels.HAS_BF16 else ()))


def is_coarser(name: str, recipe: recipes.Recipe) -> bool:
    """Whether an engine multiplies numbers coarser than float32 for a recipe; one that has them may do without."""
    if name != "cpu-bf16":
        return name in PRECISIONS and recipe.batch_size > backends.FEW
    from models.engines import cpu_bf16

    return cpu_bf16.is_paired(recipe)


def load(name: str = "auto", device: str | None = None) -> engine.Engine:
    """An engine on a device: "cpu" (default), "cuda" or "cuda:1"; "auto" is the one for a network that trains alone.

    Raises:
        errors.DeviceError: no such engine, or no such device on this machine.
    """
    device = check(name, device)
    if name == "auto":
        name = "cpu" if device == "cpu" else "reference"
    if name in CUDA and not is_trusted(device, name, insisting=True):
        name = "reference"
    return make(name, device)


def is_trusted(device: str, name: str = "cuda", insisting: bool = False) -> bool:
    """Whether an engine of `CUDA` may train on a device: at its first use there it is checked; the log says so.

    Args:
        insisting: it was asked for by name.

    Raises:
        errors.DeviceError: it cannot be had, and was asked for.
    """
    from models.engines import verdicts

    try:
        check_device(device)
    except errors.DeviceError:
        if insisting:
            raise
        return False  # no engine trains there, and the next one says so
    try:
        return verdicts.trusted(make(name, device))
    except Exception as error:  # nothing about a device may take the reference away
        if insisting:
            raise
        log.warning(
            "event=unavailable engine=%s device=%s reason=%r note='the reference trains'", name, device, str(error)
        )
        return False


def make(name: str, device: str) -> engine.Engine:
    """An engine as it is, whatever was found of its device.

    Raises:
        errors.DeviceError: it cannot be had here.
    """
    return ENGINES[name](device)


def check(name: str, device: str | None = None) -> str:
    """Whether an engine and its device are here, without taking the device; returns the device.

    Raises:
        errors.DeviceError: one is not.
    """
    if name != "auto" and name not in ENGINES:
        raise errors.DeviceError(f"engine must be one of auto, {', '.join(ENGINES)}, got {name!r}")
    device = check_device(device or "cpu")
    if name.startswith("cpu"):
        make(name, device)
    elif name in CUDA:
        from models.engines import cuda

        cuda.check(device, name)
    return device


def check_device(device: str) -> str:
    """`device` itself, if torch has it here.

    Raises:
        errors.DeviceError: it is no device, or none of this machine.
    """
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise errors.DeviceError(f"device must be cpu, cuda or cuda:N, got {device!r}")
    if kind == "cpu":
        return device
    import torch

    if not torch.cuda.is_available():
        raise errors.DeviceError(f"device {device!r} is not there: torch {torch.__version__} sees no CUDA device")
    if int(index or 0) >= torch.cuda.device_count():
        raise errors.DeviceError(f"device {device!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices")
    return device
