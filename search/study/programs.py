"""A program of the user's own: its arguments for a configuration, and where it says its values."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import pydantic

from search.space import scalars, spaces
from search.study import validation

# what an argument may hold beside parameters; a parameter of such a name is refused
WORDS = ("number", "seed", "study", "trial_dir", "checkpoint_dir", "params_file")
PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")

Argument = str | Annotated[list[str], pydantic.Field(min_length=1)]
Command = Annotated[list[Argument], pydantic.Field(min_length=1)]


class Metric(validation.Section):
    """metric: where a program says its values.

    Attributes:
        source: `stdout`, whose lines are searched for the pattern, or `file`, which has a JSON object a line.
        pattern: a regular expression with a group `value`, or one group; a group `step` where there is one.
        path: of the file; it may hold `{trial_dir}`.
        value, step: keys of its objects.
    """

    source: Annotated[Literal["stdout", "file"], pydantic.Field(alias="from")]
    pattern: str | None = None
    path: Annotated[str, pydantic.Field(min_length=1)] | None = None
    value: Annotated[str, pydantic.Field(min_length=1)] = "value"
    step: Annotated[str, pydantic.Field(min_length=1)] = "step"

    @pydantic.field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"must be a regular expression: {error}") from error
        named = set(groups.groupindex)
        if "value" not in named and (groups.groups != 1 or named):
            raise ValueError("must have a group called value, as in accuracy=(?P<value>\\S+), or one group")
        return pattern

    @pydantic.model_validator(mode="after")
    def _is_whole(self) -> "Metric":
        needed, other = ("pattern", "path") if self.source == "stdout" else ("path", "pattern")
        if getattr(self, needed) is None:
            raise ValueError(f"must have a {needed} beside from = {self.source!r}")
        if getattr(self, other) is not None:
            raise ValueError(f"must have no {other} beside from = {self.source!r}")
        return self


def problem(command: Sequence[str | Sequence[str]], metric: Metric | None, tree: spaces.Space) -> str | None:
    """What cannot be filled in, a phrase that begins with its key; None where all can."""
    path = metric.path if metric is not None else None
    if unknown := [name for name in _names(path or "") if name not in WORDS]:
        return f"metric.path must name what there is ({', '.join(WORDS)}), got {{{unknown[0]}}} in {path!r}"
    always = {p.name for p in tree.parameters if p.when is None}
    known = {p.name for p in tree.parameters}
    if taken := sorted(known & set(WORDS)):
        return f"space.{taken[0]} must have another name beside command, where {{{taken[0]}}} stands for something else"
    for position, argument in enumerate(command):
        group = [argument] if isinstance(argument, str) else argument
        for name in (name for text in group for name in _names(text)):
            if name not in known and name not in WORDS:
                there_is = ", ".join([*sorted(known), *WORDS])
                return f"command[{position}] must name what there is ({there_is}; {{{{ for a brace), got {argument!r}"
            if isinstance(argument, str) and name in known - always:
                return (
                    f"command[{position}]: {name} does not exist in every configuration, so it must stand in a list of "
                    f'its own, which is left out then: ["--{name}", "{{{name}}}"], got {argument!r}'
                )
    return None


def fill(command: Sequence[str | Sequence[str]], params: spaces.Params, words: dict[str, str]) -> list[str]:
    """The arguments for a configuration, without lists of those for which a parameter does not exist.

    Args:
        words: what `WORDS` stand for.
    """
    values = {**{name: text(value) for name, value in params.items()}, **words}
    filled: list[str] = []
    for argument in command:
        group = [argument] if isinstance(argument, str) else argument
        if all(name in values for each in group for name in _names(each)):
            filled += [insert(each, values) for each in group]
    return filled


def insert(template: str, values: dict[str, str]) -> str:
    """A text with its places filled in."""
    return PLACE.sub(lambda found: values[found[1]] if found[1] is not None else found[0][0], template)


def text(value: scalars.Value) -> str:
    """A value as an argument or in the environment: true, false and none as a study file writes them."""
    if value is None:
        return "none"
    return json.dumps(value) if isinstance(value, bool) else str(value)


def variables(params: spaces.Params) -> dict[str, str]:
    """A configuration as environment: `SEARCH_PARAM_LEARNING_RATE`, with `_` for what no variable may hold."""
    return {f"SEARCH_PARAM_{re.sub(r'[^A-Z0-9]', '_', name.upper())}": text(value) for name, value in params.items()}


def _names(template: str) -> Iterator[str]:
    return (found[1] for found in PLACE.finditer(template) if found[1] is not None)


def shown(command: Sequence[str | Sequence[str]]) -> str:
    """For people, and for whoever allows it: the words as they stand in the file."""
    return " ".join(argument if isinstance(argument, str) else " ".join(argument) for argument in command)


def dump(command: Sequence[Any]) -> str:
    """The same without doubt, for a checksum."""
    return json.dumps(command)
