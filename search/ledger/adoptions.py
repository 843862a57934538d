"""Trials that have lost their owner: which run now, and how the next worker takes one over where it was left."""

import json
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import checkpoints, claims, presence, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.training import objectives, records

STALL_LIMIT = 3


def observe(database: Database, study: studies.Study, watch: presence.Watch, own: Collection[str] = ()) -> None:
    """Looks at the beats of the others, so that a busy worker knows orphans when it is free; see `allocations.take`."""
    seen = database.read(lambda connection: running(connection, study.study_id, own))
    watch.look(seen, time.monotonic(), database.interruptions)


def _claim_row() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(
        schema.trials.c.number,
        *(schema.claims.c[name] for name in ("trial_id", "owner", "generation", "seconds", "repeat", "stalls")),
    ).join(schema.trials, schema.trials.c.trial_id == schema.claims.c.trial_id)


def _claim(
    connection: sqlalchemy.Connection,
    study: studies.Study,
    row: Any,
    how: str,
    saved: objectives.Checkpoint | None = None,
) -> claims.Claim:
    fixed = connection.execute(
        sqlalchemy.select(schema.system_attributes.c.value_json).where(
            schema.system_attributes.c.trial_id == row.trial_id, schema.system_attributes.c.key == records.FIXED_PARAMS
        )
    ).scalar()
    return claims.Claim(
        study_id=study.study_id,
        trial_id=row.trial_id,
        number=row.number,
        owner=row.owner,
        generation=row.generation,
        params=statements.read_params(connection, row.trial_id),
        fixed=json.loads(fixed) if fixed else {},
        seconds=row.seconds,
        how=how,
        repeat=row.repeat,
        # -1 where the last owner got further
        stalls=max(0, row.stalls),
        saved=saved,
    )


def running(connection: sqlalchemy.Connection, study_id: int, own: Collection[str] = ()) -> list[presence.Sighting]:
    """The running trials of a study but for those of `own` owners, as an observer sees them."""
    rows = connection.execute(
        sqlalchemy.select(
            schema.trials.c.trial_id,
            *(
                schema.claims.c[name]
                for name in ("owner", "generation", "beat", "worker", "host", "pid", "pid_started")
            ),
        )
        .join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id, isouter=True)
        .where(schema.trials.c.study_id == study_id, schema.trials.c.state == TrialState.RUNNING)
        .order_by(schema.trials.c.trial_id)
    )
    return [
        presence.Sighting(
            row.trial_id,
            row.owner or "",
            row.generation or 0,
            row.beat or 0,
            presence.Identity(row.worker or "", row.host or "", row.pid or 0, row.pid_started or 0.0),
        )
        for row in rows
        if not row.owner or row.owner not in own
    ]


def adopt(
    connection: sqlalchemy.Connection, study: studies.Study, orphan: presence.Sighting, mine: dict[str, Any]
) -> claims.Claim | None:
    """Takes an orphan over; None if it beat in the meantime, or went through too many owners and fails for it."""
    ensure_row(connection, study.study_id, orphan.trial_id)
    taken = connection.execute(
        schema.claims.update()
        .where(
            schema.claims.c.trial_id == orphan.trial_id,
            schema.claims.c.owner == orphan.owner,
            schema.claims.c.generation == orphan.generation,
            schema.claims.c.beat == orphan.beat,
        )
        .values(
            generation=schema.claims.c.generation + 1,
            stalls=schema.claims.c.stalls + 1,
            adoptions=schema.claims.c.adoptions + 1,
            **mine,
        )
        .returning(schema.claims.c.stalls)
    ).scalar()
    if taken is None:
        return None
    if taken >= STALL_LIMIT:
        reason = f"its worker died {taken} times in a row without getting further"
        claims.end(connection, orphan.trial_id, TrialState.FAIL, None, {records.REASON.name: reason})
        connection.execute(
            schema.claims.update().where(schema.claims.c.trial_id == orphan.trial_id).values(owner="", told=True)
        )
        return None
    return take_up(connection, study, orphan.trial_id, "adopted")


def ensure_row(connection: sqlalchemy.Connection, study_id: int, trial_id: int) -> None:
    """A trial made by another Optuna tool has no row of ours yet."""
    known = connection.execute(
        sqlalchemy.select(schema.claims.c.trial_id).where(schema.claims.c.trial_id == trial_id)
    ).scalar()
    if known is None:
        connection.execute(schema.claims.insert().values(trial_id=trial_id, study_id=study_id))


def take_up(connection: sqlalchemy.Connection, study: studies.Study, trial_id: int, how: str) -> claims.Claim:
    """Goes on from the checkpoint, or clears it all where there is none.

    Steps after it go: a stored step would hide the new owner's report of it.
    """
    saved = checkpoints.find(connection, trial_id)
    if saved is None:
        checkpoints.delete(connection, trial_id)
    later = schema.steps.c.step > (saved.epoch if saved else 0)
    connection.execute(schema.steps.delete().where(schema.steps.c.trial_id == trial_id, later))
    row = connection.execute(_claim_row().where(schema.claims.c.trial_id == trial_id)).one()
    return _claim(connection, study, row, how, saved)
