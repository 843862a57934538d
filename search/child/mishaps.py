"""Errors in a trial: what is told of them, and whether they are the machine's: memory, a GPU."""

import re
import traceback
from types import TracebackType

TRACEBACK = "Traceback (most recent call last)"
LONGEST_CHARACTERS = 100_000
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")  # torch's CPU allocator, which raises a RuntimeError
OUT_OF_MEMORY_TYPES = ("OutOfMemoryError", "ResourceExhaustedError")  # torch and CuPy, TensorFlow
DEVICE_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|CUDA error: out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY"
    r"|CU(BLAS|DNN)_STATUS_ALLOC_FAILED|RESOURCE_EXHAUSTED: Out of memory|OOM when allocating",
    re.IGNORECASE,
)
# beside those of the types above, as the last lines of a program have them
TOLD_OUT_OF_MEMORY = re.compile(
    rf"\b\w*MemoryError\b|\b({'|'.join(OUT_OF_MEMORY_TYPES)})\b|std::bad_alloc|cannot allocate memory"
    rf"|{'|'.join(OUT_OF_MEMORY)}",
    re.IGNORECASE,
)
DEVICE_LOST = re.compile(
    r"no CUDA-capable device|No CUDA GPUs are available|Found no NVIDIA driver|CUDA driver initialization failed"
    r"|CUDA driver version is insufficient|driver/library version mismatch|Failed to initialize NVML"
    r"|unspecified launch failure|CUDA error: unknown error|launch timed out and was terminated"
    r"|device\(?s?\)? (is|are|is/are) busy or unavailable|driver shutting down|system not yet initialized"
    r"|uncorrectable (ECC|NVLink) error|GPU is lost|fallen off the bus|Unable to determine the device handle"
    r"|NVRM: Xid|\bXid \("
    r"|cudaError(NoDevice|DevicesUnavailable|ECCUncorrectable|LaunchFailure|LaunchTimeout|Unknown|SystemNotReady)\b"
    r"|CUDA_ERROR_(NO_DEVICE|DEVICE_UNAVAILABLE|ECC_UNCORRECTABLE|LAUNCH_FAILED|LAUNCH_TIMEOUT|UNKNOWN|SYSTEM_NOT_READY)\b",
    re.IGNORECASE,
)
# a label beyond the classes, an index beyond a table: whatever else is said in their wake
OWN_DOING = re.compile(
    r"device-side assert|illegal memory access"
    r"|cudaError(Assert|IllegalAddress)\b|CUDA_ERROR_(ASSERT|ILLEGAL_ADDRESS)\b",
    re.IGNORECASE,
)
CUDA_ERROR = re.compile(r"CUDA error|CUDA_ERROR|cudaError|CU(BLAS|DNN)_STATUS|CUDA driver error", re.IGNORECASE)


def told(error: BaseException, since: TracebackType | None = None) -> tuple[str, str]:
    """What an error says, and its traceback.

    Args:
        since: the first frame that is shown; None for the first of all.
    """
    try:
        said = str(error)
    except Exception as broken:  # noqa: BLE001  # an exception of the user's own may do anything
        said = f"its text cannot be had: {type(broken).__name__}"
    try:
        trace = "".join(traceback.format_exception(type(error), error, since or error.__traceback__))
    except Exception:  # noqa: BLE001
        trace = "".join(traceback.format_tb(since or error.__traceback__))
    reason = f"{type(error).__name__}: {said}"
    return printable(reason[:LONGEST_CHARACTERS]), printable(trace[-LONGEST_CHARACTERS:])


def printable(text: str) -> str:
    """Half characters, as of a file name that is no UTF-8, could be neither shown nor sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_out_of_memory(error: BaseException) -> bool:
    """Of the CPU, whose allocator torch answers for with a RuntimeError, or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ in OUT_OF_MEMORY_TYPES:
        return True
    said, _ = told(error)
    if isinstance(error, RuntimeError) and any(text in said for text in OUT_OF_MEMORY):
        return True
    return isinstance(error, Exception) and DEVICE_OUT_OF_MEMORY.search(said) is not None


def is_the_machines(text: str) -> bool:
    """Whether an error's text, or the last lines of a program, speak of memory that ran out or a GPU that is gone.

    What a kernel of the user's own does wrong is not the machine's, though it may end the whole process. Where there
    are tracebacks the last one counts: TensorFlow speaks of a GPU that is not there whenever it starts.
    """
    if OWN_DOING.search(text):
        return False
    last = text.rpartition(TRACEBACK)[2]
    return any(words.search(last) for words in (DEVICE_OUT_OF_MEMORY, TOLD_OUT_OF_MEMORY, DEVICE_LOST))


def is_spoiled(text: str) -> bool:
    """Whether an error's text is of a kind after which CUDA is of no more use in a process."""
    return CUDA_ERROR.search(text) is not None or OWN_DOING.search(text) is not None
