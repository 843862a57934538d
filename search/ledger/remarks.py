"""What a study file says now that its study does not follow, each key with the command that takes it over."""

from collections.abc import Iterator
from typing import Any

from search import words
from search.ledger import orders, stops
from search.study import changes, specs


def of(stored: specs.StudySpec, given: specs.StudySpec, order: orders.Order) -> Iterator[str]:
    """What a file says now that its study does not follow, each key with the command that takes it over."""
    name = words.typed(given.name)
    for change in changes.of(stored, given):
        now, how = change.stored, changes.command(given)
        if change.section == "budget" and hasattr(order, change.key):
            now = getattr(order, change.key)
            if change.given == now:
                continue
            if (option := _option(change.key, change.given, now)) is not None:
                how = f"search extend {name} {option}"
        yield change.sentence(now, how)


def _option(key: str, value: Any, now: Any) -> str | None:
    """What `search extend` takes to reach a value of the budget; it adds to limits, and lowers none."""
    if key == "trials":
        return f"--to {value}"
    if key == "epoch_seconds":
        return f"--epoch-seconds {value or 0:.12g}"
    if key in ("target", "deadline", "regret"):
        shown = f"{value:.12g}" if isinstance(value, float) else value or stops.NONE
        return f"--{key} {words.typed(shown)}"
    if value is None or now is None or value < now or key == "patience":
        return None
    return f"--failures {value - now}" if key == "max_failures" else f"--hours {value - now:.12g}"
