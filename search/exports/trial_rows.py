"""A trial as a record with all that it has, or as a row of a table, whose columns are named as Optuna's are."""

import json
from collections.abc import Iterator
from typing import Any

from optuna import distributions

from search.ledger import extracts
from search.space import cells
from search.training import records

# beside them a column for each objective, parameter and attribute; the kind is a name of `trial_files.KINDS`
BEFORE = {"number": "int", "state": "str"}
AFTER = {
    "datetime_start": "time",
    "datetime_complete": "time",
    "seconds": "float",
    "worker": "str",
    "reason": "str",
    "seed": "int",
    "repeat": "int",
    "paused": "int",
    "added": "bool",
    "excused": "bool",
    "retry_of": "int",
    "fixed_params": "cell",
    "constraints": "cell",
}
TIMES = tuple(name for name, kind in AFTER.items() if kind == "time")
CURVE = {"number": "int", "step": "int", "value": "float"}
PLAIN = ("bool", "int", "float", "str")  # kinds of which a column can be; all else, and mixtures, are cells


def columns(found: extracts.Columns) -> dict[str, str]:
    """The kind of each column of a table, by its name."""
    return {
        **BEFORE,
        **dict.fromkeys(_values(found.metrics), "float"),
        **AFTER,
        **{f"params_{name}": _kind(kinds) for name, kinds in found.parameters.items()},
        **{f"user_attrs_{name}": _kind(kinds) for name, kinds in found.attributes.items()},
    }


def flat(each: extracts.Extract, found: extracts.Columns) -> dict[str, Any]:
    """A row: what a trial does not have is not in it."""
    trial = each.trial
    values = trial.values if trial.values and len(trial.values) == len(found.metrics) else []
    row = {**_before(each), **dict(zip(_values(found.metrics), values, strict=False)), **_after(each)}
    return {
        **{name: value for name, value in row.items() if value is not None},
        **{f"params_{name}": value for name, value in trial.params.items()},
        **{f"user_attrs_{name}": value for name, value in trial.user_attrs.items()},
    }


def record(each: extracts.Extract, found: extracts.Columns) -> dict[str, Any]:
    """The whole trial."""
    trial = each.trial
    beside = {name: value.isoformat() if name in TIMES and value else value for name, value in _after(each).items()}
    kinds = {name: json.loads(distributions.distribution_to_json(kind)) for name, kind in trial.distributions.items()}
    single = len(found.metrics) == 1
    return {
        **_before(each),
        **({"value": (trial.values or [None])[0]} if single else {"values": trial.values}),
        "params": trial.params,
        "distributions": kinds,
        **beside,
        "attributes": trial.user_attrs,
        "intermediate_values": trial.intermediate_values,
    }


def keys(found: extracts.Columns) -> list[str]:
    """The keys of every record."""
    values = "value" if len(found.metrics) == 1 else "values"
    return [*BEFORE, values, "params", "distributions", *AFTER, "attributes", "intermediate_values"]


def curve(each: extracts.Extract) -> Iterator[dict[str, Any]]:
    """The values that a trial has reported, a row each, by step."""
    for step, value in sorted(each.trial.intermediate_values.items()):
        yield {"number": each.trial.number, "step": step, "value": value}


def _before(each: extracts.Extract) -> dict[str, Any]:
    return {"number": each.trial.number, "state": each.trial.state.name}


def _after(each: extracts.Extract) -> dict[str, Any]:
    trial = each.trial
    return {
        **{name: getattr(trial, name) for name in TIMES},
        "seconds": each.seconds,
        "worker": each.worker,
        "reason": records.REASON.find(trial),
        "seed": records.SEED.find(trial),
        "repeat": records.repeat_of(trial),
        "paused": each.paused,
        "added": each.is_added,
        "excused": each.is_excused,
        **each.system,
    }


def _values(metrics: tuple[str, ...]) -> list[str]:
    return ["value"] if len(metrics) == 1 else [f"values_{name}" for name in metrics]


def _kind(kinds: set[str]) -> str:
    (first, *others) = kinds
    return first if not others and first in PLAIN else "cell"


def cell(value: Any) -> str:
    """A cell of a file of text."""
    return value.isoformat() if hasattr(value, "isoformat") else cells.text(value)
