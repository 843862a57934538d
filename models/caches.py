"""Code that Numba compiles once for a machine and then finds in its cache."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled when it is first called; kept for other processes where a folder can be written."""
    how: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(function, cache=True, **how)
    except RuntimeError:  # neither beside the source nor at home
        return numba.njit(function, **how)
