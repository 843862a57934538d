"""Code that Numba compiles once for a machine and then finds in its cache."""

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numba

BROKEN = (EOFError, pickle.UnpicklingError, ValueError, KeyError, IndexError, AttributeError, ImportError, TypeError)
missed = threading.Event()  # something was in no cache: it is compiled


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled when it is first called; kept for other processes where a folder can be written."""
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return mended(numba.njit(function, cache=True, **how))
    except RuntimeError:  # neither beside the source nor at home
        return numba.njit(function, **how)


def mended(dispatcher: Any) -> Any:
    """The same; a cache that a full disk or a crash left broken is emptied and made anew, where Numba would fail."""
    cache = dispatcher._cache
    load = getattr(cache, "load_overload", None)
    if load is None:
        return dispatcher

    def load_overload(*asked: Any) -> Any:
        try:
            found = load(*asked)
        except BROKEN:
            cache.flush()
            found = None
        if found is None:
            missed.set()
        return found

    cache.load_overload = load_overload
    return dispatcher
