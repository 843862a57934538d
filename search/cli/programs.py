"""The versions that matter, for `search --version`."""

import importlib.metadata
import platform
import sqlite3

NAME = "optuna-search-service"
# none of them is imported: torch alone takes two seconds
LIBRARIES = ("optuna", "optuna-dashboard", "torch", "sqlalchemy")


def versions() -> dict[str, str]:
    """By name: ours first, then that of its tables, Python's, the libraries', SQLite's, and the system."""
    from search.storage import schema  # help must not wait for it

    return {
        "search": _version(NAME),
        "schema": schema.HEAD,
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
