"""The search service: studies, exact claims, workers and the command line, around Optuna.

In Python, `search.run`, `load`, `extend`, `replay`, `confirm`, `export`, `report` and the others do what the commands
of these names do; see `search.api`.
"""

from typing import Any

FUNCTIONS = (
    *("run", "create", "work", "load", "status", "extend", "retry", "enqueue", "pause", "resume", "stop"),
    *("replay", "confirm", "export", "predict", "report", "reproduce"),
)


def __getattr__(name: str) -> Any:
    """The functions of `search.api`, imported when they are first asked for: a second, or with torch three."""
    if name in FUNCTIONS:
        from search import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *FUNCTIONS]
