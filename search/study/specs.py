"""Reads a study's TOML into a frozen `StudySpec`, or says which key is wrong."""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from search import errors, words
from search.space import parameters, spaces
from search.study import defaults, limits, notices, programs, sections, space_sections, texts, validation, warm_starts

STUDIES = pathlib.Path("studies")
HOUSE = pathlib.Path(__file__).resolve().parent.parent.parent
# a folder `studies` beside an installed package is not ours: setup.py puts the files into the package
OURS = HOUSE / STUDIES if (HOUSE / "pyproject.toml").is_file() else pathlib.Path(__file__).with_name("files")
MAIN = "__main__"  # the module of a function that has none
SEPARATORS = tuple(mark for mark in (os.sep, os.altsep) if mark)


@dataclasses.dataclass(frozen=True)
class StudySpec:
    """A study file, read and checked.

    Attributes:
        text: the file, which `create` stores on the study.
        objective: the user's own, `package.module:function`; then there is no `training`.
        command: a program of the user's own in its place, and `metric` where it says its values.
        trial: the process that either runs in.
        warm_start: the study whose results it begins with.
        publish: where workers send results.
        notify: what people are told of it.
        enqueue: configurations to try first, without what does not exist in them.
        notes: what was dropped from them, a sentence each.
        path: of the file, where it was read from one.
        said: keys of [training] in the text; of these `decided` by the defaults of a new study, not by its author.
        written: the text as its author wrote it.
    """

    text: str
    study: sections.StudySection
    objective: str | None
    training: sections.Training | None
    space: spaces.Space
    sampler: sections.Sampler
    pruning: sections.Pruning
    budget: sections.Budget
    enqueue: tuple[spaces.Params, ...]
    notes: tuple[str, ...]
    command: tuple[str | list[str], ...] | None = None
    metric: programs.Metric | None = None
    trial: sections.Trial = sections.TRIAL
    warm_start: warm_starts.WarmStart | None = None
    publish: sections.Publish = sections.PUBLISH
    notify: notices.Notify = notices.NOTIFY
    path: pathlib.Path | None = dataclasses.field(default=None, compare=False)
    said: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)
    decided: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)
    written: str = dataclasses.field(default="", compare=False)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def step(self) -> str:
        """What its trials go on by: code of the user's own has steps, whatever they are."""
        return "step" if self.training is None else "epoch"

    @property
    def is_shipped(self) -> bool:
        """Whether its function lives in a notebook or a script, and only the workers of its own call have it."""
        return self.objective is not None and self.objective.startswith(f"{MAIN}:")

    @property
    def again(self) -> str:
        """What goes on with it, as a sentence names it: a command, or the call that has a function of no module."""
        if self.is_shipped:
            return f"`search.run(FUNCTION, ..., name={self.name!r})`"
        return f"`search run {words.typed(self.name)}`"

    @property
    def code(self) -> str | None:
        """What runs of the user's own: `module:function`, or `command:` and its words; None for the lab's networks."""
        return self.objective if self.command is None else f"command:{programs.shown(self.command)}"

    @property
    def code_checksum(self) -> str | None:
        """The same in a word without spaces or signs that a pattern could hold."""
        if self.command is None:
            return self.objective
        return f"command:{hashlib.sha256(programs.dump(self.command).encode()).hexdigest()[:16]}"

    def named(self, name: str) -> "StudySpec":
        """The same under the name that it has in the storage: any Optuna tool can rename a study."""
        if name == self.name:
            return self
        return dataclasses.replace(self, study=self.study.model_copy(update={"name": name}))


def path_of(name: str) -> pathlib.Path:
    """The study file that a user means by a name or a path.

    Raises:
        errors.StudyNotFound: no file of that name.
    """
    if name.endswith(".toml") or any(mark in name for mark in SEPARATORS):
        return pathlib.Path(name)
    for folder in (STUDIES, OURS):
        if (path := folder / f"{name}.toml").is_file():
            return path
    raise errors.StudyNotFound(f"no study file {name}.toml in {STUDIES}/{words.hint(name, names())}")


def names() -> list[str]:
    """The study files that can be named: those of the folder `studies` here, and ours."""
    return sorted({path.stem for folder in (STUDIES, OURS) for path in folder.glob("*.toml")})


def load(path: pathlib.Path) -> StudySpec:
    """Reads a study file.

    Raises:
        errors.StudyFileError: with file, key, rule and value.
    """
    return dataclasses.replace(parse(texts.read(path), str(path)), path=path)


def parse(text: str, name: str) -> StudySpec:
    """Reads a study file's text, of a study to come; `name` is the place that errors give.

    Raises:
        errors.StudyFileError: with place, key, rule and value.
    """
    spec = _decided(parse_stored(text, name), name)
    try:
        spec.notify.check_file()
        limits.check(spec.name, spec.space, texts.toml(text, name)["space"], spec.sampler.name)
    except ValueError as error:
        raise errors.StudyFileError(f"{name}: {error}") from error
    return spec


def _decided(spec: StudySpec, name: str) -> StudySpec:
    """A new study whose text says what its file left to a default that was another one once."""
    if spec.training is None:
        return spec
    means = {key: value for key, value in sections.NEW.items() if key not in spec.said}
    means = {key: value for key, value in means.items() if value != getattr(spec.training, key)}
    return _saying(spec, means, name)


def _saying(spec: StudySpec, means: Mapping[str, str], name: str) -> StudySpec:
    if not means:
        return spec
    text = texts.stated(spec.text, "training", means, "the default when the study was made")
    return dataclasses.replace(parse_stored(text, name), decided=frozenset(means), written=spec.written)


def kept(stored: StudySpec, given: StudySpec) -> StudySpec:
    """A file as the text of a study that there is: what it leaves out means what it does in the study's own."""
    name = given.name
    spec = parse_stored(given.written, name)
    means = {
        key: getattr(stored.training, key) for key in sections.NEW if key in stored.said - (given.said - given.decided)
    }
    return dataclasses.replace(_saying(spec, means, name), path=given.path)


@functools.lru_cache(256)  # whoever looks at studies looks again
def parse_stored(text: str, name: str) -> StudySpec:
    """The same of a study that there is: what an earlier version took is read, whatever is refused by now.

    Raises:
        errors.StudyFileError: with place, key, rule and value.
    """
    raw = texts.toml(text, name)
    file = validation.validate(sections.File, raw, name)
    file = defaults.settled(file, name)
    tree = space_sections.read(file.space, name, networks=not file.is_own)
    defaults.check(file, tree, name)
    kept, notes = space_sections.read_enqueued(file.enqueue, tree, name)
    return StudySpec(
        text=text,
        study=file.study,
        objective=file.objective,
        training=file.training,
        space=tree,
        sampler=file.sampler,
        pruning=file.pruning,
        budget=file.budget,
        enqueue=kept,
        notes=notes,
        command=None if file.command is None else tuple(file.command),
        metric=file.metric,
        trial=file.trial,
        warm_start=file.warm_start,
        publish=file.publish,
        notify=file.notify,
        said=frozenset(raw.get("training", {})),
        written=text,
    )


def differences(stored: StudySpec, given: StudySpec) -> list[str]:
    """What a study would have to change in [study], [training] or [space] to follow `given`, a phrase each."""
    found = []
    for key in ("objective", "command", "metric"):
        if (ours := getattr(stored, key)) != (theirs := getattr(given, key)):
            found.append(f"{key} is {plain(ours)!r}, the file says {plain(theirs)!r}")
    for section in ("study", "training"):
        ours, theirs = getattr(stored, section), getattr(given, section)
        if ours is None or theirs is None:
            continue
        for key in type(ours).model_fields:
            if key in sections.NEW and key not in stored.said | (given.said - given.decided):
                continue  # the file is as it was; what it means to a new study is another matter
            if getattr(ours, key) != getattr(theirs, key):
                found.append(f"{section}.{key} is {getattr(ours, key)!r}, the file says {getattr(theirs, key)!r}")
    ours, theirs = ({p.name: p for p in spec.space.parameters} for spec in (stored, given))
    for key in {**ours, **theirs}:
        if _describe(ours.get(key)) != _describe(theirs.get(key)):  # Optuna's own == takes True for 1
            found.append(f"space.{key} is {_describe(ours.get(key))}, the file says {_describe(theirs.get(key))}")
    return found


def plain(value: Any) -> Any:
    """A metric or command as the file has it."""
    if isinstance(value, programs.Metric):
        return value.model_dump(by_alias=True, exclude_unset=True)
    return list(value) if isinstance(value, tuple) else value


def _describe(parameter: parameters.Parameter | None) -> str:
    if parameter is None:
        return "absent"
    when = f" when {parameter.when}" if parameter.when else ""
    return f"{parameter.distribution}{when}"
