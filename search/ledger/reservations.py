"""Which configurations of a study are reserved, by which trials; the database refuses the second of two equal keys."""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema, statements
from search.training import records


def insert_waiting(
    connection: sqlalchemy.Connection,
    study_id: int,
    fixed: dict[str, Any],
    config: str | None,
    request: str | None = None,
    repeat: int = 0,
) -> int:
    """Adds a waiting trial, under `lock_study`; returns its number.

    Args:
        fixed: the configuration, or the part of it that is set.
        config: its key, where it is whole; nobody else may take it then.
        request: the token of the request, so that its repetition is noticed.
        repeat: which training seed, also a user attribute unless it is the study's own.
    """
    trial_id, number = statements.insert_trial(connection, study_id, TrialState.WAITING, start=None)
    connection.execute(
        schema.system_attributes.insert().values(
            trial_id=trial_id, key=records.FIXED_PARAMS, value_json=json.dumps(fixed)
        )
    )
    connection.execute(
        schema.claims.insert().values(
            trial_id=trial_id, study_id=study_id, request=request, config=config, repeat=repeat
        )
    )
    if repeat:
        statements.put_attributes(connection, trial_id, {records.REPEAT.name: repeat})
    return number


def taken(connection: sqlalchemy.Connection, study_id: int) -> set[str]:
    """The keys of configurations and repeats that trials of a study have reserved."""
    keys = sqlalchemy.select(schema.claims.c.config).where(
        schema.claims.c.study_id == study_id, schema.claims.c.config.is_not(None)
    )
    return set(connection.execute(keys).scalars())


def taken_of(connection: sqlalchemy.Connection, study_id: int, keys: Collection[str]) -> set[str]:
    """Those of some keys, up to 500, that trials of a study have reserved."""
    config = schema.claims.c.config
    mine = sqlalchemy.select(config).where(schema.claims.c.study_id == study_id, config.in_(list(keys)))
    return set(connection.execute(mine).scalars())
