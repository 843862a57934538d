"""What of errors is the machine's doing: memory that ran out, a GPU that is gone; the rest is the objective's."""

import pytest

from search.child import mishaps


class OutOfMemoryError(RuntimeError):
    """As torch and CuPy call theirs."""


class ResourceExhaustedError(Exception):
    """As TensorFlow calls its own."""


class Mute(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError("CUDA out of memory")


# the words are those of PyTorch, JAX, TensorFlow, CuPy, XGBoost, NVML and the kernel's log
OUT_OF_MEMORY = [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB",
    "RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.",
    "ResourceExhaustedError: {{function_node __wrapped__Fill}} OOM when allocating tensor with shape[100000,100000]",
    "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 80,000,000,000 bytes (allocated so far: 0 bytes).",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array",
    "terminate called after throwing an instance of 'thrust::bad_alloc'\n  what():  std::bad_alloc: x",
    "MemoryError",
    "bash: fork: Cannot allocate memory",
]
LOST = [
    "RuntimeError: CUDA error: uncorrectable ECC error encountered",
    "RuntimeError: CUDA error: unspecified launch failure",
    "RuntimeError: No CUDA GPUs are available",
    "RuntimeError: CUDA error: no CUDA-capable device is detected",
    "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
    "RuntimeError: CUDA unknown error - an incorrectly set up environment. CUDA error: unknown error",
    "Unable to determine the device handle for GPU 0000:0B:00.0: GPU is lost.  Reboot the system to recover this GPU",
    "pynvml.NVMLError_GpuIsLost: GPU is lost",
    "Failed to initialize NVML: Driver/library version mismatch",
    "NVRM: Xid (PCI:0000:0b:00): 79, pid=1, GPU has fallen off the bus.",
    "INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered",
    "cupy_backends.cuda.api.runtime.CUDARuntimeError: cudaErrorNoDevice: no CUDA-capable device is detected",
]
OWN = [
    "RuntimeError: CUDA error: device-side assert triggered",
    "IndexError: Target 10 is out of bounds.",
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "RuntimeError: CUDA error: invalid device ordinal",
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    "RuntimeError: Cannot re-initialize CUDA in forked subprocess.",
    "ValueError: epochs must be 3, got Xid",
    "E0 cuda_driver.cc: failed call to cuInit: CUDA_ERROR_NO_DEVICE\nTraceback (most recent call last):\nKeyError: 1",
    "device-side assert triggered\nRuntimeError: CUDA error: unspecified launch failure",
]


@pytest.mark.parametrize("text", [*OUT_OF_MEMORY, *LOST])
def test_what_is_the_machine_s(text: str) -> None:
    """In whatever case, and among other lines of a program's output."""
    assert mishaps.is_the_machines(text)
    assert mishaps.is_the_machines(f"epoch 3\n{text.lower()}\nbye")


@pytest.mark.parametrize("text", OWN)
def test_what_is_the_objective_s(text: str) -> None:
    """A label beyond the classes, an address beyond a table, whatever follows of them."""
    assert not mishaps.is_the_machines(text)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("Out of memory allocating 80 bytes"), True),
        (ResourceExhaustedError("OOM when allocating tensor"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (ValueError("not enough memory"), False),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), False),
        (Mute(), False),
    ],
)
def test_memory_that_ran_out(error: BaseException, is_memory: bool) -> None:
    """Of the CPU or a GPU, which a second try, alone, may have; whatever the error's text does."""
    assert mishaps.is_out_of_memory(error) is is_memory


def test_a_process_after_a_cuda_error_is_spoiled() -> None:
    """Whoever's doing it was: each later call answers with the same error."""
    assert all(mishaps.is_spoiled(text) for text in OWN if "CUDA error" in text)
    assert mishaps.is_spoiled("RuntimeError: CUDA error: uncorrectable ECC error encountered")
    assert not mishaps.is_spoiled("IndexError: Target 10 is out of bounds.")
