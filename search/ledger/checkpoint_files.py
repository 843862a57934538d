"""Checkpoints that are too large for the database: an object in the study's store, named by the row.

The object comes first, the row in a fenced transaction after it, and only then the one before goes. What a worker that
was killed between the two has left is swept away when the trial's next checkpoint is stored, or when a worker ends.
"""

import dataclasses
import hashlib
import json
import logging
import pathlib
import uuid

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import checkpoints, claims, studies
from search.ledger.belongings import CHECKPOINTS
from search.storage import schema, stores
from search.storage.databases import Database
from search.training import objectives

log = logging.getLogger("search")


def put(
    study: studies.Study, claim: claims.Claim, store: stores.Store, payload: objectives.Payload
) -> objectives.Payload | None:
    """Puts a checkpoint into the store; None where that cannot be had now, and the one before stays in force."""
    assert payload.path is not None
    path = f"{CHECKPOINTS}/{study.token}/{claim.number}/{claim.generation}-{uuid.uuid4().hex}"
    try:
        checksum = _checksum(payload.path)
        store.put(path, payload.path)
    except (errors.StorageError, OSError) as error:
        log.warning("trial=%d event=checkpoint-left-out reason=%r", claim.number, str(error))
        return None
    return dataclasses.replace(payload, store=store.url, place=path, checksum=checksum)


def fetch(payload: objectives.Payload, target: pathlib.Path) -> None:
    """Fetches one.

    Raises:
        objectives.Damaged: it is not there, or not as it was.
        errors.StorageError: the store cannot be reached.
    """
    try:
        stores.Store(payload.store).fetch(payload.place, target)
    except stores.Missing as error:
        raise objectives.Damaged(str(error)) from error
    if _checksum(target) != payload.checksum:
        raise objectives.Damaged(f"{payload.place} in {payload.store} is not as it was stored")


def sweep(database: Database, study: studies.Study, store: stores.Store, number: int | None = None) -> int:
    """Removes what no row names, of one trial that this process owns or of all that have no owner; returns how many.

    Raises:
        errors.StorageError: the store cannot be reached.
    """
    prefix = f"{CHECKPOINTS}/{study.token}/"
    found = store.names(prefix if number is None else f"{prefix}{number}/")
    if not found:
        return 0
    named, owned = database.read(lambda connection: _in_use(connection, study.study_id))
    left = [path for path in found if path not in named]
    if number is None:
        left = [path for path in left if int(path.split("/")[2]) not in owned]
    for path in left:
        store.remove(path)
    return len(left)


def _in_use(connection: sqlalchemy.Connection, study_id: int) -> tuple[set[str], set[int]]:
    """Paths that rows name, and numbers of trials that run."""
    t, kept = schema.trials.c, schema.checkpoints
    rows = connection.execute(
        sqlalchemy.select(kept.c.history)
        .join(schema.trials, t.trial_id == kept.c.trial_id)
        .where(t.study_id == study_id, kept.c.history.contains(f'"{checkpoints.OWN}"'))
    ).scalars()
    named = {json.loads(row).get(checkpoints.OWN, {}).get("place", "") for row in rows}
    running = sqlalchemy.select(t.number).where(t.study_id == study_id, t.state == TrialState.RUNNING)
    return named, set(connection.execute(running).scalars())


def _checksum(path: pathlib.Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
