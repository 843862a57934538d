"""A study once more, under another name, in its storage or in another one."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import exc

from search import errors
from search.ledger import backups, likenesses, lives, orders, studies
from search.space import spaces
from search.storage import batches, schema, statements
from search.storage.databases import Database
from search.study import specs
from search.training import records


def copy(
    database: Database,
    study: studies.Stored,
    name: str,
    target: Database | None = None,
    on_trials: backups.OnTrials = backups.SILENT,
) -> studies.Study:
    """Copies a study as it is at one moment, all or nothing: trials that ran wait in the copy, to be taken up there.

    Of another tool's copy of a study, which has no budget, it makes one that workers take up, with its file's budget.

    Args:
        target: where to; the same storage where none is given.
        on_trials: is told how many trials are copied, of how many.

    Raises:
        errors.InputError: a name that no study file may give, or a study that this version cannot read.
        errors.StudyExists: the name is taken.
        errors.StudyInUse: workers are at the study.
        errors.StudyNotFound: it was deleted.
    """
    name = lives.check_name(name)
    spec, token = study.spec().named(name), uuid.uuid4().hex

    def carry(source: sqlalchemy.Connection, to: sqlalchemy.Connection) -> int:
        if (known := orders.is_written(to, token)) is not None:
            return known
        if not lives.lock(source, study):
            raise lives.gone(study)
        lives.check_free(source, study, "copied")
        likenesses.check(to, name)
        new = backups.copy(source, to, study.study_id, name, token, owner="", on_trials=on_trials)
        if study.token is None:
            _take_in(to, new, spec)
            orders.write(to, new, orders.Order.first(spec.budget), token)
        _release(to, new)
        return new

    def within(connection: sqlalchemy.Connection) -> int:
        backups.see_one_moment(connection)
        return carry(connection, connection)

    def across(source: sqlalchemy.Connection) -> int:
        backups.see_one_moment(source)
        return (target or database).write(lambda to: carry(source, to))

    try:
        copied = database.write(within) if target is None else database.read(across)
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {name!r} exists already in that storage; nothing was copied") from error
    return studies.Study(copied, spec, token)


def _release(connection: sqlalchemy.Connection, study_id: int) -> None:
    """Running trials wait, with their parameters and how far they have trained, as if they had been handed over."""
    running = sqlalchemy.and_(schema.trials.c.study_id == study_id, schema.trials.c.state == TrialState.RUNNING)
    connection.execute(schema.trials.update().where(running).values(state=TrialState.WAITING, datetime_start=None))


def _take_in(connection: sqlalchemy.Connection, study_id: int, spec: specs.StudySpec) -> None:
    """Reserves the configurations of trials that came without claims, so that none is trained twice."""
    for trials in batches.of_trials(connection, study_id):
        trial_ids = [row.trial_id for row in trials]
        rows = [{"study_id": study_id, **row} for row in _claims(connection, trial_ids, spec.space)]
        mine = schema.claims.c.study_id == study_id
        known = schema.claims.c.config.in_([row["config"] for row in rows if row["config"] is not None])
        taken = set(connection.execute(sqlalchemy.select(schema.claims.c.config).where(mine, known)).scalars())
        for row in rows:
            if row["config"] in taken:
                row["config"] = None
            taken.add(row["config"])
        connection.execute(schema.claims.insert(), rows)


def _claims(connection: sqlalchemy.Connection, trial_ids: list[int], space: spaces.Space) -> Iterator[dict[str, Any]]:
    """What a few trials of another tool say of themselves."""
    names = {parameter.name for parameter in space.parameters}
    user, system = (
        _attributes(connection, table, trial_ids) for table in (schema.attributes, schema.system_attributes)
    )
    stored = statements.read_all_params(connection, trial_ids)
    for trial_id in trial_ids:
        trial = optuna.trial.create_trial(
            state=TrialState.WAITING, user_attrs=user.get(trial_id), system_attrs=system.get(trial_id)
        )
        params, repeat = stored.get(trial_id) or records.wanted(trial), records.repeat_of(trial)
        is_whole = names.issuperset(params) and space.is_complete(params)
        config = space.key(params, repeat) if is_whole else None
        seconds = records.SECONDS.read(trial, 0.0)
        yield {"trial_id": trial_id, "config": config, "repeat": repeat, "seconds": seconds}


def _attributes(
    connection: sqlalchemy.Connection, table: sqlalchemy.Table, trial_ids: list[int]
) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for row in connection.execute(table.select().where(table.c.trial_id.in_(trial_ids))):
        found.setdefault(row.trial_id, {})[row.key] = json.loads(row.value_json)
    return found
