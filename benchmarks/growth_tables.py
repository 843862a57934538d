"""The figures of `growth.py` as Markdown, under the machine, the versions and n."""

import os
import pathlib
import platform
import statistics
from collections.abc import Iterator
from importlib import metadata
from typing import Any


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Markdown: a row for each figure and side, a column for each size; medians with the lowest and highest."""
    sizes = sorted({each["trials"] for each in found})
    for kind in dict.fromkeys(each["storage"] for each in found):
        yield f"\n| {kind} | | " + " | ".join(f"{size:,} trials" for size in sizes) + " |"
        yield "|---|---|" + "---|" * len(sizes)
        mine = [each for each in found if each["storage"] == kind]
        for what in sorted({each["what"] for each in mine}, key=[each["what"] for each in mine].index):
            for side in dict.fromkeys(each["side"] for each in mine if each["what"] == what):
                cells = []
                for size in sizes:
                    same = [e["values"] for e in mine if (e["what"], e["side"], e["trials"]) == (what, side, size)]
                    cells.append(_spread([value for values in same for value in values]))
                yield f"| {what} | {side} | " + " | ".join(cells) + " |"


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    median, low, high = (f"{value:.3g}" for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({low}-{high})" if low != high else median


def head(rounds: int, trials: int, beside: int) -> str:
    """The machine, the versions and n."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("optuna", "SQLAlchemy", "psycopg2-binary"))
    return (
        f"{cpu}, {os.cpu_count()} cores, {platform.system()}; Python {platform.python_version()}, {versions}; "
        f"{rounds} rounds, {trials} trials of a worker in each, {beside} studies of ten trials beside the one; "
        f"median (lowest-highest); load {os.getloadavg()[0]:.1f} at the end"
    )


def _lines(path: str) -> list[str]:
    return pathlib.Path(path).read_text().splitlines() if pathlib.Path(path).exists() else []
