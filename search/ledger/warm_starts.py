"""Studies that begin with what another study has found: its results fill the new one as it is made."""

from collections.abc import Iterator, Sequence

import sqlalchemy
from optuna.trial import FrozenTrial

from search import errors, words
from search.ledger import imports, outsiders, studies
from search.storage import addresses, batches, databases
from search.storage import trials as stored_trials
from search.storage.databases import Database
from search.study import result_files, specs
from search.training import spools


def create(
    database: Database, spec: specs.StudySpec, on_trials: imports.OnTrials = imports.SILENT
) -> tuple[studies.Study, list[str]]:
    """Makes a study, with the known results that its file asks for, all or nothing; and notes for its user.

    Raises:
        errors.StudyExists: the name is taken.
        errors.StudyNotFound: there is no study to begin with.
        errors.InputError: one that seeks something else, or whose storage is not reached.
    """
    if spec.warm_start is None:
        return studies.create(database, spec), list(spec.notes)
    with spools.Spool(f"study {spec.warm_start.source!r}") as spool:
        gather(database, spec, spool)
        found: list[imports.Import] = []

        def fill(connection: sqlalchemy.Connection, study_id: int) -> None:
            found.append(imports.add(connection, study_id, spec, spool, on_trials=on_trials))

        study = studies.create(database, spec, fill)
        return study, [*spec.notes, *found[-1].lines()]


def follow(database: Database, study: studies.Study, spec: specs.StudySpec) -> list[str]:
    """Brings into a study what its file asks for now, and did not when it was made; what there is of it."""
    if spec.warm_start in (None, study.spec.warm_start):
        return []
    assert spec.warm_start is not None
    with spools.Spool(f"study {spec.warm_start.source!r}") as spool:
        gather(database, spec, spool)
        return imports.take(database, study, spool).lines()


def gather(database: Database, spec: specs.StudySpec, spool: spools.Spool) -> None:
    """Takes the results of the study that a file begins with, those that fit, onto the disk."""
    start = spec.warm_start
    assert start is not None
    place = f"{spec.path or spec.name}: warm_start.from"
    if start.storage is None:
        read(database, start.source, spec, spool, place)
        spool.flush()
        return
    try:
        other = databases.open_to_read(addresses.check_url(start.storage))
    except errors.SearchError as error:
        raise type(error)(f"{spec.path or spec.name}: warm_start.storage: {error}") from error
    try:
        read(other, start.source, spec, spool, place)
    finally:
        other.close()
    spool.flush()


def read(database: Database, name: str, spec: specs.StudySpec, spool: spools.Spool, place: str) -> None:
    """Takes the results of a study, ours or another tool's, that fit a spec."""
    try:
        source = studies.load_stored(database, name)
    except errors.StudyNotFound as error:
        raise errors.StudyNotFound(f"{place}: {error}") from error
    check_goal(outsiders.read(database, source), spec, place, is_named=not source.is_foreign)
    ids = database.read(lambda connection: stored_trials.ids_of(connection, source.study_id))
    for start in range(0, len(ids), batches.BATCH_TRIALS):
        for trial in _read(database, source.study_id, ids[start : start + batches.BATCH_TRIALS]):
            where = f"study {source.name}, trial {trial.number}"
            spool.add(_record(trial, where), spec)


def _read(database: Database, study_id: int, ids: Sequence[int]) -> Iterator[FrozenTrial]:
    yield from database.read(lambda connection: stored_trials.read(connection, study_id, ids))


def _record(trial: FrozenTrial, place: str) -> result_files.Record:
    return result_files.Record(
        place,
        trial.params,
        trial.values[0] if trial.values else None,
        trial.state.name,
        trial.user_attrs,
        trial.intermediate_values,
        trial.datetime_start,
        trial.datetime_complete,
        constraints=trial.system_attrs.get(outsiders.CONSTRAINTS),
    )


def check_goal(source: outsiders.Outsider, spec: specs.StudySpec, place: str, is_named: bool = True) -> None:
    """Passes a study that seeks what another one does.

    Args:
        is_named: whether its metric has a name, where that is `value`: Optuna's own has none.

    Raises:
        errors.InputError: it has several objectives, or another direction or metric.
    """
    if len(source.directions) != 1:
        many = len(source.directions)
        raise errors.InputError(f"{place}: a study must have one objective, got {many}: {source.goal}")
    if source.directions[0] != spec.study.direction:
        raise errors.InputError(
            f"{place}: a study must {spec.study.direction}, as {spec.name!r} does, got {source.name!r}, "
            f"which {source.directions[0]}s"
        )
    metric = source.metrics[0]
    if (is_named or metric != "value") and metric != spec.study.metric:
        raise errors.InputError(
            f"{place}: the metric of a study must be {spec.study.metric!r}, as that of {spec.name!r}, "
            f"got {words.typed(metric)} of {source.name!r}"
        )
