"""What the engine asks of a device: memory, and blocks that run a list of jobs."""

import ctypes
import functools
import pathlib
from typing import Any, Protocol

import numpy

from models import backends, errors
from models.engines.cuda import compilers

THREADS = 256
SHARED_BYTES = 4 * (THREADS // 32 * 8 * 128 + 4)  # SHARED_FLOATS of products.cuh, and whether time is over


class Memory(Protocol):
    """A piece of a device's memory; it is given back when nobody holds it."""

    address: int

    def put(self, values: numpy.ndarray) -> None:
        """Copies to its beginning."""
        ...

    def get(self, values: numpy.ndarray) -> None:
        """Copies from its beginning."""
        ...


class Device(Protocol):
    """A GPU, or what stands for one in tests.

    Attributes:
        versions: of what drives it and compiles for it.
        blocks: that run at once.
        largest_team: of blocks that can wait for one another: 1 where none can.
    """

    name: str
    versions: str
    blocks: int
    largest_team: int

    def allocate(self, size: int) -> Memory:
        """Bytes, at least one."""
        ...

    def run(self, jobs: numpy.ndarray) -> None:
        """Runs a block for each of the jobs (layouts.JOB), waits for all, and writes into `done` how far they came.

        At most `blocks`, all at once. What a team came to is in the job of its first block. Only one thread calls it;
        the others may allocate and copy meanwhile.
        """
        ...


class Gpu:
    """A CUDA device, by PyTorch's memory and streams and the driver's launches.

    Args:
        precision: of what the kernels multiply in tiles.

    Raises:
        errors.DeviceError: no such device, or the kernels cannot be compiled for it.
    """

    def __init__(self, device: str, precision: str = backends.FLOAT32) -> None:
        import torch
        from cuda.bindings import driver

        self._torch, self._driver, self._device = torch, driver, torch.device(device)
        properties = torch.cuda.get_device_properties(self._device)
        self.name, self.blocks = properties.name, properties.multi_processor_count
        self.versions = f"driver {_driver_version()}, CUDA {torch.version.cuda}"
        self._stream = torch.cuda.Stream(self._device)
        with torch.cuda.device(self._device):
            torch.zeros(1, device=self._device)  # PyTorch's context, which the driver's calls share
            self._kernel = self._load((properties.major, properties.minor), precision)
            self.largest_team = self.blocks if self._can_cooperate() else 1

    def allocate(self, size: int) -> Memory:
        """See `Device.allocate`."""
        found = self._torch.empty(max(1, size), dtype=self._torch.uint8, device=self._device)
        # launches have a stream of their own: what the last owner, or deterministic mode, writes there must be over
        self._torch.cuda.current_stream(self._device).synchronize()
        return _Tensor(self._torch, found)

    def run(self, jobs: numpy.ndarray) -> None:
        """See `Device.run`."""
        torch, driver = self._torch, self._driver
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            host = torch.from_numpy(jobs.view(numpy.uint8).reshape(-1))
            table = host.to(self._device)
            arguments = ((table.data_ptr(),), (ctypes.c_void_p,))
            shape = (len(jobs), 1, 1, THREADS, 1, 1, SHARED_BYTES, self._stream.cuda_stream, arguments)
            if (jobs["team"] > 1).any():  # it begins when all blocks have a place, or is an error
                self._checked(driver.cuLaunchCooperativeKernel(self._kernel, *shape))
            else:
                self._checked(driver.cuLaunchKernel(self._kernel, *shape, 0))
            host.copy_(table)  # waits for the launch

    def _load(self, capability: tuple[int, int], precision: str) -> Any:
        driver = self._driver
        module = self._checked(driver.cuModuleLoadData(_code(capability, precision)))
        return self._checked(driver.cuModuleGetFunction(module, b"train"))

    def _can_cooperate(self) -> bool:
        """Whether all blocks of a launch run at once, a block on each multiprocessor, where it is asked for."""
        driver = self._driver
        attribute = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH
        device = self._checked(driver.cuCtxGetDevice())
        resident = driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(self._kernel, THREADS, SHARED_BYTES)
        return bool(self._checked(driver.cuDeviceGetAttribute(attribute, device))) and self._checked(resident) >= 1

    def _checked(self, answer: tuple[Any, ...]) -> Any:
        if int(answer[0]):
            raise errors.DeviceError(f"CUDA error: {self._driver.CUresult(int(answer[0])).name}")
        return answer[1] if len(answer) > 1 else None


def _driver_version() -> str:
    try:
        words = pathlib.Path("/proc/driver/nvidia/version").read_text(encoding="utf-8").partition("\n")[0].split()
    except OSError:
        return "unknown"
    return next((word for word in words if word[:1].isdigit()), "unknown")


@functools.cache
def _code(capability: tuple[int, int], precision: str) -> bytes:
    return compilers.compiled(capability, precision)


class _Tensor:
    """See `Memory`."""

    def __init__(self, torch: Any, tensor: Any) -> None:
        self._torch, self._tensor = torch, tensor
        self.address: int = tensor.data_ptr()

    def put(self, values: numpy.ndarray) -> None:
        """See `Memory.put`."""
        self._tensor[: values.nbytes].copy_(self._bytes(values))

    def get(self, values: numpy.ndarray) -> None:
        """See `Memory.get`."""
        self._bytes(values).copy_(self._tensor[: values.nbytes])

    def _bytes(self, values: numpy.ndarray) -> Any:
        return self._torch.from_numpy(values.view(numpy.uint8).reshape(-1))
