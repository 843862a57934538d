"""Studies from Python: create, work and look at them."""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import optuna

from search import errors, events
from search.api import access, homes
from search.api.access import Storage
from search.ledger import allocations, listings, outcomes, presence, studies, summaries, warm_starts
from search.storage import connections, databases
from search.study import specs
from search.worker import addressees, assignments, platforms, requirements, supervision
from search.worker.settings import Settings

Begin = Callable[[databases.Database, specs.StudySpec], studies.Study]
TABLES_SECONDS = 2.0  # between two looks whether a database has tables of ours


@dataclasses.dataclass(frozen=True)
class Worked:
    """A study that local workers have worked on, and how that ended."""

    database: databases.Database
    study: studies.Study
    end: supervision.End


def supervise(
    what: str | specs.StudySpec, *, storage: Storage = None, begin: Begin = supervision.begin, **settings: Any
) -> Worked:
    """The same as `search.api.runs.run`, but that how it ended is told and not judged.

    Args:
        what: a name, the path of a file, or what a file says.
        begin: makes or finds the study.
    """
    platforms.check("run")
    homes.check_not_loading()
    chosen = Settings.from_environment(**settings)
    access.url(storage)  # a wrong address is told before data is looked for
    spec = _spec(what, storage) if isinstance(what, str) else what
    if spec.code_checksum is not None:  # its user named the file, and so this code: none that the database may have
        chosen = chosen.model_copy(update={"allow_objectives": spec.code_checksum})
    addressees.check(spec.notify)
    chosen = assignments.staffed(spec, chosen)
    with supervision.ready(spec, access.url(storage), chosen) as ready:
        requirements.check(spec, chosen)
        database = access.open_any(storage)
        study = begin(database, spec)
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
        homes.check(access.open_to_read(storage), found)
        return found.spec


def create(name: str, *, storage: Storage = None) -> optuna.Study:
    """Creates a study from its file, for workers to come, and returns it.

    Raises:
        errors.StudyExists: the name is taken.
    """
    spec = specs.load(specs.path_of(name))
    addressees.check(spec.notify)
    database = access.open_any(storage)
    return as_optuna(database, warm_starts.create(database, spec)[0])


def work(
    name: str | None = None,
    *,
    any: bool = False,  # noqa: A002  # the word of the command
    match: str | Sequence[str] = (),
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
        any: on any study of the storage in place of a named one, each in its turn.
        match: shell patterns, of which the names of these must fit one.
        stay: wait for an extension where the study is finished; with `any` for new studies too.
        stop: set to end the work; running trials are handed over.
        parent: end where this process is no longer the parent. A worker that somebody watches over waits for
            a SQLite file that is away; for others it is a mistyped one.
        judged: whoever started it says how the study ended.
        health_file: touched with every beat.

    Raises:
        errors.WorkFailed: nothing is left to do, and less was done than was asked for.
        errors.SearchError: bad input, or the database stayed away.
    """
    match = (match,) if isinstance(match, str) else tuple(match)
    check_which(name, any, match)
    platforms.check("work")
    chosen, stop = Settings.from_environment(**settings), stop or threading.Event()
    database = _open(storage, chosen, stop, parent)
    how: dict[str, Any] = {"stay": stay, "parent": parent, "health_file": health_file}
    if name is None:
        while stay and database.only_reads and not stop.wait(TABLES_SECONDS):  # no study was ever made in it
            database.close()
            database = _open(storage, chosen, stop, parent)
        return _work_any(database, chosen, stop, match=match, **how)
    study = studies.load(database, name)
    requirements.check_objective(study.spec, chosen)
    homes.check(database, study)
    requirements.check_slots(study.spec, chosen)
    # numba, scipy and torch take seconds to import: what only looks at studies must not wait for them
    from search.worker import keepers, loops, publishers

    with contextlib.ExitStack() as life:
        life.enter_context(events.about(study=study.name, worker=presence.Identity.this().name))
        gpus = life.enter_context(assignments.equipped(study.spec, chosen, stop))
        objective, network = requirements.objective(study.spec, chosen, life, database.url)
        if network is not None:
            chosen = chosen.model_copy(update={"slots": network.slots})
        how["occupied"] = assignments.occupied(chosen, gpus)
        if gpus is not None:  # the roster has them by their numbers
            objective, chosen = gpus.watch(study.spec, objective), chosen.model_copy(update={"device": gpus.label})
        if not judged:  # else whoever started it has the study published
            publishing = (database.url, chosen.gpu_locks, None, chosen.log_format)
            life.enter_context(publishers.Publisher(study, *publishing))
        with assignments.explained(gpus):
            ended = loops.Worker(database, study, objective, stop, chosen, network=network, **how).run()
    if ended is not None:
        keepers.sweep(database, study, chosen.store, chosen.patience_seconds, stop)
    return _checked(database, study, ended, judged)


def _work_any(
    database: databases.Database, chosen: Settings, stop: threading.Event, **how: Any
) -> allocations.NoTrial | None:
    from search.worker import pools

    me = presence.Identity.this().name
    with events.about(worker=me), assignments.equipped(None, chosen, stop) as gpus:
        chosen = requirements.fill_device(chosen)
        with assignments.explained(gpus):
            ended = pools.Worker(database, stop, chosen, check=homes.check, gpus=gpus, **how).run()
    return ended


def check_which(name: str | None, any_: bool, match: Sequence[str]) -> None:
    """Passes a study, or any, and patterns of names beside any alone.

    Raises:
        errors.InputError: neither or both, or a pattern that fits no name.
    """
    if (name is None) is not any_:
        got = "neither" if name is None else f"both, of {name!r}"
        raise errors.InputError(f"work takes either a STUDY or --any, got {got}")
    if match and not any_:
        raise errors.InputError(f"--match must stand beside --any, got {match[0]!r} beside study {name!r}")
    if "" in match:
        raise errors.InputError("--match must be a pattern of names, got ''")


def _open(storage: Storage, chosen: Settings, stop: threading.Event, parent: int | None) -> databases.Database:
    opened = databases.open_existing if parent is None else databases.open_known
    # a worker with a slot seldom talks to the database by two threads at once; a thousand of them count
    kept = 1 if chosen.at_once == 1 and chosen.training_device == "cpu" else connections.KEPT
    return opened(access.url(storage), chosen.patience_seconds, stop, kept=kept)


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


def as_optuna(database: databases.Database, study: studies.Study) -> optuna.Study:
    """The study as Optuna's, which can be written to."""
    return optuna.load_study(study_name=study.name, storage=database.optuna)
