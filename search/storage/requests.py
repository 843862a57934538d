"""Several statements in one request to Postgres: a lock is held for a round trip more with each request behind it.

SQLite, which no network lies before, gets them one after the other.
"""

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy.dialects import postgresql

from search import errors
from search.storage import schema, statements


def lock_and_read(
    connection: sqlalchemy.Connection, study: statements.Study, query: sqlalchemy.Select[Any], **more: Any
) -> sqlalchemy.Row[Any]:
    """The study's lock, and then the first row of a query: on Postgres by one round trip.

    Args:
        query: made once, with the parameters of `statements.STUDY` and `BEGUN`; it finds nothing where the study is
            another one.
        more: its other parameters.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
    """
    given = {"study": study.study_id, "first": study.token, **more}
    if connection.dialect.name == "sqlite":  # the transaction is the lock
        row = connection.execute(query, given).first()
    else:
        both, rest = _lock_and(query)
        row = connection.execute(both, {**rest, **given}).first()
    if row is None:
        raise errors.StudyNotFound(statements.DELETED)
    return row


@functools.cache
def _lock_and(query: sqlalchemy.Select[Any]) -> tuple[sqlalchemy.TextualSelect, dict[str, Any]]:
    """Two statements in one request: each sees what was committed when it began, and the answer is the second's."""
    dialect = postgresql.dialect(paramstyle="named")
    first, second = (each.compile(dialect=dialect) for each in (statements.LOCK, query))
    kinds = {name: each for compiled in (first, second) for each, name in compiled.bind_names.items()}
    text = sqlalchemy.text(f"{first}; {second}").bindparams(
        *(sqlalchemy.bindparam(name, type_=kind.type) for name, kind in kinds.items())
    )
    # by name and type alone: an expression would bring its parameters once more
    columns = (sqlalchemy.column(str(each.key), each.type) for each in query.selected_columns)
    return text.columns(*columns), {**first.params, **second.params}


def insert_claimed(connection: sqlalchemy.Connection, study_id: int, number: int, claim: Mapping[str, Any]) -> int:
    """Adds a running trial of this number with its claim's row, under `lock_study`; returns its id.

    On Postgres by one round trip.
    """
    row = statements.trial(study_id, number, TrialState.RUNNING, statements.now())
    if connection.dialect.name == "sqlite":
        trial_id = int(connection.execute(statements.ADD_TRIAL, row).scalar_one())
        connection.execute(schema.claims.insert(), {"trial_id": trial_id, "study_id": study_id, **claim})
        return trial_id
    defaults = {column.name: getattr(column.default, "arg", None) for column in schema.claims.c if column.default}
    whole = {**defaults, **claim}
    given = {f"claim_{name}": value for name, value in whole.items()}
    return int(connection.execute(_add_claimed(tuple(whole)), {**row, **given}).scalar_one())


@functools.cache
def _add_claimed(names: tuple[str, ...]) -> Any:
    t, c = schema.trials, schema.claims
    made = t.insert().values(
        {name: sqlalchemy.bindparam(name) for name in statements.trial(0, 0, TrialState.RUNNING, None)}
    )
    trial = made.returning(t.c.trial_id, t.c.study_id).cte("made")
    values = [sqlalchemy.bindparam(f"claim_{name}", type_=c.c[name].type) for name in names]
    row = sqlalchemy.select(trial.c.trial_id, trial.c.study_id, *values)
    insert = c.insert().from_select(["trial_id", "study_id", *names], row, include_defaults=False)
    return insert.returning(c.c.trial_id)
