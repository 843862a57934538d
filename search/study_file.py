"""Reads a study's TOML into a frozen `StudySpec`, or says which key is wrong."""

import dataclasses
import math
import pathlib
import re
import tomllib
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from optuna import distributions

from models.recipe import ACTIVATIONS
from search import errors, strategy
from search import space as spaces

SEED_LIMIT = 2**32  # torch's CPU generator takes 32 bits
LARGEST = 2**31 - 1  # what a database's INTEGER holds
UNION = ("int", "float", "str")  # what pydantic adds to the place of a value that may be any of them
RULES = {  # pydantic's kinds of error that this project says in its own words
    "greater_than_equal": "must be >= {ge}",
    "less_than_equal": "must be <= {le}",
    "less_than": "must be < {lt}",
    "string_pattern_mismatch": "must be letters, digits, '.', '_' or '-', starting with a letter or digit",
    "too_short": "must not be empty",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "list_type": "must be a list",
}
T = TypeVar("T")


class _Section(pydantic.BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class StudySection(_Section):
    """[study]: what it is called and what it seeks."""

    name: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    direction: Literal["maximize"] = "maximize"
    metric: Literal["accuracy"] = "accuracy"
    seed: Annotated[int, pydantic.Field(ge=0, lt=SEED_LIMIT)] = 0


class Training(_Section):
    """[training]: how every trial is trained."""

    dataset: Literal["fashion-mnist", "synthetic"] = "fashion-mnist"
    epochs: Annotated[int, pydantic.Field(ge=1, le=LARGEST)] = 10
    evaluate_on: Literal["test", "validation"] = "test"
    engine: str = "auto"


class Sampler(_Section):
    """[sampler]: who proposes configurations."""

    name: str = "tpe"

    @pydantic.field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in strategy.SAMPLERS:
            raise ValueError(f"must be one of {', '.join(strategy.SAMPLERS)}")
        return name


class Pruning(_Section):
    """[pruning]: which trials end early."""

    hopeless: bool = True


class Budget(_Section):
    """[budget]: how many trials."""

    trials: Annotated[int, pydantic.Field(ge=1, le=LARGEST)]
    max_failures: Annotated[int, pydantic.Field(ge=0, le=LARGEST)] = 10


class _Dimension(_Section):
    """One entry of [space], before its values are checked against what a network takes."""

    choices: Annotated[list[int | float | str], pydantic.Field(min_length=1)] | None = None
    low: int | float | None = None
    high: int | float | None = None
    step: Annotated[int, pydantic.Field(ge=1)] | None = None
    log: bool = False
    when: str | None = None


class _File(_Section):
    """The whole file."""

    study: StudySection
    training: Training = Training()
    space: dict[str, Any]
    sampler: Sampler = Sampler()
    pruning: Pruning = Pruning()
    budget: Budget
    enqueue: list[dict[str, int | float | str]] = []


@dataclasses.dataclass(frozen=True)
class StudySpec:
    """A study file, read and checked.

    Attributes:
        text: the file as it was, which `create` stores on the study.
        enqueue: configurations to try first, without what does not exist in them.
        notes: what was dropped from them, a sentence each.
    """

    text: str
    study: StudySection
    training: Training
    space: spaces.Space
    sampler: Sampler
    pruning: Pruning
    budget: Budget
    enqueue: tuple[spaces.Params, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name


# per parameter: type, lowest and highest value (learning_rate must be above its lowest)
NUMBERS: dict[str, tuple[type, float, float]] = {
    "learning_rate": (float, 0.0, math.inf),
    "batch_size": (int, 1, LARGEST),
    "depth": (int, 0, 1_000),
    "width": (int, 1, LARGEST),
}
PARAMETERS = (*NUMBERS, "activation")
ALWAYS = ("learning_rate", "batch_size", "depth")


def load(path: pathlib.Path) -> StudySpec:
    """Reads a study file.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.StudyFileError(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> StudySpec:
    """Reads a study file's text; `name` is the place that errors give.

    Raises:
        errors.StudyFileError: with place, key, rule and value.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise errors.StudyFileError(f"{name}: must be TOML: {error}") from error
    file = _validate(_File, raw, name, ())
    tree = _space(file.space, name)
    kept, notes = _enqueued(file.enqueue, tree, name)
    return StudySpec(
        text=text,
        study=file.study,
        training=file.training,
        space=tree,
        sampler=file.sampler,
        pruning=file.pruning,
        budget=file.budget,
        enqueue=kept,
        notes=notes,
    )


def differences(stored: StudySpec, given: StudySpec) -> list[str]:
    """What a study would have to change in [study], [training] or [space] to follow `given`, a phrase each."""
    found = []
    for section in ("study", "training"):
        ours, theirs = getattr(stored, section), getattr(given, section)
        for key in type(ours).model_fields:
            if getattr(ours, key) != getattr(theirs, key):
                found.append(f"{section}.{key} is {getattr(ours, key)!r}, the file says {getattr(theirs, key)!r}")
    ours, theirs = ({p.name: p for p in spec.space.parameters} for spec in (stored, given))
    for key in {**ours, **theirs}:
        if ours.get(key) != theirs.get(key):
            found.append(f"space.{key} is {_describe(ours.get(key))}, the file says {_describe(theirs.get(key))}")
    return found


def _validate(model: type[T], raw: Any, name: str, place: tuple[str, ...]) -> T:
    try:
        return pydantic.TypeAdapter(model).validate_python(raw)
    except pydantic.ValidationError as error:
        raise errors.StudyFileError(f"{name}: {_sentence(error.errors()[0], place)}") from error


def _sentence(problem: Any, place: tuple[str, ...]) -> str:
    """Pydantic's first complaint in this project's form: key, rule, value."""
    location = [part for part in problem["loc"] if part not in UNION]
    key = ".".join([*place, *map(str, location)])
    key = re.sub(r"\.(\d+)", r"[\1]", key)
    given = repr(problem["input"])
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a known key, got {given}"
    if problem["loc"][-1] in UNION:
        return f"{key} must be a finite number or a string, got {given}"
    rule = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    rule = RULES.get(problem["type"], rule).format(**problem.get("ctx", {}))
    return f"{key} {rule[0].lower()}{rule[1:]}, got {given}"


def _space(raw: dict[str, Any], name: str) -> spaces.Space:
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
    entry = _validate(_Dimension, raw, name, ("space", key))
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


def _enqueued(
    raw: list[dict[str, Any]], tree: spaces.Space, name: str
) -> tuple[tuple[spaces.Params, ...], tuple[str, ...]]:
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


def _describe(parameter: spaces.Parameter | None) -> str:
    if parameter is None:
        return "absent"
    when = f" when {parameter.when}" if parameter.when else ""
    return f"{parameter.distribution}{when}"
