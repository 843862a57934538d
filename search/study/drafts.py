"""A study file written from what an objective of the user's own was seen to suggest."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w
from optuna import distributions

from search import lines
from search.space import scalars
from search.study import branches, entries

BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDTH = 118  # of a comment

Values = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is known of an objective.

    Attributes:
        space: each parameter's distribution.
        whole: the values of each recording that came to its end, by name in the order of suggestion.
        cut: of each that did not.
        errors: what recordings failed with, and the values then.
        has_quiet: whether one was ended since it suggested nothing for long.
        asks: whether it asks if it should be pruned.
        has_more: whether the time was over before all was tried.
    """

    space: Mapping[str, distributions.BaseDistribution]
    whole: Sequence[Values]
    cut: Sequence[Values]
    errors: Sequence[tuple[Values, str]]
    has_quiet: bool
    asks: bool
    has_more: bool


def text(objective: str, study: Mapping[str, tuple[Any, str]], trials: tuple[int, str], seen: Seen, head: str) -> str:
    """The file.

    Args:
        study: the keys of [study], each with what is said of it, or "".
        trials: the budget, with the same.
        head: its first line, a sentence.

    Raises:
        ValueError: a parameter that no file can hold.
    """
    written = [*_comment(head), *_told(seen), f"objective = {_toml(objective)}", "", "[study]"]
    written += [_line(key, value, why) for key, (value, why) in study.items()]
    written += ["", "[space]"]
    known: list[str] = []  # conditions, the last first
    for name in seen.space:
        written += _parameter(name, seen, known)
    if seen.asks:
        written += ["", "[pruning]", _line("pruner", "median", "it asks whether it should be pruned")]
    written += ["", "[budget]", _line("trials", *trials), ""]
    return "\n".join(written)


def _parameter(name: str, seen: Seen, known: list[str]) -> list[str]:
    every = [*seen.whole, *seen.cut]
    having, lacking = [each for each in every if name in each], [each for each in seen.whole if name not in each]
    if not lacking:
        return [_line(name, entries.of(seen.space[name]), "")]
    when = branches.condition(name, seen.space, having, lacking, known)
    if when is not None and when not in known:
        known.insert(0, when)
    said = [] if when else _comment(f"{name} was not always suggested, and no rule was found: write its `when`")
    return [*said, _line(name, entries.of(seen.space[name], when), "")]


def _told(seen: Seen) -> list[str]:
    """What was tried, and what is not known."""
    said = []
    missing = {name: left for name in seen.space if (left := _untried(name, seen))}
    untried = [f"{name} = {', '.join(map(scalars.shown, left))}" for name, left in missing.items()]
    if untried:
        said.append(f"Not seen: what it suggests at {'; '.join(untried)}.")
    if seen.has_more:
        said.append("The time was over before all was tried: --seconds gives it more.")
    if seen.has_quiet:
        said.append("It was ended before it returned: what it would suggest later is not here.")
    for values, error in seen.errors[:1]:
        at = ", ".join(f"{name} = {scalars.shown(value)}" for name, value in values.items())
        more = f", as {len(seen.errors) - 1} others" if len(seen.errors) > 1 else ""
        where = f" at {at}{more}" if at else ""
        said.append(f"It failed{where}: {lines.said(error)}. What it would suggest later is not here.")
    return [line for each in said for line in _comment(each)]


def _untried(name: str, seen: Seen) -> list[Any]:
    """Choices that no recording came to its end with."""
    distribution = seen.space[name]
    if not isinstance(distribution, distributions.CategoricalDistribution):
        return []
    tried = [each[name] for each in seen.whole if name in each]
    return [choice for choice in distribution.choices if scalars.find(tried, choice) is None]


def _line(key: str, value: Any, why: str) -> str:
    name = key if BARE.fullmatch(key) else _toml(key)
    return f"{name} = {_toml(value)}" + (f"  # {why}" if why else "")


def _toml(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(_line(key, each, "") for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return tomli_w.dumps({"key": value}).strip().removeprefix("key = ")


def _comment(sentence: str) -> list[str]:
    """In lines of a pleasant length."""
    written = ["#"]
    for word in lines.clean(sentence).split(" "):
        if len(written[-1]) + len(word) >= WIDTH:
            written.append("#")
        written[-1] += f" {word}"
    return written
