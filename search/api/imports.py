"""Known results from Python: imported from a file, a study forked from another one, a plain Optuna study adopted."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import optuna

from search import errors, files, words
from search.api import access
from search.api import studies as verbs
from search.api.access import Storage
from search.api.drafts import TRIALS, Target
from search.ledger import homes, imports, outsiders, studies, takeovers, warm_starts
from search.storage.databases import Database
from search.study import drafts, forks, names, result_files, specs, texts
from search.training import recordings, spools
from search.worker import platforms

IMPORT_SECONDS = 60.0  # of an objective's module

Path = str | os.PathLike[str]


def import_trials(
    name: str, file: Path, *, storage: Storage = None, on_trials: imports.OnTrials = imports.SILENT
) -> imports.Import:
    """Brings the results of a file into a study: told apart, outside the budget, never trained again.

    What lies outside the study's space is left out and counted; a configuration that a trial has already, too.

    Args:
        file: of `search export-trials` or of a table with `params_NAME` and `value`: .jsonl, .json, .csv or .parquet.
        on_trials: is told how many were looked at, of how many.

    Raises:
        errors.StudyNotFound: there is no such study.
        errors.InputError: what a file says cannot be, or nothing of it fits: place, rule and value.
    """
    database = access.open_existing(storage)
    study, path = studies.load(database, name), pathlib.Path(file)
    with spools.Spool(str(path)) as spool:
        for record in result_files.read(path, study.spec.study.metric):
            spool.add(record, study.spec)
        if not spool.count:
            reason, left = next(iter(spool.left_out.items()))
            got = f", got {left.got}" if left.got else ""
            more = f" and {len(spool.left_out) - 1} other reasons" if len(spool.left_out) > 1 else ""
            raise errors.InputError(f"{left.place}: nothing fits study {study.name!r}: {reason}{got}{more}")
        spool.flush()
        return imports.take(database, study, spool, on_trials)


def fork(
    name: str, new: str, changes: Path | Mapping[str, Any] | None = None, *, storage: Storage = None
) -> optuna.Study:
    """Makes the next study from one: its file with some keys changed, and its results, imported.

    Args:
        changes: a TOML file, or its tables; a key whose value is `{"none": True}` goes.

    Raises:
        errors.StudyExists: the new name is taken.
        errors.StudyFileError: place, key, rule and value.
    """
    database = access.open_existing(storage)
    return verbs.as_optuna(database, forked(database, name, new, changes)[0])


def forked(
    database: Database,
    name: str,
    new: str,
    changes: Path | Mapping[str, Any] | None = None,
    on_trials: imports.OnTrials = imports.SILENT,
) -> tuple[studies.Study, list[str]]:
    """The same, with notes for its user."""
    source = studies.load(database, name)
    place, given = f"fork of {source.name}", changes or {}
    if not isinstance(given, Mapping):
        place = str(given)
        given = texts.toml(texts.read(pathlib.Path(given)), place)
    spec = forks.spec(source.spec, new, given, place)
    keys = ("training.", "objective", "command")
    differ = [each for each in specs.differences(source.spec, spec) if each.startswith(keys)]
    study, notes = warm_starts.create(database, spec, on_trials)
    if (home := homes.read(database, source)) is not None:  # a function of a notebook
        homes.write(database, study, home)
    return study, [*notes, *(f"its results were measured otherwise: {each}" for each in differ)]


@dataclasses.dataclass(frozen=True)
class Adopted:
    """A plain Optuna study that is one of ours now.

    Attributes:
        path: of the file that was written.
        running: numbers of those that run, or were left running.
        notes: what is not known of it, or was changed, a line each.
    """

    database: Database
    study: studies.Study
    path: pathlib.Path
    running: tuple[int, ...]
    notes: tuple[str, ...]


def adopt(
    name: str,
    objective: str,
    *,
    trials: int | None = None,
    output: Path | None = None,
    metric: str | None = None,
    force: bool = False,
    storage: Storage = None,
) -> optuna.Study:
    """Makes a study of plain Optuna's one of ours: writes its file, and lets workers go on with it, by exact counts.

    Args:
        objective: `train.py:objective` or `module:objective`, which goes on with it.
        trials: the budget, its finished trials among them; 20 more than these where it is left out.
        output: the file; NAME.toml beside the module where it is left out.
        force: replace a file that is there.

    Raises:
        errors.StudyNotFound: there is none.
        errors.InputError: it is ours already, has several objectives or constraints, or what no study file can hold;
            no such function; or a smaller budget than its finished trials.
    """
    how: dict[str, Any] = {"trials": trials, "output": output, "metric": metric, "force": force}
    found = adopted(name, objective, storage=storage, **how)
    return verbs.as_optuna(found.database, found.study)


def adopted(
    name: str,
    objective: str,
    *,
    trials: int | None = None,
    output: Path | None = None,
    metric: str | None = None,
    force: bool = False,
    storage: Storage = None,
    on_trials: imports.OnTrials = imports.SILENT,
) -> Adopted:
    """The same, with what there is to say."""
    seen = access.open_to_read(storage)  # until all is known nothing is written
    study, outsider = takeovers.check(seen, name)
    try:
        names.study(study.name)
    except ValueError as error:
        raise errors.InputError(
            f"study {study.name!r}: its name {error}: `search rename {words.typed(study.name)} NEW` gives it another"
        ) from error
    target = Target.read(objective, "adopt")
    path = _place(output, target, study.name, force)
    if platforms.has_workers():  # it cannot be undone: whoever could not run it learns so before
        with recordings.Recorder(target.objective, target.folder, IMPORT_SECONDS):
            pass
    past = takeovers.look(seen, study)
    spec = _spec(outsider, target.objective, past, trials, metric, str(path))
    ours: studies.Study | None = None
    try:
        with files.replacing(path, force) as part:
            part.write_bytes(spec.text.encode())
            database = access.open_existing(storage, foreign=True)
            ours = takeovers.take_over(database, study, spec, on_trials)
    except OSError as error:
        reason = f"{path} cannot be written: {error.strerror or error}"
        if ours is not None:
            there = f"its text is kept: search.load({study.name!r}).user_attrs[{studies.STUDY_FILE!r}]"
            reason = f"study {study.name!r} is adopted, but {reason}; {there}"
        raise errors.InputError(reason) from error
    said = [line.removeprefix("# ") for line in spec.text.split("objective =")[0].splitlines()[1:]]
    changed = [f"{each} had another distribution once: the last one holds" for each in past.changed]
    return Adopted(database, ours, path, tuple(past.running), (*said, *changed))


def _place(output: Path | None, target: Target, name: str, force: bool) -> pathlib.Path:
    """Where the file of an adopted study can be, known before anything is adopted."""
    beside = pathlib.Path() if target.file is None else target.file.parent
    path = pathlib.Path(output) if output is not None else beside / f"{files.safe_name(name)}.toml"
    try:
        is_folder, is_there = path.is_dir(), os.path.lexists(path)
    except OSError as error:
        raise errors.InputError(f"{path} cannot be written: {error.strerror}") from error
    if is_folder:
        raise errors.InputError(f"{path} cannot be written: it is a folder; --output takes another name")
    if is_there and not force:
        raise errors.InputError(f"{path} is there already; --force replaces it, --output takes another name")
    return path


def _spec(
    study: outsiders.Outsider, objective: str, past: takeovers.Past, trials: int | None, metric: str | None, place: str
) -> specs.StudySpec:
    """The file of a study by what its trials have shown."""
    if study.metrics[0] != "value":  # the name that it has in Optuna
        metric = study.metrics[0]
    if trials is not None and trials < past.done:
        raise errors.InputError(
            f"study {study.name!r}: --trials must be {past.done} or more, as many as have finished, got {trials}"
        )
    file: dict[str, tuple[Any, str]] = {"name": (study.name, ""), "direction": (study.directions[0], "")}
    file |= {"metric": (metric, "")} if metric else {}
    many = words.plural(past.done, "finished trial")
    budget = (trials or past.done + TRIALS, f"its {many} among them")
    head = f"Written by `search adopt {words.typed(study.name)}`: what {many} of it suggested."
    try:
        text = drafts.text(objective, file, budget, past.seen(), head)
    except ValueError as error:
        raise errors.InputError(f"study {study.name!r}: {error}") from error
    return specs.parse(text, place)
