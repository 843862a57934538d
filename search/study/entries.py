"""Parameters as [space] of a study file writes them, from what Python has: distributions, lists, tables."""

from collections.abc import Iterable, Mapping
from typing import Any

from optuna import distributions

from search import lines

Entry = list[Any] | dict[str, Any]


def space(raw: Mapping[str, Any]) -> dict[str, Entry]:
    """A whole space; what is neither distribution, list nor table is left for the file's own rules to refuse.

    Raises:
        ValueError: the parameter, the rule, the value.
    """
    found = {}
    for name, given in raw.items():
        try:
            found[str(name)] = _entry(given)
        except ValueError as error:
            raise ValueError(f"space.{name}{error}") from None
    return found


def _entry(given: Any) -> Any:
    if isinstance(given, distributions.BaseDistribution):
        return of(given)
    if isinstance(given, Mapping):
        table = {str(key): value for key, value in given.items()}
        if isinstance(table.get("choices"), Iterable) and not isinstance(table["choices"], str):
            table["choices"] = _choices(table["choices"])
        return {key: each if key == "choices" else _number(each) for key, each in table.items()}
    if isinstance(given, Iterable) and not isinstance(given, str):
        return _choices(given)
    return given


def of(distribution: distributions.BaseDistribution, when: str | None = None) -> Entry:
    """A distribution, and the condition under which the parameter exists.

    Raises:
        ValueError: a choice that no study file can hold.
    """
    beside = {} if when is None else {"when": when}
    if isinstance(distribution, distributions.CategoricalDistribution):
        choices = _choices(distribution.choices)
        return {"choices": choices, **beside} if beside else choices
    if not isinstance(distribution, distributions.IntDistribution | distributions.FloatDistribution):
        raise ValueError(f" must be one of Optuna's distributions of floats, integers or choices, got {distribution}")
    table: dict[str, Any] = {"low": distribution.low, "high": distribution.high}
    if distribution.log:
        table["log"] = True
    elif distribution.step is not None and (distribution.step != 1 or isinstance(distribution.step, float)):
        table["step"] = distribution.step
    return {**table, **beside}


def _choices(values: Iterable[Any]) -> list[Any]:
    return [_choice(value, place) for place, value in enumerate(values)]


def value(given: Any) -> Any:
    """A value of a parameter. TOML has no null: None is a table that says so."""
    return {"none": True} if given is None else _number(given)


def _choice(given: Any, place: int) -> Any:
    found = value(given)
    if not isinstance(found, bool | int | float | str | dict):
        raise ValueError(
            f"[{place}] must be a number, a string, True, False or None, which every database holds, got "
            f"{lines.said(repr(given))}: name your choices, and look the rest up by their names"
        )
    return found


def _number(given: Any) -> Any:
    """NumPy's numbers, strings and truth as Python's."""
    if type(given).__module__ == "numpy" and getattr(given, "ndim", None) == 0:
        return given.item()
    return given
