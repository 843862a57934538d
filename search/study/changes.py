"""What a study file says now that the stored study does not: every key but those that define the study.

Those are refused, by `specs.differences`. Of the others each is noted, or taken over by `search amend`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pydantic

from search import words
from search.study import sections, specs

DEFINING = ("objective", "command", "metric", "study", "training", "space")
FOLLOWED = tuple(name for name in sections.File.model_fields if name not in DEFINING)


@dataclasses.dataclass(frozen=True)
class Change:
    """A key outside the study's definition: `budget.hours`, what the study was made with, and what the file says."""

    section: str
    key: str
    stored: Any
    given: Any

    @property
    def place(self) -> str:
        """Where it stands in the file."""
        return f"{self.section}.{self.key}" if self.key else self.section

    def sentence(self, now: Any, how: str) -> str:
        """What is noted of it, where `now` is in force.

        Args:
            how: the command that takes it over.
        """
        return f"{self.place} of the file is {_put(self.given)}, the study has {_put(now)}: `{how}` takes it over"

    @property
    def told(self) -> str:
        """What is said of it once it was taken over."""
        return f"{self.place}: {_put(self.stored)} -> {_put(self.given)}"


def of(stored: specs.StudySpec, given: specs.StudySpec) -> Iterator[Change]:
    """What the file differs in from the one that the study was made with, or amended by."""
    for section in FOLLOWED:
        ours, theirs = getattr(stored, section), getattr(given, section)
        table = theirs if ours is None else ours
        if isinstance(table, pydantic.BaseModel):
            for key, field in type(table).model_fields.items():
                if (old := getattr(ours, key, None)) != (new := getattr(theirs, key, None)):
                    yield Change(section, field.alias or key, old, new)
        elif ours != theirs:
            yield Change(section, "", ours, theirs)


def command(spec: specs.StudySpec) -> str:
    """What takes all of a file over."""
    return f"search amend {words.typed(str(spec.path or spec.name))}"


def _put(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):  # enqueued configurations
        return words.plural(len(value), "configuration")
    return f"{value:.12g}" if isinstance(value, float) else str(value)
