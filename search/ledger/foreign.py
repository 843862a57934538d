"""Trials that other Optuna tools brought into a study: added with their result, or run beside our workers."""

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import exc

from search.ledger import adoptions, studies
from search.storage import schema, statements


def waited_for(connection: sqlalchemy.Connection, study_id: int) -> list[int]:
    """The numbers of trials that another tool runs, or has left running."""
    trials, claims = schema.trials, schema.claims
    query = (
        sqlalchemy.select(trials.c.number)
        .join(claims, claims.c.trial_id == trials.c.trial_id, isouter=True)
        .where(trials.c.study_id == study_id, trials.c.state == TrialState.RUNNING)
        .where(sqlalchemy.func.coalesce(claims.c.owner, "") == "")
    )
    return list(connection.execute(query.order_by(trials.c.number)).scalars())


def reserve(connection: sqlalchemy.Connection, study: studies.Study) -> None:
    """Reserves the configurations that other tools' trials have ended with, under the study's lock.

    So none is trained again. What lies outside the space, which is noted, or is reserved already, stays as it is.
    """
    added, trials, finished = schema.added, schema.trials, schema.finished
    unknown = (
        sqlalchemy.select(trials.c.trial_id, trials.c.state)
        .join(added, added.c.trial_id == trials.c.trial_id)
        .where(added.c.study_id == study.study_id, sqlalchemy.text(schema.UNKNOWN))
    )
    for row in connection.execute(unknown).all():
        adoptions.ensure_row(connection, study.study_id, row.trial_id)
        params = statements.read_params(connection, row.trial_id)
        holds = study.spec.space.holds(params)
        noted = finished.update().where(finished.c.trial_id == row.trial_id).values(is_outside=not holds)
        connection.execute(noted)
        if row.state != TrialState.FAIL and holds:
            mine = schema.claims.update().where(schema.claims.c.trial_id == row.trial_id)
            try:
                with connection.begin_nested():
                    connection.execute(mine.values(config=study.spec.space.key(params)))
            except exc.IntegrityError:
                pass  # a trial has it already
        connection.execute(added.update().where(added.c.trial_id == row.trial_id).values(is_known=True))
