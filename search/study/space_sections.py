"""Reads [space] and [[enqueue]] of a study file into a tree of parameters and configurations of it."""

import math
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import pydantic
from optuna import distributions

from models.recipes import ACTIVATIONS
from search import errors
from search.space import conditions, parameters, scalars, spaces
from search.study import names, validation

# per parameter: type, lowest and highest value (learning_rate must be above its lowest)
NUMBERS: dict[str, tuple[type, float, float]] = {
    "learning_rate": (float, 0.0, math.inf),
    "batch_size": (int, 1, validation.LARGEST),
    "depth": (int, 0, 1_000),
    "width": (int, 1, validation.LARGEST),
}
PARAMETERS = (*NUMBERS, "activation")
MOST_STEPS = 1e15  # in a range: beyond, nothing tells one from the next
ALWAYS = ("learning_rate", "batch_size", "depth")


class _Dimension(validation.Section):
    """One entry of [space], before its values are checked against what a network takes."""

    choices: Annotated[list[Any], pydantic.Field(min_length=1)] | None = None
    none: bool = False
    low: int | float | None = None
    high: int | float | None = None
    step: Annotated[int | float, pydantic.Field(gt=0)] | None = None
    log: bool = False
    when: str | None = None


def read(raw: dict[str, Any], name: str, networks: bool = True) -> spaces.Space:
    """The space of a file called `name`.

    Args:
        networks: whether its configurations must be the lab's networks; an objective of the user's own takes any.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    for key in raw:
        if networks and key not in PARAMETERS:
            raise errors.StudyFileError(
                f"{name}: space.{validation.named(key)} is not a known key (there are {', '.join(PARAMETERS)}), "
                f"got {validation.shown(raw[key], is_known=False)}"
            )
        try:
            names.parameter(key)
        except ValueError as error:
            shown = validation.named(key, is_known=True)
            raise errors.StudyFileError(f"{name}: space.{shown!r} {error}, got {shown!r}") from error
    for key in PARAMETERS if networks else ():
        if key not in raw:
            raise errors.StudyFileError(f"{name}: space.{key} is missing; a list of one value, [64], keeps it fixed")
    try:
        tree = spaces.Space.arrange({key: _parameter(key, value, name, networks) for key, value in raw.items()})
    except ValueError as error:
        raise errors.StudyFileError(f"{name}: space.{error}") from error
    if networks:
        _check_networks(tree, name)
    return tree


def _parameter(key: str, raw: Any, name: str, networks: bool) -> parameters.Parameter:
    place = f"{name}: space.{validation.named(key, is_known=True)}"
    if isinstance(raw, list):
        raw = {"choices": raw}
    if not isinstance(raw, dict):
        raise errors.StudyFileError(
            f"{place} must be a list of choices or a table with low and high, "
            f"got {validation.shown(raw, is_known=False)}"
        )
    if raw and not set(raw) & set(_Dimension.model_fields) and all(isinstance(v, (dict, list)) for v in raw.values()):
        raise errors.StudyFileError(
            f"{place} must be one parameter, got a table of them: a name with dots stands in quotes, "
            f'"{key}.{validation.named(next(iter(raw)))}"'
        )
    entry = validation.validate(_Dimension, raw, name, ("space", validation.named(key, is_known=True)))
    when = None
    if entry.when is not None:
        try:
            when = conditions.Condition.parse(entry.when)
        except ValueError as error:
            raise errors.StudyFileError(f"{place}.when {error}") from error
    if entry.choices is not None:
        return parameters.Parameter(key, _choices(key if networks else None, entry, place), when)
    if entry.none:
        raise errors.StudyFileError(f"{place}.none must stand beside choices, got a range")
    return parameters.Parameter(key, _range(key if networks else None, entry, place), when)


def _choices(key: str | None, entry: _Dimension, place: str) -> distributions.BaseDistribution:
    for extra in ("low", "high", "step"):
        if getattr(entry, extra) is not None:
            raise errors.StudyFileError(f"{place}.{extra} must not stand beside choices, got {getattr(entry, extra)!r}")
    choices = [read_value(value, f"{place}.choices[{i}]") for i, value in enumerate(entry.choices or ())]
    choices += [None] if entry.none else []
    choices = [_choice(key, value, f"{place}[{i}]") for i, value in enumerate(choices)]
    known = set()
    for position, value in enumerate(choices):
        if (isinstance(value, bool), value) in known:  # 1 and 1.0 are one number, 1 and true are two choices
            raise errors.StudyFileError(f"{place}[{position}] must not repeat an earlier choice, got {value!r}")
        known.add((isinstance(value, bool), value))
    return scalars.choices(choices)


def read_value(raw: Any, spot: str) -> scalars.Value:
    """A value as a study file writes it: a number, a string, true or false; TOML has no null: `{ none = true }`.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    if isinstance(raw, dict) and list(raw) == ["none"] and raw["none"] is True:
        return None
    if not isinstance(raw, (bool, int, float, str)) or (isinstance(raw, float) and not math.isfinite(raw)):
        raise errors.StudyFileError(
            f"{spot} must be a finite number, a string, true, false or {{ none = true }}, got {validation.shown(raw)}"
        )
    return raw


def _choice(key: str | None, value: Any, spot: str) -> Any:
    if key == "activation":
        if value not in ACTIVATIONS:
            raise errors.StudyFileError(f"{spot} must be one of {', '.join(ACTIVATIONS)}, got {value!r}")
        return value
    return _number(NUMBERS[key], value, spot) if key else value


def _range(key: str | None, entry: _Dimension, place: str) -> distributions.BaseDistribution:
    if key == "activation":
        raise errors.StudyFileError(f"{place} must be a list of choices, got a range")
    for bound in ("low", "high"):
        if getattr(entry, bound) is None:
            raise errors.StudyFileError(f"{place}.{bound} is missing (or give choices)")
    rule = NUMBERS[key] if key else _free(entry)
    low, high = _number(rule, entry.low, f"{place}.low"), _number(rule, entry.high, f"{place}.high")
    if low > high:
        raise errors.StudyFileError(f"{place}.low must be <= high, got low = {low} and high = {high}")
    if entry.log and (entry.step or low <= 0):
        raise errors.StudyFileError(f"{place}.log must have low > 0 and no step, got low = {low}")
    if rule[0] is float:
        if entry.step is not None and not (high - low) / entry.step < MOST_STEPS:
            raise errors.StudyFileError(f"{place}.step must not vanish beside high - low, got {entry.step}")
        if entry.step is not None and (key or not _divides(entry.step, high - low)):
            rule_text = "is for integers" if key else f"must divide high - low = {high - low:g}"
            raise errors.StudyFileError(f"{place}.step {rule_text}, got {entry.step}")
        with warnings.catch_warnings():  # Optuna's of a step that is missed; a new study's file is refused for it
            warnings.simplefilter("ignore", UserWarning)
            return distributions.FloatDistribution(low, high, log=entry.log, step=entry.step)
    step = entry.step or 1
    if not isinstance(step, int) or (high - low) % step:
        raise errors.StudyFileError(f"{place}.step must divide high - low = {high - low}, got {step}")
    return distributions.IntDistribution(low, high, log=entry.log, step=step)


def _free(entry: _Dimension) -> tuple[type, float, float]:
    """The rule for a range that is not the lab's: of floats where any of its numbers is one."""
    numbers = (entry.low, entry.high, entry.step)
    kind = float if any(isinstance(number, float) for number in numbers) else int
    return kind, -math.inf, math.inf


def _divides(step: float, length: float) -> bool:
    return math.isclose(length / step, round(length / step), abs_tol=1e-9)


def _number(rule: tuple[type, float, float], value: Any, spot: str) -> Any:
    kind, lowest, highest = rule
    if kind is float:
        if not isinstance(value, (int, float)) or value <= lowest:
            raise errors.StudyFileError(f"{spot} must be a number > 0, got {value!r}")
        return float(value)
    if not isinstance(value, int) or value < lowest:
        raise errors.StudyFileError(f"{spot} must be an integer >= {lowest}, got {value!r}")
    if value > highest:
        raise errors.StudyFileError(f"{spot} must be <= {highest}, got {value!r}")
    return value


def _check_networks(tree: spaces.Space, name: str) -> None:
    """Every configuration must make a network: width and activation exist where, and only where, depth > 0."""
    by_name = {p.name: p for p in tree.parameters}
    for key in ALWAYS:
        if by_name[key].when:
            raise errors.StudyFileError(f"{name}: space.{key}.when must not be given: every network has a {key}")
    for key in ("width", "activation"):
        when = by_name[key].when
        for depth in by_name["depth"].values or ():
            exists = when is None or when.holds({"depth": depth})
            if exists != (depth != 0) or (when and when.parents != ("depth",)):
                raise errors.StudyFileError(
                    f'{name}: space.{key}.when must be "depth > 0", since a network of depth {depth} '
                    f"{'needs a' if depth else 'has no'} {key}, got {str(when) if when else None!r}"
                )


def read_enqueued(
    raw: Sequence[dict[str, Any]], tree: spaces.Space, name: str
) -> tuple[tuple[spaces.Params, ...], tuple[str, ...]]:
    """Configurations to try first, without what does not exist in them, and a note for each loss.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    configurations: list[spaces.Params] = []
    keys: dict[str, int] = {}
    notes: list[str] = []
    known = {parameter.name for parameter in tree.parameters}
    for position, given in enumerate(raw):
        spot = f"{name}: enqueue[{position}]"
        unknown = {key: value for key, value in given.items() if key not in known}
        if validation.HIDDEN in validation.shown(unknown, is_known=False):
            raise errors.StudyFileError(f"{spot} must hold parameters of the space, got {validation.HIDDEN!r}")
        values = {key: read_value(value, f"{spot}.{key}") for key, value in given.items()}
        try:
            kept, dropped = tree.trim(tree.widen(values))
        except ValueError as error:
            raise errors.StudyFileError(f"{spot}.{error}") from error
        if tree.is_complete(kept) and (earlier := keys.setdefault(tree.key(kept), position)) != position:
            raise errors.StudyFileError(f"{spot} must differ from enqueue[{earlier}], got {kept}")
        if dropped:
            parents = _parents(tree, dropped, kept)
            notes.append(f"enqueue[{position}]: {' and '.join(dropped)} dropped: they do not exist at {parents}")
        configurations.append(kept)
    return tuple(configurations), tuple(notes)


def _parents(tree: spaces.Space, dropped: spaces.Params, kept: spaces.Params) -> str:
    found = {parent for p in tree.parameters if p.name in dropped and p.when for parent in p.when.parents}
    return ", ".join(f"{parent} {kept[parent]}" for parent in sorted(found) if parent in kept)
