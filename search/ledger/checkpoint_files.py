"""Checkpoints that are too large for the database: an object in the study's store, named by the row.

The object comes first, the row in a fenced transaction after it, and only then the one before goes. What a worker that
was killed between the two has left is swept away when the trial's next checkpoint is stored, or when a worker ends.
"""

import dataclasses
import functools
import json
import logging
import pathlib
import uuid
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import artifacts, checkpoints, claims, studies
from search.storage import schema, stores
from search.storage.databases import Database
from search.training import objectives

log = logging.getLogger("search")

CHECKPOINTS = "checkpoints"  # of the store, each study's in a folder of its token


class Damaged(Exception):
    """A checkpoint is gone, or not as it was; the training starts over."""


def put(
    study: studies.Study, claim: claims.Claim, store: stores.Store, payload: objectives.Payload
) -> objectives.Payload | None:
    """Puts a checkpoint into the store; None where that cannot be had now, and the one before stays in force."""
    assert payload.path is not None
    path = f"{CHECKPOINTS}/{study.token}/{claim.number}/{claim.generation}-{uuid.uuid4().hex}"
    try:
        checksum = artifacts.measure(payload.path)["sha256"]
        store.put(path, payload.path)
    except (errors.StorageError, OSError) as error:
        log.warning("trial=%d event=checkpoint-left-out reason=%r", claim.number, str(error))
        return None
    return dataclasses.replace(payload, store=store.url, place=path, checksum=checksum)


def fetch(payload: objectives.Payload, target: pathlib.Path, own: stores.Store, patience_seconds: float) -> None:
    """Fetches one.

    Args:
        own: the study's store as this machine knows it: a folder may be mounted elsewhere here.

    Raises:
        Damaged: it is not there, or not as it was.
        errors.StorageError: the store cannot be reached.
    """
    try:
        own.fetch(payload.place, target)
    except stores.Missing:
        try:
            stores.Store(payload.store, patience_seconds).fetch(payload.place, target)
        except stores.Missing as error:
            raise Damaged(str(error)) from error
    if artifacts.measure(target)["sha256"] != payload.checksum:
        raise Damaged(f"{payload.place} in {payload.store} is not as it was stored")


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


def carry(database: Database, study: studies.Study, store: stores.Store) -> None:
    """Gives a copy of a study copies of those that its rows came with. One that is gone, its trial does without.

    Raises:
        errors.StorageError: a store or the database cannot be used.
    """
    own = f"{CHECKPOINTS}/{study.token}/"
    for number, row in database.read(lambda connection: _kept(connection, study.study_id)):
        known = json.loads(row["history"]).get(checkpoints.OWN, {})
        if not known.get("place") or known["place"].startswith(own):
            continue
        place = f"{own}{number}/0-{uuid.uuid4().hex}"
        try:
            stores.Store(known["store"]).copy(known["place"], place, store)
        except stores.Missing as error:
            log.warning("trial=%d event=checkpoint-missing reason=%r", number, str(error))
            continue
        if not database.write(functools.partial(checkpoints.move, row=row, store=store.url, place=place)):
            store.remove(place)  # a worker has stored a later one meanwhile


def _kept(connection: sqlalchemy.Connection, study_id: int) -> list[tuple[int, dict[str, Any]]]:
    """Rows of code of the user's own, without what they hold, with the number of the trial."""
    t, kept = schema.trials.c, schema.checkpoints
    query = sqlalchemy.select(t.number, *kept.c).join(schema.trials, t.trial_id == kept.c.trial_id)
    own = kept.c.history.contains(f'"{checkpoints.OWN}"')
    rows = connection.execute(query.where(t.study_id == study_id, own, sqlalchemy.func.length(kept.c.weights) == 0))
    return [(row["number"], dict(row)) for row in rows.mappings()]


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
