"""Trials that have lost their owner: which run now, and how the next worker takes one over where it was left."""

import dataclasses
import json
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import abilities, checkpoints, claims, endings, losses, presence, rungs, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.training import objectives, records

STALL_LIMIT = 3


@dataclasses.dataclass(frozen=True)
class Taken:
    """A trial that a claim has taken, in the transaction of which it is; what it goes on from is read after that."""

    trial_id: int
    how: str


def observe(database: Database, study: studies.Study, watch: presence.Watch, own: Collection[str] = ()) -> None:
    """Looks at the beats of the others where the lot says so, for when this worker is free; see `allocations.take`."""
    watch.keep(time.monotonic(), database.interruptions)
    if presence.is_drawn(watch.seen):
        seen = database.read(lambda connection: running(connection, study.study_id, own))
        watch.note(seen, time.monotonic(), database.interruptions)


def _claim_row() -> sqlalchemy.Select[Any]:
    return sqlalchemy.select(
        schema.trials.c.number,
        *(
            schema.claims.c[name]
            for name in ("trial_id", "owner", "generation", "seconds", "repeat", "stalls", "passed", "backend")
        ),
    ).join(schema.trials, schema.trials.c.trial_id == schema.claims.c.trial_id)


def _claim(study: studies.Study, row: Any, how: str, owner: str) -> claims.Claim:
    return claims.Claim(
        study_id=study.study_id,
        trial_id=row.trial_id,
        number=row.number,
        owner=owner,
        generation=row.generation,
        params={},
        fixed={},
        seconds=row.seconds,
        how=how,
        repeat=row.repeat,
        # -1 where the last owner got further
        stalls=max(0, row.stalls),
        passed=row.passed,
        backend=row.backend,
    )


def _held(connection: sqlalchemy.Connection, trial_id: int) -> dict[str, Any]:
    """The configuration of a trial, and what an enqueued one has set."""
    a = schema.system_attributes.c
    query = sqlalchemy.select(a.value_json).where(a.trial_id == trial_id, a.key == records.FIXED_PARAMS)
    fixed = connection.execute(query).scalar()
    wanted = json.loads(fixed) if fixed else None
    params = statements.read_params(connection, trial_id)
    return {"params": params, "fixed": wanted if isinstance(wanted, dict) else {}}


def _running() -> sqlalchemy.Select[Any]:
    t, c = schema.trials.c, schema.claims.c
    names = ("owner", "generation", "beat", "worker", "host", "pid", "pid_started", "grace_seconds", "backend")
    query = sqlalchemy.select(t.trial_id, *(c[name] for name in names))
    query = query.join(schema.claims, c.trial_id == t.trial_id, isouter=True)
    return query.where(t.study_id == statements.STUDY, t.state == TrialState.RUNNING).order_by(t.trial_id)


RUNNING = _running()


def running(connection: sqlalchemy.Connection, study_id: int, own: Collection[str] = ()) -> list[presence.Sighting]:
    """The running trials of a study but for those of `own` owners, as an observer sees them."""
    rows = connection.execute(RUNNING, {"study": study_id})
    return [
        presence.Sighting(
            row.trial_id,
            row.owner or "",
            row.generation or 0,
            row.beat or 0,
            presence.Identity(row.worker or "", row.host or "", row.pid or 0, row.pid_started or 0.0),
            presence.GRACE_SECONDS if row.grace_seconds is None else row.grace_seconds,
            backend=row.backend,
        )
        for row in rows
        if not row.owner or row.owner not in own
    ]


def adopt(
    connection: sqlalchemy.Connection,
    study: studies.Study,
    orphan: presence.Sighting,
    mine: dict[str, Any],
) -> Taken | None:
    """Takes an orphan over; None if it beat in the meantime or has ended, or went through too many owners.

    Then it fails, which counts in no limit: what the objective does is another thing.
    """
    stands = schema.claims.c.stalls < 0  # -1 where the last owner got further
    died = int(orphan.is_dead and not orphan.worker.has_left)
    taken = connection.execute(
        schema.claims.update()
        .where(
            schema.claims.c.trial_id == orphan.trial_id,
            schema.claims.c.owner == orphan.owner,
            schema.claims.c.generation == orphan.generation,
            schema.claims.c.beat == orphan.beat,
            claims.is_running(hold=True),
        )
        .values(
            generation=schema.claims.c.generation + 1,
            stalls=schema.claims.c.stalls + 1,
            deaths=sqlalchemy.case((stands, 0), else_=schema.claims.c.deaths + died),
            adoptions=schema.claims.c.adoptions + 1,
            **mine,
        )
        .returning(schema.claims.c.stalls, schema.claims.c.deaths)
    ).first()
    if taken is None:
        return None
    losses.note(connection, study, orphan)
    if taken.stalls >= STALL_LIMIT:
        endings.fail(connection, orphan.trial_id, _verdict(taken.stalls, taken.deaths, orphan.worker.has_left))
        return None
    return Taken(orphan.trial_id, "adopted")


def _verdict(stalls: int, deaths: int, has_left: bool) -> str:
    """Why a trial fails that went through so many owners: death is said only of what is known to have died."""
    often = f"{stalls} times in a row without getting further"
    if deaths == stalls:
        return f"its worker died {often}"
    known = f"; {deaths} of them are known to have died" if deaths else ""
    if has_left:
        return f"its worker was lost {often}, the last time since its device failed{known}"
    return f"its worker fell silent {often}{known}"


def ensure_row(connection: sqlalchemy.Connection, study_id: int, trial_id: int) -> None:
    """A trial made by another Optuna tool has no row of ours yet."""
    known = connection.execute(
        sqlalchemy.select(schema.claims.c.trial_id).where(schema.claims.c.trial_id == trial_id)
    ).scalar()
    if known is None:
        connection.execute(schema.claims.insert().values(trial_id=trial_id, study_id=study_id))


def take_up(
    database: Database, study: studies.Study, taken: Taken, owner: str, able: abilities.Ability = abilities.ANY
) -> claims.Claim:
    """Goes on from the checkpoint, or clears it all where there is none, or where this worker could not go on with it.

    Steps after it go: a stored step would hide the new owner's report of it. Those up to a rung stay: others have been
    compared with them. It needs no lock of the study, which would wait for a checkpoint of megabytes.

    Raises:
        errors.TrialLost: it has another owner by now, or has ended.
    """

    def transaction(connection: sqlalchemy.Connection) -> claims.Claim:
        row = connection.execute(_claim_row().where(schema.claims.c.trial_id == taken.trial_id)).first()
        if row is None:  # deleted with its study
            raise errors.StudyNotFound(statements.DELETED)
        claim = _claim(study, row, taken.how, owner)
        claims.fence(connection, claim)
        saved, stands = checkpoints.find(connection, taken.trial_id), rungs.highest(connection, taken.trial_id)
        former = None if able.has(row.backend) else row.backend
        if former is not None:
            abilities.begin_anew(connection, taken.trial_id, former, saved.epoch if saved else 0)
            saved = None
        _clear(connection, taken.trial_id, saved, stands)
        held = _held(connection, taken.trial_id)
        backend = claim.backend if former is None else None
        return dataclasses.replace(claim, **held, saved=saved, stands=stands, backend=backend, former=former)

    return database.write(transaction)


def _clear(connection: sqlalchemy.Connection, trial_id: int, saved: objectives.Checkpoint | None, stands: int) -> None:
    """Removes what lies beyond what a training goes on from, but for what others have been compared with."""
    if saved is None:
        checkpoints.delete(connection, trial_id)
    later = schema.steps.c.step > max(saved.epoch if saved else -1, stands)
    connection.execute(schema.steps.delete().where(schema.steps.c.trial_id == trial_id, later))


def fall_back(database: Database, claim: claims.Claim, saved: objectives.Checkpoint | None) -> int:
    """Clears what is stored of a training beyond what it goes on from, but for what others have been compared with.

    Args:
        saved: what it goes on from; None for its start.

    Returns:
        The last step that stays for that.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """

    def transaction(connection: sqlalchemy.Connection) -> int:
        claims.fence(connection, claim)
        stands = rungs.highest(connection, claim.trial_id)
        _clear(connection, claim.trial_id, saved, stands)
        return stands

    return database.write(transaction)
