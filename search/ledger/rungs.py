"""What the trials of a study had at a rung, whatever became of them since, and who is among the best there.

All of it is looked at while the study is locked: each question is a look at an index, and its statement is made once.
"""

import math
from collections.abc import Iterable

import sqlalchemy

from search.storage import schema, statements

rungs = schema.rungs
TRIAL = sqlalchemy.bindparam("trial", type_=sqlalchemy.Integer)
RUNG = sqlalchemy.bindparam("rung_step", type_=sqlalchemy.Integer)
STANDING = sqlalchemy.bindparam("own", type_=sqlalchemy.Float)
LIMIT = sqlalchemy.bindparam("most", type_=sqlalchemy.Integer)


def _better() -> sqlalchemy.Select[tuple[int]]:
    place = sqlalchemy.tuple_(rungs.c.standing, rungs.c.trial_id) < sqlalchemy.tuple_(STANDING, TRIAL)
    before = sqlalchemy.select(rungs.c.trial_id).where(rungs.c.study_id == statements.STUDY, rungs.c.rung == RUNG)
    return sqlalchemy.select(sqlalchemy.func.count()).select_from(before.where(place).limit(LIMIT).subquery())


LAST_PLACE = sqlalchemy.select(sqlalchemy.func.max(rungs.c.place)).where(
    rungs.c.study_id == statements.STUDY, rungs.c.rung == RUNG
)
KNOWN = sqlalchemy.select(rungs.c.rung_id).where(rungs.c.trial_id == TRIAL, rungs.c.rung == RUNG)
# by one round trip: the study is locked meanwhile
ADD = rungs.insert().from_select(
    ["study_id", "trial_id", "rung", "standing", "place"],
    sqlalchemy.select(
        *(statements.STUDY, TRIAL, RUNG, STANDING),
        sqlalchemy.func.coalesce(LAST_PLACE.scalar_subquery(), 0) + 1,
    ).where(~KNOWN.exists()),
)
HIGHEST = sqlalchemy.select(sqlalchemy.func.max(rungs.c.rung)).where(rungs.c.trial_id == TRIAL)
BETTER = _better()


def standing(value: float, maximize: bool) -> float | None:
    """A value as it is compared: the lower the better, None for nan."""
    return None if math.isnan(value) else -value if maximize else value


def add(connection: sqlalchemy.Connection, study_id: int, trial_id: int, rung: int, own: float | None) -> None:
    """Notes what a trial has at a rung, under the study's lock; what is noted already stays."""
    connection.execute(ADD, {"study": study_id, "trial": trial_id, "rung_step": rung, "own": own})


def fill(connection: sqlalchemy.Connection, study_id: int, steps: Iterable[int], maximize: bool) -> None:
    """Notes what all trials have stored at steps that are rungs from now on, under the study's lock."""
    t, s = schema.trials.c, schema.steps.c
    known = sqlalchemy.select(rungs.c.trial_id).where(rungs.c.study_id == study_id, rungs.c.rung == s.step)
    query = sqlalchemy.select(s.trial_id, s.step, s.intermediate_value, s.intermediate_value_type)
    query = query.join(schema.trials, t.trial_id == s.trial_id).where(t.study_id == study_id, s.step.in_(list(steps)))
    rows = connection.execute(query.where(s.trial_id.not_in(known)).order_by(s.trial_id)).all()
    for trial_id, step, value, kind in rows:
        add(connection, study_id, trial_id, step, standing(statements.stored_step_value(value, kind), maximize))


def count(connection: sqlalchemy.Connection, study_id: int, rung: int) -> int:
    """How many trials have reported a rung."""
    return connection.execute(LAST_PLACE, {"study": study_id, "rung_step": rung}).scalar() or 0


def is_among_best(
    connection: sqlalchemy.Connection, study_id: int, trial_id: int, rung: int, own: float | None, factor: int
) -> bool:
    """Whether a trial is one of the best floor(n / factor) of the n that have reported a rung; of equals the first."""
    most = count(connection, study_id, rung) // factor
    if not most or own is None:
        return False
    asked = {"study": study_id, "rung_step": rung, "own": own, "trial": trial_id, "most": most}
    return connection.execute(BETTER, asked).scalar_one() < most


def highest(connection: sqlalchemy.Connection, trial_id: int) -> int:
    """The last rung that a trial has reported; -1 without any: callbacks of other frameworks count steps from 0."""
    return connection.execute(HIGHEST, {"trial": trial_id}).scalar() or -1


def forget(connection: sqlalchemy.Connection, trial_id: int) -> None:
    """Removes what a trial had, which is to begin anew."""
    connection.execute(rungs.delete().where(rungs.c.trial_id == trial_id))
