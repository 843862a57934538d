"""Keeps the training of a running trial, one row in the study's own database.

A row is written in the transaction that reports its epoch or hands the trial over, under the same fence, and goes with
the tell: there is at most one for each trial that runs or waits, of at most `LIMIT_BYTES`.
"""

import hashlib
import json
import logging
from typing import Any

import safetensors.numpy  # not .torch: `search status` must not wait for its import
import sqlalchemy

from search.storage import schema, statements
from search.training import objectives

log = logging.getLogger("search")

LIMIT_BYTES = 64 << 20  # the lab's largest network has 7 MB; a larger one than this starts over

checkpoints = schema.checkpoints


def save(connection: sqlalchemy.Connection, trial_id: int, checkpoint: objectives.Checkpoint) -> None:
    """Puts a checkpoint in place of the one before. The caller's transaction holds the claim.

    One that is too large is left out, and an older one stays.
    """
    names = {f"{number:03}": weight for number, weight in enumerate(checkpoint.weights)}
    if sum(weight.nbytes for weight in checkpoint.weights) > LIMIT_BYTES:
        log.warning("event=checkpoint-left-out reason='more than %d MB'", LIMIT_BYTES >> 20)
        return
    history = json.dumps({"values": checkpoint.values, **checkpoint.history})
    row = {"epoch": checkpoint.epoch, "history": history, "weights": safetensors.numpy.save(names)}
    row = {"trial_id": trial_id, **row, "checksum": _checksum(row)}
    statements.put(connection, checkpoints, ("trial_id",), [row])


def find(connection: sqlalchemy.Connection, trial_id: int) -> objectives.Checkpoint | None:
    """The checkpoint of a trial; None where there is none, or one that is damaged."""
    row = connection.execute(checkpoints.select().where(checkpoints.c.trial_id == trial_id)).mappings().first()
    if row is None:
        return None
    if row["checksum"] != _checksum(row):
        log.warning("event=checkpoint-damaged epoch=%d note='set aside, the trial starts over'", row["epoch"])
        return None
    weights, history = safetensors.numpy.load(bytes(row["weights"])), json.loads(row["history"])
    return objectives.Checkpoint(
        row["epoch"], tuple(weights[name] for name in sorted(weights)), history.pop("values"), history
    )


def delete(connection: sqlalchemy.Connection, trial_id: int) -> None:
    """Removes the checkpoint of a trial, if there is one."""
    connection.execute(checkpoints.delete().where(checkpoints.c.trial_id == trial_id))


def _checksum(row: Any) -> str:
    found = hashlib.sha256(f"{row['epoch']} {row['history']}".encode())
    found.update(row["weights"])
    return found.hexdigest()
