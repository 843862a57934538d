"""Trials that were told PRUNED while they paused, woken by an extension of their study."""

from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema
from search.training import records

t, c = schema.trials.c, schema.claims.c
IS_PAUSED = sqlalchemy.text(schema.PAUSED)
TOLD = (records.REASON.name, records.SECONDS.name, records.WORKER.name)  # attributes of a trial that ended so


def count(study_id: Any) -> sqlalchemy.ScalarSelect[Any]:
    """How often some of a study were woken: whoever remembers ended trials forgets them when it changes."""
    orders = schema.orders
    last = sqlalchemy.select(orders.c.wakings).where(orders.c.study_id == study_id)
    return last.order_by(orders.c.order_id.desc()).limit(1).scalar_subquery()


def wake(connection: sqlalchemy.Connection, study_id: int) -> int:
    """Lets trials that ended while they paused wait again, under the study's lock; returns how many."""
    mine = c.study_id == study_id
    pruned = sqlalchemy.select(t.trial_id).where(t.study_id == study_id, t.state == TrialState.PRUNED)
    asleep = sqlalchemy.and_(mine, c.told, c.paused.is_not(None), c.trial_id.in_(pruned))
    woken = connection.execute(schema.claims.update().where(asleep).values(told=False)).rowcount
    if not woken:
        return 0
    awake = sqlalchemy.select(c.trial_id).where(mine, IS_PAUSED)
    again = {"state": TrialState.WAITING, "datetime_start": None, "datetime_complete": None}
    rows = sqlalchemy.and_(t.trial_id.in_(awake), t.state == TrialState.PRUNED)
    connection.execute(schema.trials.update().where(rows).values(**again))
    connection.execute(schema.values.delete().where(schema.values.c.trial_id.in_(awake)))
    attributes = schema.attributes
    connection.execute(attributes.delete().where(attributes.c.trial_id.in_(awake), attributes.c.key.in_(TOLD)))
    return int(woken)
