"""Errors in a trial: what is told of them, and whether memory has run out."""

import gc
import sys
import traceback

from search.storage import addresses

TRACEBACK_CHARACTERS = 4_000
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")  # torch's CPU allocator, which raises a RuntimeError


def told(error: BaseException) -> tuple[str, str]:
    """What is stored of an error, for everybody to see, and its traceback: an objective may speak of an address."""
    try:
        said = str(error)
    except Exception as broken:  # noqa: BLE001  # an exception of the user's own may do anything
        said = f"its text cannot be had: {type(broken).__name__}"
    trace = addresses.scrub(traceback.format_exc())
    return _printable(addresses.scrub(f"{type(error).__name__}: {said}")), _printable(trace[-TRACEBACK_CHARACTERS:])


def _printable(text: str) -> str:
    """Half characters, as of a file name that is no UTF-8, could be neither shown nor sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def is_out_of_memory(error: BaseException) -> bool:
    """Of the CPU, whose allocator torch answers for with a RuntimeError, or of a CUDA device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def free_memory() -> None:
    """Gives back what a failed training has left."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
