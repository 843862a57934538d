"""Reads [space] and [[enqueue]] of a study file into a tree of parameters and configurations of it."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import pydantic
from optuna import distributions

from models.recipe import ACTIVATIONS
from search import errors, validation
from search import space as spaces

# per parameter: type, lowest and highest value (learning_rate must be above its lowest)
NUMBERS: dict[str, tuple[type, float, float]] = {
    "learning_rate": (float, 0.0, math.inf),
    "batch_size": (int, 1, validation.LARGEST),
    "depth": (int, 0, 1_000),
    "width": (int, 1, validation.LARGEST),
}
PARAMETERS = (*NUMBERS, "activation")
ALWAYS = ("learning_rate", "batch_size", "depth")


class _Dimension(validation.Section):
    """One entry of [space], before its values are checked against what a network takes."""

    choices: Annotated[list[int | float | str], pydantic.Field(min_length=1)] | None = None
    low: int | float | None = None
    high: int | float | None = None
    step: Annotated[int, pydantic.Field(ge=1)] | None = None
    log: bool = False
    when: str | None = None


def read(raw: dict[str, Any], name: str) -> spaces.Space:
    """The space of a file called `name`.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    for key in raw:
        if key not in PARAMETERS:
            raise errors.StudyFileError(
                f"{name}: space.{key} is not a known key (there are {', '.join(PARAMETERS)}), got {raw[key]!r}"
            )
    for key in PARAMETERS:
        if key not in raw:
            raise errors.StudyFileError(f"{name}: space.{key} is missing; a list of one value, [64], keeps it fixed")
    try:
        tree = spaces.Space.arrange({key: _parameter(key, value, name) for key, value in raw.items()})
    except ValueError as error:
        raise errors.StudyFileError(f"{name}: space.{error}") from error
    _check_networks(tree, name)
    return tree


def _parameter(key: str, raw: Any, name: str) -> spaces.Parameter:
    place = f"{name}: space.{key}"
    if isinstance(raw, list):
        raw = {"choices": raw}
    if not isinstance(raw, dict):
        raise errors.StudyFileError(f"{place} must be a list of choices or a table with low and high, got {raw!r}")
    entry = validation.validate(_Dimension, raw, name, ("space", key))
    when = None
    if entry.when is not None:
        try:
            when = spaces.Condition.parse(entry.when)
        except ValueError as error:
            raise errors.StudyFileError(f"{place}.when {error}") from error
    if entry.choices is not None:
        for extra in ("low", "high", "step"):
            if getattr(entry, extra) is not None:
                raise errors.StudyFileError(
                    f"{place}.{extra} must not stand beside choices, got {getattr(entry, extra)!r}"
                )
        return spaces.Parameter(key, _categorical(key, entry.choices, place), when)
    return spaces.Parameter(key, _range(key, entry, place), when)


def _categorical(key: str, raw: list[Any], place: str) -> distributions.BaseDistribution:
    choices = []
    for position, value in enumerate(raw):
        spot = f"{place}[{position}]"
        if key == "activation":
            if value not in ACTIVATIONS:
                raise errors.StudyFileError(f"{spot} must be one of {', '.join(ACTIVATIONS)}, got {value!r}")
            choices.append(value)
        else:
            choices.append(_number(key, value, spot))
        if choices.index(choices[-1]) != position:
            raise errors.StudyFileError(f"{spot} must not repeat an earlier choice, got {value!r}")
    return distributions.CategoricalDistribution(choices)


def _range(key: str, entry: _Dimension, place: str) -> distributions.BaseDistribution:
    if key == "activation":
        raise errors.StudyFileError(f"{place} must be a list of choices, got a range")
    for bound in ("low", "high"):
        if getattr(entry, bound) is None:
            raise errors.StudyFileError(f"{place}.{bound} is missing (or give choices)")
    low, high = _number(key, entry.low, f"{place}.low"), _number(key, entry.high, f"{place}.high")
    if low > high:
        raise errors.StudyFileError(f"{place}.low must be <= high, got low = {low} and high = {high}")
    if key == "learning_rate":
        if entry.step is not None:
            raise errors.StudyFileError(f"{place}.step is for integers, got {entry.step}")
        return distributions.FloatDistribution(low, high, log=entry.log)
    if entry.log and (entry.step or low < 1):
        raise errors.StudyFileError(f"{place}.log must have low >= 1 and no step, got low = {low}")
    step = entry.step or 1
    if (high - low) % step:
        raise errors.StudyFileError(f"{place}.step must divide high - low = {high - low}, got {step}")
    return distributions.IntDistribution(low, high, log=entry.log, step=step)


def _number(key: str, value: Any, spot: str) -> Any:
    kind, lowest, highest = NUMBERS[key]
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
            if exists != (depth != 0) or (when and when.parent != "depth"):
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
    notes: list[str] = []
    for position, given in enumerate(raw):
        if isinstance(given.get("learning_rate"), int):
            given = {**given, "learning_rate": float(given["learning_rate"])}
        try:
            kept, dropped = tree.trim(given)
        except ValueError as error:
            raise errors.StudyFileError(f"{name}: enqueue[{position}].{error}") from error
        if tree.is_complete(kept) and kept in configurations:
            raise errors.StudyFileError(
                f"{name}: enqueue[{position}] must differ from enqueue[{configurations.index(kept)}], got {kept}"
            )
        if dropped:
            parents = _parents(tree, dropped, kept)
            notes.append(f"enqueue[{position}]: {' and '.join(dropped)} dropped: they do not exist at {parents}")
        configurations.append(kept)
    return tuple(configurations), tuple(notes)


def _parents(tree: spaces.Space, dropped: spaces.Params, kept: spaces.Params) -> str:
    parents = {p.when.parent for p in tree.parameters if p.name in dropped and p.when}
    return ", ".join(f"{parent} {kept[parent]}" for parent in sorted(parents) if parent in kept)
