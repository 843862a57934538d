"""What SQLite takes for a state, a time, a number or JSON, and what is none: it keeps anything in any column."""

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema

TIME = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"


def find(connection: sqlalchemy.Connection, study_id: int, latest: int) -> str | None:
    """What is odd in the rows of a study, or None. Postgres lets nothing odd in.

    Args:
        latest: how many trials, the last ones, have values and attributes looked at; states and times are of all.
    """
    if connection.dialect.name != "sqlite":
        return None
    t = schema.trials.c
    mine, text = t.study_id == study_id, sqlalchemy.String()
    state, start, complete = (sqlalchemy.type_coerce(c, text) for c in (t.state, t.datetime_start, t.datetime_complete))
    last = sqlalchemy.select(t.trial_id).where(mine).order_by(t.trial_id.desc()).limit(latest)
    odd = {
        "a state": sqlalchemy.exists().where(mine, state.not_in([each.name for each in TrialState])),
        "a time": sqlalchemy.exists().where(mine, ~start.op("GLOB")(TIME) | ~complete.op("GLOB")(TIME)),
        "a value": sqlalchemy.exists().where(
            schema.values.c.trial_id.in_(last), sqlalchemy.func.typeof(schema.values.c.value) == "text"
        ),
        **{
            f"a {word} attribute": sqlalchemy.exists().where(
                table.c.trial_id.in_(last), sqlalchemy.func.json_valid(table.c.value_json) == 0
            )
            for word, table in (("user", schema.attributes), ("system", schema.system_attributes))
        },
    }
    row = connection.execute(sqlalchemy.select(*odd.values())).one()
    return next((what for what, is_there in zip(odd, row, strict=True) if is_there), None)
