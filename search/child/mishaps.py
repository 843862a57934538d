"""Errors in a trial: what is told of them, and whether memory has run out."""

import traceback
from types import TracebackType

LONGEST_CHARACTERS = 100_000
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory")  # torch's CPU allocator, which raises a RuntimeError


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
    """Of the CPU, whose allocator torch answers for with a RuntimeError, or of a CUDA device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)
