"""What `--json` prints: one strict document on stdout. Its shapes: docs/json.md."""

import json
import math
import os
from typing import Any

import click


def say(document: Any) -> None:
    """Prints a document, whatever its numbers are."""
    click.echo(json.dumps(strict(document), allow_nan=False))


def strict(value: Any) -> Any:
    """The same in what JSON has: infinite numbers and nan as optuna-dashboard writes them, "inf", "-inf" and "nan"."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, dict):
        return {str(key): strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [strict(each) for each in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # of NumPy
        return strict(value.tolist())
    return value
