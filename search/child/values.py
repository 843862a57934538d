"""The values that a program says, found in a line of its output or of a file."""

import contextlib
import json
import re
from typing import Any

LARGEST_STEP = 2**31 - 1  # what the database's column of steps holds; a time that is printed as one is none


def find(metric: dict[str, Any], line: str, last: int) -> tuple[int, float] | None:
    """Step and value of a line; None of one without.

    Args:
        metric: as a study file has it.
        last: the step before, which the next one follows where none is said.
    """
    value, step = (_matched if metric["from"] == "stdout" else _written)(metric, line)
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = last + 1 if step is None else int(step)
        if 0 <= number <= LARGEST_STEP:
            return number, float(value)
    return None


def _matched(metric: dict[str, Any], line: str) -> tuple[Any, Any]:
    match = re.search(metric["pattern"], line)
    if match is None:
        return None, None
    named = match.groupdict()
    return named["value"] if "value" in named else match[1], named.get("step")


def _written(metric: dict[str, Any], line: str) -> tuple[Any, Any]:
    """Of a JSON object; what is none has no value."""
    try:
        row = json.loads(line)
        return row[metric["value"]], row.get(metric["step"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, None
