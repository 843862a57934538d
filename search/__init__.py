"""The search service: studies, exact claims, workers and the command line, around Optuna.

In Python, `search.run`, `load`, `extend`, `replay`, `confirm`, `export`, `report` and the others do what the commands
of these names do; see `search.api`.
"""

import importlib.machinery
import pathlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

HOME = pathlib.Path(__file__).resolve().parent.parent

FUNCTIONS = (
    *("run", "create", "work", "load", "status", "extend", "amend", "retry", "enqueue", "pause", "resume", "stop"),
    *("delete", "rename", "copy", "artifacts", "import_trials", "fork", "adopt", "publish", "notify"),
    *("replay", "confirm", "export", "export_trials", "predict", "report", "compare", "reproduce", "simulate"),
)


class _Models:
    """Finds our package `models`, wherever another one lies: a working folder often has one of its own."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        return importlib.machinery.PathFinder.find_spec(name, [str(HOME)], target) if name == "models" else None


def _put_models_first() -> None:
    """One interpreter holds one package `models`.

    Raises:
        ImportError: it has loaded another.
    """
    loaded = sys.modules.get("models")
    if loaded is not None and pathlib.Path(loaded.__file__ or "").resolve().parent != HOME / "models":
        raise ImportError(
            f"search needs its own package `models`, and this interpreter has loaded {loaded}: import search before "
            "it, or use the command `search`, which runs objectives in a process of their own"
        )
    sys.meta_path.insert(0, _Models)


_put_models_first()


def __getattr__(name: str) -> Any:
    """The functions of `search.api`, imported when they are first asked for: a second, or with torch three."""
    if name in FUNCTIONS:
        from search import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *FUNCTIONS]
