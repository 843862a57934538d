"""In which keys the files of several studies differ, and what each of them says."""

from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from optuna import distributions

from search import words
from search.space import parameters, scalars
from search.study import sections, specs

ABSENT = "-"
UNTOLD = ("study.name",)


def settings(spec: specs.StudySpec, budget: Mapping[str, Any]) -> dict[str, str]:
    """All keys of a file, with what they mean where it leaves them out.

    Args:
        budget: what of `[budget]` is in force by now.
    """
    found: dict[str, str] = {}
    for name in ("objective", "command", "metric"):
        if (value := specs.plain(getattr(spec, name))) is not None:
            found[name] = put(value)
    for name in sections.File.model_fields:
        section = getattr(spec, name, None)
        if isinstance(section, pydantic.BaseModel) and name != "metric":
            for key in type(section).model_fields:
                value = budget.get(key, getattr(section, key)) if name == "budget" else getattr(section, key)
                found[f"{name}.{key}"] = put(value)
    found |= {f"space.{each.name}": _parameter(each) for each in spec.space.parameters}
    found["enqueue"] = put([words.configuration(params) for params in spec.enqueue])
    return {key: value for key, value in found.items() if key not in UNTOLD}


def asked(spaces: Mapping[str, Sequence[distributions.BaseDistribution]]) -> dict[str, str]:
    """The same of a study without a file: its parameters, by name as what trials were asked for."""
    return {f"space.{name}": ", or ".join(words.distribution(each) for each in found) for name, found in spaces.items()}


def of(files: Sequence[Mapping[str, str]]) -> list[tuple[str, list[str]]]:
    """The keys in which they differ, in the order of a file, each with what every one of them says."""
    keys = dict.fromkeys(key for each in files for key in each)
    rows = [(key, [each.get(key, ABSENT) for each in files]) for key in keys]
    ranks = {name: place for place, name in enumerate(sections.File.model_fields)}
    rows.sort(key=lambda row: ranks.get(row[0].partition(".")[0], 0))  # a stable sort
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def put(value: Any) -> str:
    """A value of a key, as a file has it but for a float's digits."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "; ".join(map(put, value)) or "none"
    return scalars.shown(value) if isinstance(value, bool | float) else str(value)


def _parameter(parameter: parameters.Parameter) -> str:
    when = f" when {parameter.when}" if parameter.when else ""
    return f"{words.distribution(parameter.distribution)}{when}"
