"""A study file for a define-by-run objective, found by recording what it suggests."""

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import Any

from search import errors, words
from search.study import drafts, names, scripts, sections, specs, texts
from search.training import recordings
from search.worker import platforms

SECONDS = 60.0
TRIALS = 20


@dataclasses.dataclass(frozen=True)
class Target:
    """An objective: the folder that its module is imported from, its name as studies have it, its file where known."""

    folder: pathlib.Path
    objective: str
    file: pathlib.Path | None

    @classmethod
    def read(cls, target: str, verb: str = "init") -> "Target":
        """`folder/train.py:objective`, or `module:objective`, imported from the working folder.

        Args:
            verb: who asks.

        Raises:
            errors.InputError: it is neither, or no such file.
        """
        place, _, function = target.rpartition(":")
        if not place or not function.isidentifier():
            raise errors.InputError(f"{verb} takes FILE.py:FUNCTION or MODULE:FUNCTION, got {target!r}")
        if not place.endswith(".py"):
            if not re.fullmatch(sections.OBJECTIVE, target):
                raise errors.InputError(f"{verb} takes FILE.py:FUNCTION or MODULE:FUNCTION, got {target!r}")
            return cls(pathlib.Path.cwd(), target, None)
        file = pathlib.Path(place)
        if not file.is_file():
            raise errors.InputError(f"{verb}: no file {place}")
        if not file.stem.isidentifier():
            raise errors.InputError(f"{verb}: a module must have a name that Python can import, got {file.name!r}")
        return cls(file.resolve().parent, f"{file.stem}:{function}", file)


@dataclasses.dataclass(frozen=True)
class Draft:
    """A study file that was written.

    Attributes:
        recorded: how often the objective was run.
        notes: what is not known of it, a line each.
    """

    path: pathlib.Path
    spec: specs.StudySpec
    recorded: int
    notes: tuple[str, ...]


def init(
    target: str,
    *,
    output: pathlib.Path | None = None,
    name: str | None = None,
    direction: str | None = None,
    metric: str | None = None,
    trials: int | None = None,
    seconds: float = SECONDS,
    force: bool = False,
    on_recording: Callable[[int], None] = lambda count: None,
) -> Draft:
    """Runs an objective with several configurations, in a process of its own, and writes what it suggests.

    Args:
        target: `train.py:objective` or `module:objective`.
        output: the file; beside the module, under its name, where it is left out.
        seconds: for all of it.
        force: replace a file that is there.
        on_recording: is told how many there were.

    Raises:
        errors.InputError: no such function, one that suggests nothing or what no study file can hold, or a file that is
            there already.
    """
    platforms.check("init")
    found = Target.read(target)
    module = found.objective.partition(":")[0]
    path = output or (found.file or pathlib.Path(module.rpartition(".")[2])).with_suffix(".toml")
    if path.exists() and not force:
        raise errors.InputError(f"{path} is there already; --force replaces it, --output takes another name")
    seen, recorded = _record(found, seconds, on_recording)
    source = found.file or found.folder / pathlib.Path(*module.split(".")).with_suffix(".py")
    hints = scripts.read(texts.read(source) if source.is_file() else "")
    study: dict[str, tuple[Any, str]] = {"name": (name or names.normal(path.stem), "")}
    study["direction"] = _chosen(direction, hints.direction, "maximize", "minimize where less is better")
    if metric:
        study["metric"] = (metric, "")
    budget = _chosen(trials, hints.trials, TRIALS, "as many as you like")
    head = f"Written by `search init {target}`: what {words.plural(recorded, 'run')} of it suggested."
    try:
        text = drafts.text(found.objective, study, budget, seen, head)
    except ValueError as error:
        raise errors.InputError(f"{target}: {error}") from error
    spec = specs.parse(text, str(path))
    path.write_text(text, encoding="utf-8")
    notes = tuple(line.removeprefix("# ") for line in text.split("objective =")[0].splitlines()[1:])
    return Draft(path, spec, recorded, notes)


def _chosen(given: Any, hint: Any, otherwise: Any, why: str) -> tuple[Any, str]:
    """A value, and where it comes from unless it was given."""
    if given is not None:
        return given, ""
    return (hint, "as the script says") if hint is not None else (otherwise, why)


def _record(target: Target, seconds: float, on_recording: Callable[[int], None]) -> tuple[drafts.Seen, int]:
    found = []
    with recordings.Recorder(target.objective, target.folder, seconds) as recorder:
        for recording in recorder.explore():
            found.append(recording)
            on_recording(len(found))
        has_more = recorder.seconds_left <= 0
    if not recorder.space:
        nothing = "it called no trial.suggest_float, suggest_int or suggest_categorical"
        error = next((each.error for each in found if each.error), nothing)
        raise errors.InputError(f"{target.objective}: nothing was suggested: {error}")
    seen = drafts.Seen(
        space=recorder.space,
        whole=[each.values for each in found if each.is_whole],
        cut=[each.values for each in found if not each.is_whole],
        errors=[(each.values, each.error) for each in found if each.error],
        has_quiet=any(each.is_quiet for each in found),
        asks=any(each.asks for each in found),
        has_more=has_more,
    )
    return seen, len(found)
