"""The end of a running trial: its state, its value, and whether a failure counts."""

from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors, lines
from search.storage import schema, statements
from search.training import records

trials, claims = schema.trials, schema.claims


def end(
    connection: sqlalchemy.Connection,
    trial_id: int,
    state: TrialState,
    value: float | None,
    attrs: dict[str, Any],
) -> None:
    """Ends a running trial, whoever owns it. A reason is stored at a length that can be shown, with how long it was.

    Raises:
        errors.TrialLost: another tool has ended it.
    """
    ended = connection.execute(
        trials.update()
        .where(trials.c.trial_id == trial_id, trials.c.state == TrialState.RUNNING)
        .values(state=state, datetime_complete=statements.now())
    )
    if ended.rowcount != 1:
        raise errors.TrialLost("the trial was ended by another tool")
    if value is not None:
        statements.put_value(connection, trial_id, value)
    if isinstance(reason := attrs.get(records.REASON.name), str):
        attrs = {**attrs, records.REASON.name: lines.cut(reason)}
    statements.put_attributes(connection, trial_id, attrs)


def fail(connection: sqlalchemy.Connection, trial_id: int, reason: str, attrs: dict[str, Any] | None = None) -> None:
    """Ends a running trial as FAIL for a reason that is not the objective's: it counts in no limit.

    Raises:
        errors.TrialLost: another tool has ended it.
    """
    end(connection, trial_id, TrialState.FAIL, None, {**(attrs or {}), records.REASON.name: reason})
    excused = claims.update().where(claims.c.trial_id == trial_id).values(owner="", told=True, excused=True)
    connection.execute(excused)
