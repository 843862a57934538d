"""What came of a study, from Python: replay, confirm, export, predict, report; and the whole lab reproduced."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial

from search import errors
from search.api import access, homes
from search.api.access import Storage
from search.ledger import artifacts, belongings, excerpts, listings, outsiders, studies, summaries
from search.storage import databases, stores
from search.study import specs
from search.worker import assignments, platforms, requirements, supervision
from search.worker.settings import Settings

# torch, scipy and matplotlib take seconds to import: each function imports what it needs
if TYPE_CHECKING:
    from search.exports import choices, model_files, packages, predictions, recordings
    from search.reports import confirmations, contents, reproductions
    from search.training import replays

Path = str | os.PathLike[str]
OnEpoch = Callable[[int, int], None]  # is told how many epochs are done, and of how many


def replay(
    name: str, number: int, *, storage: Storage = None, on_epoch: OnEpoch = lambda done, epochs: None, **settings: Any
) -> "replays.Replay":
    """Trains a stored trial again, here, and compares; see `search.training.replays`, and `reruns` for own code.

    Raises:
        errors.InputError: no such trial, one without a curve, or code that may not run here.
    """
    database, chosen = access.open_to_read(storage), Settings.from_environment(**settings)
    study = studies.load(database, name)
    trial = excerpts.load_trained(database, study, number)
    epochs = max(trial.intermediate_values, default=0)
    if study.spec.training is None:
        return _rerun(study.spec, trial, chosen, lambda step: on_epoch(step, epochs))
    from search.training import networks, replays

    objective = networks.NetworkObjective(study.spec, chosen.data_dir, chosen.training_device, chosen.engine)
    return replays.replay(trial, objective, lambda epoch: on_epoch(epoch, epochs))


def _rerun(
    spec: specs.StudySpec, trial: FrozenTrial, settings: Settings, on_step: Callable[[int], None]
) -> "replays.Replay":
    from search.training import functions, reruns

    requirements.check_objective(spec, settings, "replay", str(trial.number))
    with contextlib.closing(functions.FunctionObjective(spec)) as objective:  # its folder is nobody else's
        return reruns.rerun(trial, objective, spec, on_step)


def confirm(
    name: str,
    top: int = 5,
    seeds: int = 3,
    *,
    other_name: str | None = None,
    storage: Storage = None,
    **settings: Any,
) -> "confirmations.Confirmation":
    """Trains the best configurations again with fresh seeds and tests them once; see `search.reports.confirmations`.

    Args:
        other_name: of the confirming study; NAME-confirm where it is left out.

    Raises:
        errors.InputError: nothing to confirm, or it was confirmed with another choice already.
        errors.WorkFailed: less was trained than that takes, and why.
        KeyboardInterrupt: after Ctrl-C; asked again, it goes on.
    """
    platforms.check("confirm")
    from search.reports import confirmations

    database, chosen = access.open_to_read(storage), Settings.from_environment(**settings)
    study = studies.load(database, name)
    found = confirmations.known(database, study, top, seeds, other_name)
    if found is not None:
        return found
    requirements.check_objective(study.spec, chosen, "confirm")
    homes.check(database, study)
    requirements.check(study.spec, chosen)  # before anything is written
    database, staffed = access.open_existing(storage), assignments.staffed(study.spec, chosen)
    confirming = confirmations.prepare(database, study, top, seeds, other_name)
    supervision.supervise(database, confirming, staffed).check()
    return confirmations.expect(database, study, other_name)


def export(
    name: str,
    to: Path,
    trial: int | None = None,
    *,
    onnx: bool = False,
    force: bool = False,
    storage: Storage = None,
    on_epoch: OnEpoch = lambda done, epochs: None,
    **settings: Any,
) -> "model_files.Exported | packages.Packed":
    """Writes the network of the best (confirmed) trial, or of one, as safetensors with its card beside it.

    Of code of the user's own: the files that the trial has kept, and a card, into a folder or a zip file.

    Args:
        force: replace files that are there.
        on_epoch: of own code it is told of bytes.

    Raises:
        errors.InputError: nothing to export, or files that are there and may not be replaced.
    """
    database, chosen = access.open_to_read(storage), Settings.from_environment(**settings)
    study = studies.load(database, name)
    from search.exports import choices

    named = None if trial is None else excerpts.load(database, study, trial)
    if study.spec.training is None:
        if onnx:
            raise errors.InputError(f"study {study.name!r} is of code of your own, which --onnx knows nothing of")
        return _pack(database, choices.choose(database, study, named), pathlib.Path(to), force, chosen.store, on_epoch)
    from search.exports import model_files
    from search.training import networks

    files = model_files.check_path(pathlib.Path(to), onnx, force)
    choice = choices.choose(database, study, named)
    epochs = max(choice.trial.intermediate_values, default=0)
    objective = networks.NetworkObjective(choice.study.spec, chosen.data_dir, chosen.training_device, chosen.engine)
    return model_files.export(choice, objective, files, lambda epoch: on_epoch(epoch, epochs))


def _pack(
    database: databases.Database,
    choice: "choices.Choice",
    path: pathlib.Path,
    force: bool,
    store: str | None,
    on_bytes: OnEpoch,
) -> "packages.Packed":
    from search.exports import packages

    packages.check_path(path, force)
    whole = excerpts.load(database, choice.study, choice.trial.number)  # a study's best comes without its attributes
    choice = dataclasses.replace(choice, trial=whole)
    kept = artifacts.of_study(database, choice.study, choice.trial.number)
    place = belongings.location(database, choice.study.study_id, store)
    return packages.write(choice, kept, stores.Store(place), path, on_bytes)


def record(name: str, table: Path, *, force: bool = False, storage: Storage = None) -> "recordings.Recorded":
    """Writes the complete trials of a study as a table for `search simulate`; see `search.exports.recordings`.

    Args:
        force: replace a file that is there.

    Raises:
        errors.InputError: nothing to write, or no place for it.
    """
    from search.exports import recordings

    path = pathlib.Path(table)
    recordings.check_path(path, force)
    database = access.open_to_read(storage)
    return recordings.write(database, studies.load(database, name), path)


def predict(model: Path, *images: Path, resize: bool = False, invert: bool = False) -> "list[predictions.Prediction]":
    """What an exported model takes PNG or JPEG files for; see `search.exports.predictions`."""
    from search.exports import predictions

    return predictions.of_images(pathlib.Path(model), [pathlib.Path(path) for path in images], resize, invert)


def report(*names: str, output: Path = "report", title: str | None = None, storage: Storage = None) -> pathlib.Path:
    """Writes the report of some studies into a folder and returns the path of its HTML page."""
    return write_report(*names, output=output, title=title, storage=storage).html


def write_report(
    *names: str, output: Path = "report", title: str | None = None, storage: Storage = None
) -> "contents.Written":
    """The same, and returns both files, the verdicts on the lab's takeaways, and why studies were left out.

    Raises:
        errors.InputError: there is no study of a name, or none of them can be read.
    """
    database = access.open_to_read(storage)
    found: list[studies.Study | outsiders.Outsider] = []
    left_out = []
    for name in names:
        stored = studies.load_stored(database, name)
        try:
            one = listings.one(database, stored) if stored.is_foreign else stored.read()
            found.append(one.study if isinstance(one, summaries.Summary) else one)
        except errors.InputError as error:
            left_out.append(error)
    if left_out and not found:
        raise left_out[0]
    from search.reports import contents

    return contents.write(database, found, pathlib.Path(output), title, list(map(str, left_out)))


def reproduce(
    seeds: int = 5, trials: int = 10, *, output: Path = "report", storage: Storage = None, **settings: Any
) -> pathlib.Path:
    """Repeats the whole lab and returns the path of its report's HTML page.

    Args:
        seeds: of each setting of the baseline and the one-factor studies.
        trials: budget of the search, at least.
    """
    return reproduce_lab(seeds, trials, output=output, storage=storage, **settings).html


def reproduce_lab(
    seeds: int = 5,
    trials: int = 10,
    *,
    output: Path = "report",
    storage: Storage = None,
    on_step: "Callable[[reproductions.Step], None]" = lambda step: None,
    **settings: Any,
) -> "contents.Written":
    """The same, and returns both files and the verdicts; `on_step` is told of each study when it is worked off."""
    platforms.check("reproduce")
    from search.reports import reproductions

    database, chosen = access.open_any(storage), Settings.from_environment(**settings)
    for spec in reproductions.lab_specs():
        requirements.check(spec, chosen)
    names = []
    for step in reproductions.run(
        database,
        lambda spec: supervision.begin(database, spec),
        lambda study, label: supervision.supervise(
            database, study, assignments.staffed(study.spec, chosen), label
        ).check(),
        seeds,
        trials,
    ):
        on_step(step)
        names.append(step.study.name)
    return write_report(*names, output=output, title=reproductions.LAB_TITLE, storage=database)
