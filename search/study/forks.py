"""The text of a study that begins where another one is: its text, what a file of changes says, and whose results."""

import copy
from collections.abc import Mapping
from typing import Any

import tomli_w

from search import errors
from search.study import sections, specs, texts

GONE = {"none": True}  # a key that is to go: TOML has no null
SHAPES = ({"choices"}, {"low", "high", "step", "log"})  # of a parameter: the keys of one go where those of another come


def spec(source: specs.StudySpec, name: str, changes: Mapping[str, Any], place: str) -> specs.StudySpec:
    """The file of a study called `name`.

    Args:
        changes: tables of a study file; a key whose value is `{ none = true }` goes.
        place: of these, for errors.

    Raises:
        errors.StudyFileError: place, key, rule and value.
    """
    raw = texts.toml(source.text, source.name)
    if source.training is not None:  # what it left out may mean something else in a new file
        means = {key: getattr(source.training, key) for key in sections.NEW}
        raw["training"] = {**means, **raw.get("training", {})}
    for key in ("enqueue", "warm_start"):  # were for the beginning of that study
        raw.pop(key, None)
    if (given := _table(changes, "study", place).get("name", name)) != name:
        raise errors.StudyFileError(f"{place}: study.name must be left out, or {name!r}, got {given!r}")
    if "warm_start" in changes:
        raise errors.StudyFileError(f"{place}: warm_start must be left out: a fork begins with study {source.name!r}")
    merged = _merged(raw, changes, place, ())
    merged["study"] = {**_table(merged, "study", place), "name": name}
    merged["warm_start"] = {"from": source.name}
    found = specs.parse(tomli_w.dumps(merged), place)
    for key in ("direction", "metric"):
        was, now = getattr(source.study, key), getattr(found.study, key)
        if now != was:
            raise errors.StudyFileError(
                f"{place}: study.{key} must be {was!r}, as of study {source.name!r}, whose results it has, got {now!r}"
            )
    return found


def _table(raw: Mapping[str, Any], key: str, place: str) -> Mapping[str, Any]:
    found = raw.get(key, {})
    if not isinstance(found, dict):
        raise errors.StudyFileError(f"{place}: {key} must be a table, got {found!r}")
    return found


def _merged(raw: Mapping[str, Any], changes: Mapping[str, Any], place: str, above: tuple[str, ...]) -> dict[str, Any]:
    """Tables one within the other; of what is no table the later one counts."""
    merged = copy.deepcopy(dict(raw))
    for key, value in changes.items():
        where = (*above, key)
        if value == GONE:
            if key not in merged:
                raise errors.StudyFileError(f"{place}: {'.'.join(where)} must be in the study to go, and is not")
            del merged[key]
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            old = merged[key]
            if above == ("space",):
                for shape in SHAPES:
                    if not shape & value.keys() and any(other & value.keys() for other in SHAPES if other is not shape):
                        old = {name: each for name, each in old.items() if name not in shape}
            merged[key] = _merged(old, value, place, where)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
