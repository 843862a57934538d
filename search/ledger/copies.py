"""A study once more, under another name, in its storage or in another one."""

import json
import uuid

import optuna
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import exc

from search import errors
from search.ledger import backups, likenesses, lives, orders, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import specs
from search.training import records


def copy(database: Database, study: studies.Stored, name: str, target: Database | None = None) -> studies.Study:
    """Copies a study as it is at one moment, all or nothing: trials that ran wait in the copy, to be taken up there.

    Of another tool's copy of a study, which has no budget, it makes one that workers take up, with its file's budget.

    Args:
        target: where to; the same storage where none is given.

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
        new = backups.copy(source, to, study.study_id, name, token)
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
    connection.execute(schema.claims.update().where(schema.claims.c.study_id == study_id).values(owner=""))


def _take_in(connection: sqlalchemy.Connection, study_id: int, spec: specs.StudySpec) -> None:
    """Reserves the configurations of trials that came without claims, so that none is trained twice."""
    names = {parameter.name for parameter in spec.space.parameters}
    query = sqlalchemy.select(schema.trials.c.trial_id).where(schema.trials.c.study_id == study_id)
    taken = set()
    for trial_id in connection.execute(query.order_by(schema.trials.c.number)).scalars().all():
        user, system = (
            {
                row.key: json.loads(row.value_json)
                for row in connection.execute(each.select().where(each.c.trial_id == trial_id))
            }
            for each in (schema.attributes, schema.system_attributes)
        )
        trial = optuna.trial.create_trial(state=TrialState.WAITING, user_attrs=user, system_attrs=system)
        params = statements.read_params(connection, trial_id) or records.wanted(trial)
        repeat, key = records.repeat_of(trial), None
        if names.issuperset(params) and spec.space.is_complete(params):
            key = spec.space.key(params, repeat)
        row = {"trial_id": trial_id, "study_id": study_id, "config": None if key in taken else key, "repeat": repeat}
        connection.execute(schema.claims.insert().values(**row, seconds=records.SECONDS.read(trial, 0.0)))
        taken.add(key)
