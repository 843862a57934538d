"""Checks tables of a study file, and says what is wrong in this project's form: key, rule, value."""

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import pydantic

from search import errors

LARGEST = 2**31 - 1  # what a database's INTEGER holds
HIDDEN = "***"
MARK = "://"
# a scheme, a user or a host at its beginning; a path of such a name is written with ./ before it
ADDRESS = re.compile(
    r".*://|[^/\\]*@|\s*([a-z][\w+.-]+:|([\w-]+\.)+[a-z]{2,}(:\d+)?/|\d+(\.\d+){3}(:\d+)?/)", re.IGNORECASE | re.DOTALL
)
UNION = ("bool", "int", "float", "str")  # what pydantic adds to the place of a value that may be any of them
RULES = {  # pydantic's kinds of error that this project says in its own words
    "greater_than_equal": "must be >= {ge}",
    "greater_than": "must be > {gt:g}",
    "less_than_equal": "must be <= {le}",
    "less_than": "must be < {lt}",
    "too_short": "must not be empty",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "list_type": "must be a list",
}
T = TypeVar("T")


class Section(pydantic.BaseModel):
    """A table of the file: unknown keys and wrong types are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def validate(model: type[T], raw: Any, name: str, place: tuple[str, ...] = ()) -> T:
    """`raw` as a `model`; `place` are the keys above it.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    try:
        return pydantic.TypeAdapter(model).validate_python(raw)
    except errors.InputError as error:  # a rule that shows no secret
        raise errors.StudyFileError(f"{name}: {error}") from error
    except pydantic.ValidationError as error:
        # its own words repeat all that is wrong, an address in the wrong place too, which is a secret
        raise errors.StudyFileError(f"{name}: {_sentence(_first(error.errors()), place)}") from None


def is_address(text: str) -> bool:
    """Whether it looks like an address: it may be a webhook's, and so a secret."""
    return ADDRESS.match(text) is not None


def shown(raw: Any, is_known: bool = True) -> str:
    """A value as it may be shown, without what may be a secret.

    Args:
        is_known: whether its key is one of ours; in another's place all that looks like an address may be a webhook's.
    """
    if isinstance(raw, datetime.date | datetime.time):
        return raw.isoformat()
    return repr(raw if all(named(text, is_known) == text for text in _texts(raw)) else HIDDEN)


def named(text: str, is_known: bool = False) -> str:
    """The same of a key or a path, without quotes."""
    return HIDDEN if MARK in text or (not is_known and is_address(text)) else text


def _texts(raw: Any) -> Iterator[str]:
    """All strings in a value, keys too."""
    if isinstance(raw, Mapping):
        raw = [*raw, *raw.values()]
    if isinstance(raw, str):
        yield raw
    elif isinstance(raw, list | tuple):
        for each in raw:
            yield from _texts(each)


def _first(problems: list[Any]) -> Any:
    """The first complaint; a key that is missing in a table with an unknown one is that one, misspelt."""
    first = problems[0]
    if first["type"] != "missing":
        return first
    table = first["loc"][:-1]
    unknown = (each for each in problems if each["type"] == "extra_forbidden" and each["loc"][:-1] == table)
    return next(unknown, first)


def _sentence(problem: Any, place: tuple[str, ...]) -> str:
    """Pydantic's first complaint in this project's form: key, rule, value."""
    location = [part for part in problem["loc"] if part not in UNION]
    is_known = problem["type"] != "extra_forbidden"
    key = ".".join([*place, *(named(str(part), is_known) for part in location)])
    key = re.sub(r"\.(\d+)", r"[\1]", key)
    given = shown(problem["input"], is_known)
    if key == "objective":
        return f"{key} must be package.module:function, got {given}"
    if location[:1] == ["command"]:
        return f"command must be a list of strings, or of lists of them, none empty, got {given}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a known key, got {given}"
    if problem["loc"][-1] in UNION:
        return f"{key} must be a finite number, got {given}"
    rule = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    rule = RULES.get(problem["type"], rule).format(**problem.get("ctx", {}))
    return f"{key} {rule[0].lower()}{rule[1:]}, got {given}"
