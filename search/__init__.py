"""The search service: studies, exact claims, workers and the command line, around Optuna.

In Python, `search.run`, `load`, `extend`, `replay`, `confirm`, `export`, `predict`, `report` and `reproduce` do what
the commands of these names do; see `search.api`.
"""

from typing import Any

_FUNCTIONS = ("run", "load", "extend", "replay", "confirm", "export", "predict", "report", "reproduce")


def __getattr__(name: str) -> Any:
    """The functions of `search.api`, imported when they are first asked for: torch takes seconds."""
    if name in _FUNCTIONS:
        from search import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_FUNCTIONS]
