"""A function that no module has: read from the private file that a notebook or script left for its workers."""

import linecache
import pathlib
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

LOADING = "SEARCH_LOADING"  # of the environment: a module of the user's is being imported, and must start no search


def load(path: str) -> Callable[[Any], Any]:
    """The function; the cell that it was written in is known to tracebacks.

    Raises:
        Exception: whatever its modules raise when they are imported.
    """
    whole = pickle.loads(pathlib.Path(path).read_bytes())  # noqa: S301  # this user's own file, which nobody else reads
    for name, text in whole["sources"].items():
        linecache.cache[name] = len(text), None, text.splitlines(keepends=True), name
    function = pickle.loads(whole["function"])  # noqa: S301
    _be_main(function)
    return function  # type: ignore[no-any-return]


def _be_main(function: Any) -> None:
    """What the function uses of its program is found in `__main__`, as there: classes that are pickled ask for it."""
    inner = getattr(function, "func", function)
    inner = getattr(inner, "__func__", inner)
    theirs = getattr(inner, "__globals__", {})
    ours = sys.modules["__main__"]
    main = types.ModuleType("__main__")
    vars(main).update({name: value for name, value in theirs.items() if not name.startswith("__")})
    main.__file__ = ours.__file__  # which processes of multiprocessing begin with
    main._search_child = ours  # type: ignore[attr-defined]  # it goes on running
    sys.modules["__main__"] = main
