"""What SQLite takes for a state, a time, a number or JSON, and what is none: it keeps anything in any column."""

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema

TIME = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


def _queries() -> dict[str, sqlalchemy.ColumnElement[bool]]:
    """What may be odd, and whether it is there; of all trials states and times, of the last ones the rest."""
    t, text = schema.trials.c, sqlalchemy.String()
    mine = t.study_id == sqlalchemy.bindparam("study_id", type_=sqlalchemy.Integer)
    state, start, complete = (sqlalchemy.type_coerce(c, text) for c in (t.state, t.datetime_start, t.datetime_complete))
    last = sqlalchemy.select(t.trial_id).where(mine).order_by(t.trial_id.desc())
    last = last.limit(sqlalchemy.bindparam("latest", type_=sqlalchemy.Integer))
    value = schema.values.c
    odd: dict[str, sqlalchemy.ColumnElement[bool]] = {
        "a state": sqlalchemy.exists().where(mine, state.not_in([each.name for each in TrialState])),
        "a time": sqlalchemy.exists().where(mine, ~start.op("GLOB")(TIME) | ~complete.op("GLOB")(TIME)),
        "a value": sqlalchemy.exists().where(value.trial_id.in_(last), sqlalchemy.func.typeof(value.value) == "text"),
    }
    for word, table in (("user", schema.attributes), ("system", schema.system_attributes)):
        broken = sqlalchemy.func.json_valid(table.c.value_json) == 0
        odd[f"a {word} attribute"] = sqlalchemy.exists().where(table.c.trial_id.in_(last), broken)
    return odd


ODD = _queries()
QUERY = sqlalchemy.select(*ODD.values())  # made once: to make it takes longer than to run it


def find(connection: sqlalchemy.Connection, study_id: int, latest: int) -> str | None:
    """What is odd in the rows of a study, or None. Postgres lets nothing odd in.

    Args:
        latest: how many trials, the last ones, have values and attributes looked at.
    """
    if connection.dialect.name != "sqlite":
        return None
    row = connection.execute(QUERY, {"study_id": study_id, "latest": latest}).one()
    return next((what for what, is_there in zip(ODD, row, strict=True) if is_there), None)
