"""What is compared: this service with a sampler and a pruner, or plain Optuna by name."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import tomli_w

from search import errors
from search.simulations import plains
from search.space import scalars
from search.study import pruners, specs, texts, validation

NONE = "none"  # the word for no pruner
PLAIN = "optuna "


@dataclasses.dataclass(frozen=True)
class Part:
    """A sampler or a pruner with options of its own: `median:startup_trials=4,warmup_epochs=2`."""

    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str, option: str) -> "Part":
        """What stands behind --sampler or --pruner.

        Raises:
            errors.InputError: an option has no value.
        """
        name, _, rest = text.partition(":")
        options = []
        for setting in filter(None, rest.split(",")):
            key, sign, value = setting.partition("=")
            if not sign or not key or not value:
                raise errors.InputError(f"{option} must read NAME or NAME:OPTION=VALUE,..., got {text!r}")
            options.append((key, _value(value)))
        return cls(name, tuple(options))

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}:{options}" if options else self.name


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    number = scalars.number(text)
    return text if number is None else number


@dataclasses.dataclass(frozen=True)
class Method:
    """One side of a comparison.

    Attributes:
        sampler: of this service; None for the study's own. `pruner` likewise.
        plain: the name of Optuna's sampler, or sampler+pruner; then there is no other.
    """

    sampler: Part | None = None
    pruner: Part | None = None
    plain: str | None = None

    @property
    def name(self) -> str:
        """What it is called in findings."""
        if self.plain is not None:
            return PLAIN + self.plain
        parts = [str(self.sampler) if self.sampler else "the study's", *([str(self.pruner)] if self.pruner else [])]
        return "+".join(part for part in parts if part != NONE)

    def spec(self, text: str, place: str, seed: int, limit: "Limit") -> specs.StudySpec:
        """A study file with this sampler, pruner, seed and budget, and nothing enqueued, checked as any file.

        Raises:
            errors.StudyFileError: with place, key, rule and value.
        """
        raw = texts.toml(text, place)
        raw["study"] = {**raw["study"], "seed": seed}
        raw.pop("enqueue", None)
        if self.sampler is not None:
            raw["sampler"] = {"name": self.sampler.name, **dict(self.sampler.options)}
        if self.pruner is not None:
            pruning = {key: value for key, value in raw.get("pruning", {}).items() if key == "hopeless"}
            if self.pruner.name != NONE:
                pruning |= {"pruner": self.pruner.name, **dict(self.pruner.options)}
            raw["pruning"] = pruning
        budget = {key: value for key, value in raw["budget"].items() if key == "max_failures"}
        raw["budget"] = budget | {"trials": limit.trials}
        if math.isfinite(limit.seconds):
            raw["budget"]["hours"] = limit.seconds / 3600
        return specs.parse(tomli_w.dumps(raw), place)


@dataclasses.dataclass(frozen=True)
class Limit:
    """Of one search.

    Attributes:
        seconds: of CPU time, after which nothing begins.
    """

    trials: int = validation.LARGEST
    seconds: float = math.inf


def every(samplers: Sequence[str], chosen: Sequence[str], plain: Sequence[str]) -> list[Method]:
    """Each sampler with each pruner, then plain Optuna's, each once; the study's own where no sampler is named.

    Raises:
        errors.InputError: a name is wrong.
    """
    for each in plain:
        plains.split(each)
    ours: list[Part | None] = [Part.parse(each, "--sampler") for each in samplers]
    theirs: list[Part | None] = [Part.parse(each, "--pruner") for each in chosen]
    for part in theirs:
        if part is not None and part.name not in (NONE, *pruners.PRUNERS):
            raise errors.InputError(
                f"--pruner must be {NONE} or one of {', '.join(pruners.PRUNERS)}, got {part.name!r}"
            )
    found = [Method(sampler, pruner) for sampler, pruner in itertools.product(ours or [None], theirs or [None])]
    return list(dict.fromkeys([*found, *(Method(plain=each) for each in plain)]))
