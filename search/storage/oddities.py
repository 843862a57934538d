"""What SQLite takes for a state, a time, a number or JSON, and what is none: it keeps anything in any column."""

import json

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema

TIME = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


STUDY = sqlalchemy.bindparam("study_id", type_=sqlalchemy.Integer)
MINE = schema.trials.c.study_id == STUDY
LAST = (
    sqlalchemy.select(schema.trials.c.trial_id)
    .where(MINE)
    .order_by(schema.trials.c.trial_id.desc())
    .limit(sqlalchemy.bindparam("latest", type_=sqlalchemy.Integer))
)


def _broken(table: sqlalchemy.Table) -> sqlalchemy.Select[tuple[str]]:
    """Attributes of the last trials that are no JSON to SQLite."""
    no_json = sqlalchemy.func.json_valid(table.c.value_json) == 0
    return sqlalchemy.select(table.c.value_json).where(table.c.trial_id.in_(LAST), no_json)


def _queries() -> dict[str, sqlalchemy.ColumnElement[bool]]:
    """What may be odd, and whether it is there; of all trials states and times, of the last ones the rest."""
    t, v, text = schema.trials.c, schema.values.c, sqlalchemy.String()
    state, start, complete = (sqlalchemy.type_coerce(c, text) for c in (t.state, t.datetime_start, t.datetime_complete))
    odd: dict[str, sqlalchemy.ColumnElement[bool]] = {
        "a state": sqlalchemy.exists().where(MINE, state.not_in([each.name for each in TrialState])),
        "a time": sqlalchemy.exists().where(MINE, ~start.op("GLOB")(TIME) | ~complete.op("GLOB")(TIME)),
        "a value": sqlalchemy.exists().where(v.trial_id.in_(LAST), sqlalchemy.func.typeof(v.value) == "text"),
    }
    return odd | {what: query.exists() for what, query in BROKEN.items()}


BROKEN = {"a user attribute": _broken(schema.attributes), "a system attribute": _broken(schema.system_attributes)}
ODD = _queries()
QUERY = sqlalchemy.select(*ODD.values())  # made once: to make it takes longer than to run it


def find(connection: sqlalchemy.Connection, study_id: int, latest: int) -> str | None:
    """What is odd in the rows of a study, or None. Postgres lets nothing odd in.

    Args:
        latest: how many trials, the last ones, have values and attributes looked at.
    """
    if connection.dialect.name != "sqlite":
        return None
    asked = {"study_id": study_id, "latest": latest}
    row = connection.execute(QUERY, asked).one()
    there = [what for what, is_there in zip(ODD, row, strict=True) if is_there]
    return next((what for what in there if what not in BROKEN or _is_broken(connection, BROKEN[what], asked)), None)


def _is_broken(connection: sqlalchemy.Connection, query: sqlalchemy.Select[tuple[str]], asked: dict[str, int]) -> bool:
    """Whether Python, and so Optuna, cannot read it either: NaN is JSON to both, and not to SQLite."""
    try:
        for text in connection.execute(query, asked).scalars():
            json.loads(text)
    except ValueError:
        return True
    return False
