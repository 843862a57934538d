"""In which keys the files of several studies differ, and what each of them says."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from optuna import distributions

from search import words
from search.space import parameters, scalars
from search.study import programs, sections, specs

ABSENT, NOTHING = "-", "none"
SPACE = "space."
UNTOLD = ("study.name",)
WITHOUT_EFFECT = ("publish.", "notify.")  # on any result


def settings(spec: specs.StudySpec, budget: Mapping[str, Any]) -> dict[str, str]:
    """All keys of a file, with what they mean where it leaves them out.

    Args:
        budget: what of `[budget]` is in force by now.
    """
    found: dict[str, str] = {}
    if spec.command is not None:
        found["command"] = programs.dump(spec.command)
    for name in ("objective", "metric"):
        found[name] = put(specs.plain(getattr(spec, name)))
    for name in sections.File.model_fields:
        section = getattr(spec, name, None)
        if isinstance(section, pydantic.BaseModel) and name != "metric" and (name != "trial" or spec.training is None):
            given = {each.alias or key: getattr(section, key) for key, each in type(section).model_fields.items()}
            found |= {f"{name}.{k}": put(v) for k, v in {**given, **(budget if name == "budget" else {})}.items()}
    found |= {f"{SPACE}{each.name}": _parameter(each) for each in spec.space.parameters}
    found["enqueue"] = put([words.configuration(params) for params in spec.enqueue])
    told = {key: value for key, value in found.items() if key not in UNTOLD and value != NOTHING}
    return {key: value for key, value in told.items() if not key.startswith(WITHOUT_EFFECT)}


def asked(spaces: Mapping[str, Sequence[distributions.BaseDistribution]]) -> dict[str, str]:
    """The same of a study without a file: its parameters, by name as what trials were asked for."""
    return {
        f"{SPACE}{name}": ", or ".join(words.distribution(each) for each in found) for name, found in spaces.items()
    }


def of(files: Sequence[Mapping[str, str]], are_whole: Sequence[bool]) -> list[tuple[str, list[str]]]:
    """The keys in which they differ, in the order of a file, each with what every one of them says.

    Args:
        are_whole: of each, whether it is a file: a study without one differs in what it says alone.
    """
    ranks = {name: place for place, name in enumerate(sections.File.model_fields)}
    keys = dict.fromkeys(key for each in files for key in each)
    found = []
    for key in sorted(keys, key=lambda key: ranks.get(key.partition(".")[0], 0)):
        said = [each.get(key, ABSENT) for each in files]
        known = [whole or key in each or _has_space(key, each) for each, whole in zip(files, are_whole, strict=True)]
        if len(set(itertools.compress(said, known))) > 1:
            found.append((key, said))
    return found


def _has_space(key: str, file: Mapping[str, str]) -> bool:
    """Whether a parameter is absent since the space, which is known, does not have it."""
    return key.startswith(SPACE) and any(each.startswith(SPACE) for each in file)


def put(value: Any) -> str:
    """A value of a key, as a file has it but for a float's digits."""
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        return "; ".join(map(put, value)) or NOTHING
    return scalars.shown(value) if isinstance(value, bool | float) else str(value)


def _parameter(parameter: parameters.Parameter) -> str:
    when = f" when {parameter.when}" if parameter.when else ""
    return f"{words.distribution(parameter.distribution)}{when}"
