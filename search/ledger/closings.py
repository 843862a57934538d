"""Paused trials at the end of their study, which are told PRUNED all at once."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import words
from search.ledger import pauses, rungs, studies, wakings
from search.storage import schema, statements

t, c = schema.trials.c, schema.claims.c


def tell(connection: sqlalchemy.Connection, study: studies.Study, worker: str, why: str | None = None) -> None:
    """Ends all paused trials of a study as PRUNED, under its lock, with their last value; they may be woken.

    Args:
        worker: who does it.
        why: what kept them; None where others were better.
    """
    query = pauses.WAITING.with_for_update(of=schema.trials)  # a plain Optuna worker may pop one
    found = connection.execute(query, {"study": study.study_id}).all()
    # before the states: what is told while it pauses keeps both, and its checkpoint
    waiting = sqlalchemy.select(t.trial_id).where(t.study_id == study.study_id, t.state == TrialState.WAITING)
    mine = c.study_id == study.study_id
    connection.execute(schema.claims.update().where(mine, pauses.IS_PAUSED, c.trial_id.in_(waiting)).values(told=True))
    asleep = sqlalchemy.select(c.trial_id).where(mine, c.told, c.paused.is_not(None))
    spent = sqlalchemy.select(c.seconds).where(c.trial_id == t.trial_id).scalar_subquery()
    now = statements.now()
    ended = {"state": TrialState.PRUNED, "datetime_complete": now}
    connection.execute(
        schema.trials.update()
        .where(t.trial_id.in_(asleep), t.state == TrialState.WAITING)
        .values(**ended, datetime_start=statements.earlier(connection, now, spent))
    )
    _describe(connection, study, found, worker, why)


def _describe(
    connection: sqlalchemy.Connection, study: studies.Study, found: Sequence[Any], worker: str, why: str | None
) -> None:
    """The values and reasons of trials that have ended so."""
    ladder, sign = pauses.ladder_of(study), -1.0 if study.spec.study.direction == "maximize" else 1.0
    count = {epoch: rungs.count(connection, study.study_id, epoch) for epoch in {row.paused for row in found}}
    values: dict[int, float] = {}
    attributes: list[tuple[int, str, Any]] = []
    for row in found:
        head, rest = f"paused after {study.spec.step} {row.paused} and not taken up again", why
        if row.standing is not None:
            values[row.trial_id] = value = sign * row.standing
            if rest is None and ladder is not None:
                share = f"1/{ladder.factor} of {words.plural(count[row.paused], 'trial')}"
                rest = f"{words.metric(value)} is not among the best {share}"
        told = (f"{head}: {rest}" if rest else head, round(row.seconds, 3), worker)
        attributes += [(row.trial_id, name, text) for name, text in zip(wakings.TOLD, told, strict=True)]
    statements.put_values(connection, values)
    statements.put_many_attributes(connection, attributes)
