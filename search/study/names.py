"""What may be a name: of a study, in shells, files and addresses; of a parameter, in every database."""

import fnmatch
import unicodedata
from collections.abc import Sequence

STUDY_CHARACTERS = 100
PARAMETER_CHARACTERS = 512  # what Optuna's columns hold on Postgres
COLUMN = f"must be at most {PARAMETER_CHARACTERS} characters long, which is what every database holds"


def normal(name: str) -> str:
    """The one form of a name: an accent typed as one character or as two looks the same, and means the same."""
    return unicodedata.normalize("NFC", name)


def study(name: str) -> str:
    """The name of a study in its one form.

    Raises:
        ValueError: the rule that it breaks.
    """
    name = normal(name)
    if not 0 < len(name) <= STUDY_CHARACTERS:
        raise ValueError(f"must be 1 to {STUDY_CHARACTERS} characters long")
    if not name.isprintable():
        raise ValueError("must be printable characters: no line breaks, tabs, or blanks and signs that cannot be seen")
    if name != " ".join(name.split(" ")) or name.strip() != name or "  " in name:
        raise ValueError("must have no blank at its start or end, nor two together")
    if name[0] in "-.":
        raise ValueError("must not start with '-' or '.': it would read as an option, or a hidden file")
    if set(name) & set("/\\"):
        raise ValueError("must not hold '/' or '\\', which would make a path of it")
    return name


def new_study(name: str) -> str:
    """The same, of a study to come: older ones may bear the name of a file.

    Raises:
        ValueError: the rule that it breaks.
    """
    if name.lower().endswith(".toml"):
        raise ValueError("must not end in .toml, by which a study file is known")
    return study(name)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name of a study fits one of these shell patterns; any does where there is none."""
    return not patterns or any(fnmatch.fnmatchcase(normal(name), normal(pattern)) for pattern in patterns)


def parameter(name: str) -> str:
    """The name of a parameter, as it is; how long it may be is asked of a new study only (`limits`).

    Raises:
        ValueError: the rule that it breaks.
    """
    if not name or name.strip() != name:
        raise ValueError("must be a name without blanks at its start or end")
    if not name.isprintable():
        raise ValueError("must be a name of printable characters")
    return name
