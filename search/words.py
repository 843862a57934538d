"""How durations, counts, metrics, configurations and states are put to people: each in one place."""

import difflib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import distributions
from optuna.trial import TrialState

from search.space import scalars

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
STYLES = {  # of a state on a terminal
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAIL: "red",
    TrialState.RUNNING: "cyan",
    TrialState.WAITING: "dim",
}
HEADINGS = {"learning_rate": "lr", "batch_size": "batch", "activation": "act."}  # of columns, which are narrow


def duration(seconds: float) -> str:
    """`8 s`, `12 min`, `3.4 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plural(count: int, noun: str) -> str:
    """`1 worker`, `2 workers`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def metric(value: float | None, sign: str = "") -> str:
    """A trial's value: `0.8702`; very small and very large ones in four digits; `+` as sign marks gains too."""
    if value is None:
        return "-"
    return f"{value:{sign}.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:{sign}.4g}"


def loss(value: float) -> str:
    """A mean loss: `0.412345`; one that has run away in four digits."""
    return f"{value:.6f}" if abs(value) < 1e4 else f"{value:.4g}"


def setting(value: Any) -> str:
    """A parameter's value, a continuous one in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else scalars.shown(value)


def configuration(params: Mapping[str, Any]) -> str:
    """A configuration in full, as a sentence names it: `learning_rate 0.1, depth 3, activation ReLU`."""
    return ", ".join(f"{name} {scalars.shown(value)}" for name, value in params.items())


def short_configuration(params: Mapping[str, Any]) -> str:
    """A configuration where room is scarce: `lr 0.1, depth 3, ReLU`."""
    return ", ".join(
        str(value) if name == "activation" else f"{HEADINGS.get(name, name)} {setting(value)}"
        for name, value in params.items()
    )


def distribution(space: distributions.BaseDistribution, listed: int | None = None) -> str:
    """What values a parameter may have: `0.0001 to 1.0, logarithmic`; of more choices than `listed` the first."""
    if isinstance(space, distributions.CategoricalDistribution):
        many = 0 if listed is None else len(space.choices) - listed
        return ", ".join(map(scalars.shown, space.choices[:listed])) + (f" and {many} more" if many > 0 else "")
    if not isinstance(space, distributions.IntDistribution | distributions.FloatDistribution):
        return str(space)
    step = f", in steps of {space.step}" if space.step not in (None, 1) else ""
    return f"{space.low} to {space.high}{step}{', logarithmic' if space.log else ''}"


def typed(name: str) -> str:
    """A study's name as it is typed in a shell: other tools allow what a study file does not, as spaces or controls."""
    if name.isprintable():
        return shlex.quote(name)
    known = {"\\": "\\\\", "'": "\\'"}
    shown = (known.get(c, c) if c.isprintable() else _bytes(c) for c in name)
    return f"$'{''.join(shown)}'"


def _bytes(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def code(name: str) -> str:
    """A study's name between backticks, which it may hold itself: other tools allow any name."""
    return f"`{name.replace('`', chr(39))}`"


def hint(name: str, known: Sequence[str]) -> str:
    """What the end of an error says of a name that is not known, where these are."""
    if close := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if known else "; `search create STUDY` makes one"
