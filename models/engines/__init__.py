"""The engines by name: `load("auto")` gives the best one for a device."""

from collections.abc import Callable

from models import engine, errors
from models.engines import cpu


def _reference(device: str) -> engine.Engine:
    from models.engines import reference  # torch: two seconds and 600 MB, which a worker with the cpu's does without

    return reference.Reference(device)


ENGINES: dict[str, Callable[[str], engine.Engine]] = {"reference": _reference, "cpu": cpu.Cpu}


def load(name: str = "auto", device: str | None = None) -> engine.Engine:
    """An engine on a device: "cpu" (default), "cuda" or "cuda:1".

    Raises:
        errors.DeviceError: no such engine, or no such device on this machine.
    """
    if name != "auto" and name not in ENGINES:
        raise errors.DeviceError(f"engine must be one of auto, {', '.join(ENGINES)}, got {name!r}")
    device = check_device(device or "cpu")
    if name == "auto":
        name = "cpu" if device == "cpu" else "reference"
    return ENGINES[name](device)


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
