"""Errors in a trial: what is stored of them, and whether they are the machine's: memory, a GPU."""

import gc
import sys

from models import errors as models
from search.child import mishaps as child_mishaps
from search.storage import addresses
from search.training import objectives

TRACEBACK_CHARACTERS = 4_000


def told(error: BaseException) -> tuple[str, str]:
    """What is stored of an error, for everybody to see, and its traceback: an objective may speak of an address."""
    if isinstance(error, objectives.Failed):
        reason, trace = str(error), error.trace
    else:
        reason, trace = child_mishaps.told(error)
    return addresses.scrub(reason), addresses.scrub(trace)[-TRACEBACK_CHARACTERS:]


def is_out_of_memory(error: BaseException) -> bool:
    """Of this process, of a CUDA device, or of an objective's process."""
    if isinstance(error, objectives.Failed):
        return error.is_memory
    return child_mishaps.is_out_of_memory(error)


def is_the_machines(error: BaseException) -> bool:
    """Whether memory ran out, or a GPU is gone."""
    if isinstance(error, objectives.Failed):
        return error.is_machines
    return is_out_of_memory(error) or child_mishaps.is_the_machines(told(error)[0])


def is_spoiled(error: BaseException) -> bool:
    """Whether CUDA is of no more use in the process that raised it."""
    return isinstance(error, models.DeviceFault) or child_mishaps.is_spoiled(told(error)[0])


def free_memory() -> None:
    """Gives back what a failed training has left."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
