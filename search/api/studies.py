"""Studies from Python: run, create, work and look at them."""

import contextlib
import dataclasses
import pathlib
import threading
from typing import Any

import optuna

from search import errors
from search.api import access
from search.api.access import Storage
from search.ledger import allocations, listings, outcomes, studies, summaries
from search.storage import databases
from search.study import specs
from search.worker import platforms, requirements, supervision
from search.worker.settings import Settings


def run(name: str, *, storage: Storage = None, **settings: Any) -> optuna.Study:
    """Creates or resumes a study, works on it with local worker processes until it is finished, and returns it.

    Args:
        settings: how they train; see `search.worker.settings.Settings`.

    Raises:
        errors.WorkFailed: it ended with less than was asked for, and why; see docs/exit-codes.md.
        errors.SearchError: bad input, or the database is away.
        KeyboardInterrupt: after Ctrl-C; running trials were handed over, the next run goes on.
        errors.Interrupted: the same after SIGTERM or SIGHUP.
    """
    worked = supervise(name, storage=storage, **settings)
    worked.end.check()
    return _optuna(worked.database, worked.study)


@dataclasses.dataclass(frozen=True)
class Worked:
    """A study that local workers have worked on, and how that ended."""

    database: databases.Database
    study: studies.Study
    end: supervision.End


def supervise(name: str, *, storage: Storage = None, **settings: Any) -> Worked:
    """The same as `run`, but that how it ended is told and not judged."""
    platforms.check("run")
    chosen = Settings.from_environment(**settings)
    access.url(storage)  # a wrong address is told before data is looked for
    spec = _spec(name, storage)
    if spec.code_checksum is not None:  # its user named the file, and so this code: none that the database may have
        chosen = chosen.model_copy(update={"allow_objectives": spec.code_checksum})
    with supervision.ready(spec, access.url(storage), chosen) as ready:
        requirements.check(spec, chosen)
        database = access.open_any(storage)
        study = supervision.begin(database, spec)
        return Worked(database, study, supervision.supervise(database, study, chosen, ready=ready))


def _spec(name: str, storage: Storage) -> specs.StudySpec:
    """A study file's, or where there is none of that name, a study's in the storage: it was renamed, or copied."""
    try:
        return specs.load(specs.path_of(name))
    except errors.StudyNotFound as no_file:
        try:
            found = studies.find(access.open_to_read(storage), name)
        except errors.StudyNotFound:
            found = None
        if found is None:
            raise no_file from None
        return found.spec


def create(name: str, *, storage: Storage = None) -> optuna.Study:
    """Creates a study from its file, for workers to come, and returns it.

    Raises:
        errors.StudyExists: the name is taken.
    """
    spec, database = specs.load(specs.path_of(name)), access.open_any(storage)
    return _optuna(database, studies.create(database, spec))


def work(
    name: str,
    *,
    storage: Storage = None,
    stay: bool = False,
    stop: threading.Event | None = None,
    parent: int | None = None,
    judged: bool = False,
    health_file: pathlib.Path | None = None,
    **settings: Any,
) -> allocations.NoTrial | None:
    """Works on a study in this process until nothing is left; returns why, or None where it was asked to stop.

    Args:
        stay: wait for an extension where the study is finished.
        stop: set to end the work; running trials are handed over.
        parent: end where this process is no longer the parent. A worker that somebody watches over waits for
            a SQLite file that is away; for others it is a mistyped one.
        judged: whoever started it says how the study ended.
        health_file: touched with every beat.

    Raises:
        errors.WorkFailed: nothing is left to do, and less was done than was asked for.
        errors.SearchError: bad input, or the database stayed away.
    """
    platforms.check("work")
    chosen, stop = Settings.from_environment(**settings), stop or threading.Event()
    database = _open(storage, chosen, stop, parent)
    study = studies.load(database, name)
    requirements.check_objective(study.spec, chosen)
    requirements.check_slots(study.spec, chosen)
    # numba, scipy and torch take seconds to import: what only looks at studies must not wait for them
    from search.worker import loops

    how: dict[str, Any] = {"stay": stay, "parent": parent, "health_file": health_file}
    with contextlib.ExitStack() as life:
        objective, need = requirements.objective(study.spec, chosen, life, database.url)
        ended = loops.Worker(database, study, objective, stop, chosen, need=need, **how).run()
    return _checked(database, study, ended, judged)


def _open(storage: Storage, chosen: Settings, stop: threading.Event, parent: int | None) -> databases.Database:
    opened = databases.open_existing if parent is None else databases.open_known
    return opened(access.url(storage), chosen.patience_seconds, stop)


def _checked(
    database: databases.Database, study: studies.Study, ended: allocations.NoTrial | None, judged: bool
) -> allocations.NoTrial | None:
    """Passes a worker that did its share, and one that was asked to stop."""
    if ended is allocations.NoTrial.ALONE:
        raise errors.TookItselfOut(
            f"study {study.name!r}: {ended.value}: this one takes itself out, its failed trials wait for others. "
            "Look at its log and at this machine, then start it again"
        )
    if ended is None or judged or (ended is allocations.NoTrial.FINISHED and outcomes.is_well(database, study)):
        return ended
    summary = summaries.summary(database, study)
    if ended is allocations.NoTrial.STOPPED and summary.order.reason is None:
        return ended
    if (why := outcomes.shortfall(summary)) is not None:
        raise errors.WorkFailed(outcomes.line(summary, why))
    return ended


def load(name: str, *, storage: Storage = None) -> optuna.Study:
    """The Optuna study of that name, to look at: it follows what happens, and writes nothing.

    `optuna.load_study` with the storage's address gives one that can be written to. Other tools' are loaded too.

    Its `trials_dataframe()` needs pandas and `optuna.visualization` plotly: pip install
    'optuna-search-service[analysis]'.

    Raises:
        errors.StudyNotFound: there is none.
    """
    database = access.open_to_read(storage)
    return optuna.load_study(study_name=studies.load_stored(database, name).name, storage=database.optuna)


def status(name: str, *, storage: Storage = None) -> listings.Readable:
    """A study at this moment: budget, trials, best, training time; of another tool's what there is of it.

    Raises:
        errors.StudyNotFound: there is none.
        errors.InputError: it cannot be read by this version.
    """
    database = access.open_to_read(storage)
    return listings.one(database, studies.load_stored(database, name))


def _optuna(database: databases.Database, study: studies.Study) -> optuna.Study:
    return optuna.load_study(study_name=study.name, storage=database.optuna)
