"""The commands as Python functions, for notebooks and scripts: `import search; search.run("lab")`.

Where an argument is left out, the environment decides as it does for the commands: `SEARCH_STORAGE`, `SEARCH_DATA`,
`SEARCH_DEVICE`, `SEARCH_ENGINE`, `SEARCH_SLOTS`. A name is that of a study in `studies/` or the path of a study file.
"""

import os
import pathlib

import click
import optuna

from search import errors
from search.exports import model_files, predictions
from search.ledger import orders, studies, summaries
from search.reports import confirmations, contents, pages, reproductions
from search.storage import addresses, databases
from search.study import specs
from search.training import networks, replays
from search.worker import supervision, workforces

__all__ = ["run", "load", "extend", "replay", "confirm", "export", "predict", "report", "reproduce"]


def run(
    name: str,
    *,
    workers: int | None = None,
    storage: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    engine: str | None = None,
    slots: int | None = None,
) -> optuna.Study:
    """Creates or resumes a study, works on it with local worker processes until it is finished, and returns it.

    Args:
        workers: processes; as many as fill the cores where it is left out.
        slots: trials at once in each of them; one where it is left out.

    Raises:
        errors.SearchError: bad input, or the work failed.
        KeyboardInterrupt: after Ctrl-C; running trials were handed over, the next run goes on.
    """
    spec, force = specs.load(specs.path_of(name)), _force(workers, data_dir, device, engine, slots)
    database = _open(storage)
    workforces.check_training(spec, force)
    study = supervision.begin(database, spec)
    _check(supervision.supervise(database, study, force), study)
    return load(study.name, storage=storage)


def load(name: str, *, storage: str | None = None) -> optuna.Study:
    """The Optuna study of that name, as it is now.

    Raises:
        errors.StudyNotFound: there is none.
    """
    database = _open(storage)
    return optuna.load_study(study_name=studies.load(database, name).name, storage=database.optuna)


def extend(name: str, trials: int, *, storage: str | None = None) -> int:
    """Adds to the budget of a study and returns what it is then; `run` works it off."""
    database = _open(storage)
    return orders.extend(database, studies.load(database, name).study_id, add=trials).trials


def replay(
    name: str,
    number: int,
    *,
    storage: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    engine: str | None = None,
) -> replays.Replay:
    """Trains a stored trial again, here, and compares the curves; see `search.retraining`.

    Raises:
        errors.InputError: no such trial, or one without a curve.
    """
    database, force = _open(storage), _force(None, data_dir, device, engine)
    study = studies.load(database, name)
    trial = summaries.load_trial(database, study, number)
    return replays.replay(trial, networks.NetworkObjective(study.spec, force.data_dir, force.device, force.engine))


def confirm(
    name: str,
    top: int = 5,
    seeds: int = 3,
    *,
    workers: int | None = None,
    storage: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    engine: str | None = None,
) -> confirmations.Confirmation:
    """Trains the best configurations again with fresh seeds and tests them once; see `search.confirmation`."""
    database, force = _open(storage), _force(workers, data_dir, device, engine)
    study = studies.load(database, name)
    confirming = confirmations.prepare(database, study, top, seeds)
    workforces.check_training(confirming.spec, force)
    _check(supervision.supervise(database, confirming, force), confirming)
    return confirmations.expect(database, study)


def export(
    name: str,
    to: str | os.PathLike[str],
    trial: int | None = None,
    *,
    onnx: bool = False,
    force: bool = False,
    storage: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    device: str | None = None,
    engine: str | None = None,
) -> model_files.Exported:
    """Writes the network of the best (confirmed) trial, or of one, as safetensors with its card beside it.

    Raises:
        errors.InputError: nothing to export, or files that are there and may not be replaced.
    """
    database, workforce = _open(storage), _force(None, data_dir, device, engine)
    study = studies.load(database, name)
    files = model_files.check_path(pathlib.Path(to), onnx, force)
    choice = model_files.choose(
        database, study, None if trial is None else summaries.load_trial(database, study, trial)
    )
    train = networks.NetworkObjective(choice.study.spec, workforce.data_dir, workforce.device, workforce.engine)
    return model_files.export(choice, train, files)


def predict(
    model: str | os.PathLike[str], *images: str | os.PathLike[str], resize: bool = False, invert: bool = False
) -> list[predictions.Prediction]:
    """What an exported model takes PNG or JPEG files for; see `search.prediction`."""
    return predictions.of_images(pathlib.Path(model), [pathlib.Path(path) for path in images], resize, invert)


def report(
    *names: str, output: str | os.PathLike[str] = "report", title: str | None = None, storage: str | None = None
) -> pathlib.Path:
    """Writes the report of some studies into a folder and returns the path of its HTML page."""
    database = _open(storage)
    experiments, more = contents.gather(database, [studies.load(database, name) for name in names])
    return pages.write(contents.build(experiments, title or contents.title(experiments), more), pathlib.Path(output))[0]


def reproduce(
    seeds: int = reproductions.SEEDS,
    trials: int = 10,
    *,
    output: str | os.PathLike[str] = "report",
    workers: int | None = None,
    storage: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
) -> pathlib.Path:
    """Repeats the whole lab and returns the path of its report's HTML page."""
    database, names = _open(storage), []
    force = _force(workers, data_dir, None, None)
    for spec in reproductions.lab_specs():
        workforces.check_training(spec, force)
    steps = reproductions.run(
        database,
        lambda spec: supervision.begin(database, spec),
        lambda study, label: supervision.supervise(database, study, force, label),
        seeds,
        trials,
    )
    for step in steps:
        _check(step.code, step.study)
        names.append(step.study.name)
    return report(*names, output=output, title=reproductions.LAB_TITLE, storage=storage)


def _open(storage: str | None) -> databases.Database:
    url = addresses.check_url(storage or os.environ.get("SEARCH_STORAGE", addresses.DEFAULT_URL))
    return databases.Database(url, databases.OPEN_SECONDS)


def _force(
    workers: int | None,
    data_dir: str | os.PathLike[str] | None,
    device: str | None,
    engine: str | None,
    slots: int | None = None,
) -> workforces.Workforce:
    folder = pathlib.Path(data_dir or os.environ.get("SEARCH_DATA", "data"))
    device, engine = device or os.environ.get("SEARCH_DEVICE", "cpu"), engine or os.environ.get("SEARCH_ENGINE")
    asked = slots if slots is not None else os.environ.get("SEARCH_SLOTS", 1)
    try:
        count = int(click.IntRange(1, workforces.SLOTS_LIMIT)(asked))
    except click.BadParameter as error:
        raise errors.InputError(f"slots: {error.message}") from None
    return workforces.Workforce(workers, folder, device, engine, slots=count)


def _check(code: int, study: studies.Study) -> None:
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise errors.SearchError(f"study {study.name!r}: a worker failed with exit code {code}; see its log above")
