"""Which study an id stands for: SQLite gives ids of deleted studies and trials out again; and ended trials may wake."""

import datetime
from collections.abc import Collection

import sqlalchemy

from search.ledger import orders, wakings
from search.storage import schema
from search.storage.databases import Database
from search.study import validation

# its name, the token of its first order, without one when its first trial began, and how often some trials were woken
Identity = tuple[str, str | None, datetime.datetime | None, int]


def of_studies(database: Database, study_ids: Collection[int]) -> dict[int, Identity]:
    """The studies that these ids stand for now; those that are gone are left out."""
    possible = [study_id for study_id in study_ids if 0 <= study_id <= validation.LARGEST]  # an address may name any
    if not possible:
        return {}
    query = _identity().where(schema.studies.c.study_id.in_(possible))
    rows = database.read(lambda connection: connection.execute(query).all())
    return {row[0]: (row[1], row[2], row[3], row[4]) for row in rows}


def of_trial(database: Database, trial_id: int) -> Identity | None:
    """The study of a trial; None where it is gone."""
    if not 0 <= trial_id <= validation.LARGEST:
        return None
    own = sqlalchemy.select(schema.trials.c.study_id).where(schema.trials.c.trial_id == trial_id)
    query = _identity().where(schema.studies.c.study_id == own.scalar_subquery())
    row = database.read(lambda connection: connection.execute(query).first())
    return None if row is None else (row[1], row[2], row[3], row[4])


def _identity() -> sqlalchemy.Select[tuple[int, str, str | None, datetime.datetime | None, int]]:
    token = orders.first_token(schema.studies.c.study_id)
    first = sqlalchemy.select(schema.trials.c.datetime_start).where(
        schema.trials.c.study_id == schema.studies.c.study_id
    )
    began = first.order_by(schema.trials.c.trial_id).limit(1).scalar_subquery()
    return sqlalchemy.select(
        schema.studies.c.study_id,
        schema.studies.c.study_name,
        token,
        sqlalchemy.case((token.is_(None), began), else_=None),
        sqlalchemy.func.coalesce(wakings.count(schema.studies.c.study_id), 0),
    )
