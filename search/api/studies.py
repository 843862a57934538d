"""Studies from Python: run, create, work, look at, extend, enqueue, pause, stop and resume them."""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Mapping
from typing import Any

import optuna

from search import errors
from search.api import access
from search.api.access import Storage
from search.ledger import allocations, listings, orders, queues, retries, sentences, studies, summaries
from search.space import parameters
from search.storage import databases
from search.study import specs
from search.worker import requirements, supervision
from search.worker.settings import Settings


def run(name: str, *, storage: Storage = None, **settings: Any) -> optuna.Study:
    """Creates or resumes a study, works on it with local worker processes until it is finished, and returns it.

    Args:
        settings: how they train; see `search.worker.settings.Settings`.

    Raises:
        errors.WorkFailed: a worker did.
        errors.SearchError: bad input, or the database is away.
        KeyboardInterrupt: after Ctrl-C; running trials were handed over, the next run goes on.
    """
    worked = supervise(name, storage=storage, **settings)
    worked.check()
    return _optuna(worked.database, worked.study)


@dataclasses.dataclass(frozen=True)
class Worked:
    """A study that local workers have worked on, and the exit code of their work."""

    database: databases.Database
    study: studies.Study
    code: int

    def check(self) -> None:
        """Passes what ended well.

        Raises:
            errors.WorkFailed: a worker failed.
            KeyboardInterrupt: it was interrupted.
        """
        if self.code == 130:
            raise KeyboardInterrupt
        if self.code:
            raise errors.WorkFailed(
                f"study {self.study.name!r}: a worker failed with exit code {self.code}; see its log above", self.code
            )


def supervise(name: str, *, storage: Storage = None, **settings: Any) -> Worked:
    """The same as `run`, but that a failure is told by its exit code."""
    chosen = Settings.from_environment(**settings)
    access.url(storage)  # a wrong address is told before data is looked for
    spec = _spec(name, storage)
    requirements.check(spec, chosen)
    if spec.objective is not None:  # its user named the file, and so this function: none that the database may have
        chosen = chosen.model_copy(update={"allow_objectives": spec.objective})
    database = access.open_any(storage)
    study = supervision.begin(database, spec)
    return Worked(database, study, supervision.supervise(database, study, chosen))


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
    health_file: pathlib.Path | None = None,
    **settings: Any,
) -> allocations.NoTrial | None:
    """Works on a study in this process until nothing is left; returns why, or None where it was asked to stop.

    Args:
        stay: wait for an extension where the study is finished.
        stop: set to end the work; running trials are handed over.
        parent: end where this process is no longer the parent. A worker that somebody watches over waits for
            a SQLite file that is away; for others it is a mistyped one.
        health_file: touched with every beat.

    Raises:
        errors.SearchError: bad input, too many failures, or the database stayed away.
    """
    chosen, stop = Settings.from_environment(**settings), stop or threading.Event()
    opened = databases.open_existing if parent is None else databases.open_known
    database = opened(access.url(storage), chosen.patience_seconds, stop)
    study = studies.load(database, name)
    requirements.check_objective(study.spec, chosen)
    requirements.check_slots(study.spec, chosen)
    # numba, scipy and torch take seconds to import: what only looks at studies must not wait for them
    from search.worker import loops

    how: dict[str, Any] = {"stay": stay, "parent": parent, "health_file": health_file}
    with contextlib.ExitStack() as life:
        objective, need = requirements.objective(study.spec, chosen, life)
        ended = loops.Worker(database, study, objective, stop, chosen, need=need, **how).run()
    if ended in (allocations.NoTrial.FAILURES, allocations.NoTrial.STOPPED):
        summary = summaries.summary(database, study)
        if ended is allocations.NoTrial.FAILURES or summary.order.reason is not None:
            raise errors.SearchError(f"study {study.name!r}: {sentences.state_note(summary)}")
    if ended is allocations.NoTrial.ALONE:
        raise errors.TookItselfOut(
            f"study {study.name!r}: {ended.value}: this one takes itself out, its failed trials wait for others. "
            "Look at its log and at this machine, then start it again"
        )
    return ended


def load(name: str, *, storage: Storage = None) -> optuna.Study:
    """The Optuna study of that name, to look at: it follows what happens, and writes nothing.

    `optuna.load_study` with the storage's address gives one that can be written to. Other tools' are loaded too.

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


def extend(
    name: str,
    trials: int | None = None,
    *,
    to: int | None = None,
    hours: float | None = None,
    failures: int | None = None,
    epoch_seconds: float | None = None,
    storage: Storage = None,
) -> int:
    """Adds trials to the budget of a study, or sets it; adds hours of training; returns how many trials it has then.

    Args:
        failures: how many more failures of the objective to bear.
        epoch_seconds: how long an epoch may take from now on; 0 for no limit.

    Raises:
        errors.InputError: nothing to add, or a budget that cannot be.
    """
    database = access.open_existing(storage)
    more: dict[str, Any] = {"hours": hours, "failures": failures, "epoch_seconds": epoch_seconds}
    return orders.extend(database, studies.load(database, name), add=trials, to=to, **more).trials


def retry(name: str, *numbers: int, storage: Storage = None) -> dict[int, int]:
    """Puts failed trials back, all where none is named; returns the new number of each.

    Raises:
        errors.InputError: a number that is no failed trial's.
    """
    database = access.open_existing(storage)
    return retries.retry(database, studies.load(database, name), numbers)


def enqueue(
    name: str, params: Mapping[str, parameters.Value], *, repeats: int | None = None, storage: Storage = None
) -> list[int]:
    """Queues a configuration to be tried next, once or with so many training seeds; returns the trials' numbers.

    Args:
        params: what it leaves open is sampled; what does not exist beside it is dropped.

    Raises:
        errors.InputError: a value outside the space, or a configuration that a trial has already.
    """
    database = access.open_existing(storage)
    study = studies.load(database, name)
    try:
        kept, _ = study.spec.space.trim(study.spec.space.widen(params))
    except ValueError as error:
        raise errors.InputError(f"enqueue: {error}") from error
    if repeats is None:
        return [queues.enqueue(database, study, kept)]
    return queues.repeat(database, study, kept, repeats)


def pause(name: str, *, now: bool = False, storage: Storage = None) -> None:
    """Lets no trial begin until `resume`; running ones are finished or, `now`, handed over."""
    _order(name, orders.StudyState.PAUSED, now, storage)


def stop(name: str, *, now: bool = False, storage: Storage = None) -> None:
    """Ends a study's workers, wherever they run, once their trials are finished or, `now`, handed over."""
    _order(name, orders.StudyState.STOPPED, now, storage)


def resume(name: str, *, storage: Storage = None) -> None:
    """Lets a paused or stopped study go on."""
    _order(name, orders.StudyState.ACTIVE, False, storage)


def _order(name: str, state: orders.StudyState, now: bool, storage: Storage) -> None:
    database = access.open_existing(storage)
    orders.set_state(database, studies.load(database, name), state, now)


def _optuna(database: databases.Database, study: studies.Study) -> optuna.Study:
    return optuna.load_study(study_name=study.name, storage=database.optuna)
