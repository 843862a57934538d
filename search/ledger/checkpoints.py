"""Keeps the training of a running trial, one row in the study's own database.

A row is written in the transaction that reports its epoch or hands the trial over, under the same fence, and goes with
the tell: there is at most one for each trial that runs or waits, of at most `LIMIT_BYTES`. It holds the weights of a
network, or what code of the user's own has given.
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

OWN = "own"  # key of the history: how to give back what code of the user's own has given

checkpoints = schema.checkpoints


def save(connection: sqlalchemy.Connection, trial_id: int, checkpoint: objectives.Checkpoint) -> None:
    """Puts a checkpoint in place of the one before. The caller's transaction holds the claim.

    One that is too large is left out, and an older one stays.
    """
    payload = checkpoint.payload
    size = sum(weight.nbytes for weight in checkpoint.weights) if payload is None else payload.size
    if size > LIMIT_BYTES and not (payload and payload.place):
        log.warning("event=checkpoint-left-out reason=%r", f"more than {LIMIT_BYTES >> 20} MB")
        return
    history: dict[str, Any] = {"values": checkpoint.values, **checkpoint.history}
    if payload is None:
        names = {f"{number:03}": weight for number, weight in enumerate(checkpoint.weights)}
        content = safetensors.numpy.save(names)
    else:
        history[OWN] = {"kind": payload.kind, "steps": checkpoint.steps}
        if payload.place:
            history[OWN] |= {"store": payload.store, "place": payload.place, "checksum": payload.checksum}
        content = b"" if payload.place else payload.read()
    row: dict[str, Any] = {"epoch": checkpoint.epoch, "history": json.dumps(history), "weights": content}
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
    history = json.loads(row["history"])
    values, own = history.pop("values"), history.pop(OWN, None)
    if own is not None:
        kind, steps = own.pop("kind"), own.pop("steps")
        payload = objectives.Payload(kind, content=bytes(row["weights"]), **own)
        return objectives.Checkpoint(row["epoch"], (), values, history, steps, payload)
    weights = safetensors.numpy.load(bytes(row["weights"]))
    return objectives.Checkpoint(row["epoch"], tuple(weights[name] for name in sorted(weights)), values, history)


def move(connection: sqlalchemy.Connection, row: dict[str, Any], store: str, place: str) -> bool:
    """Says where the content of a checkpoint is now; False where another row is in its place."""
    history = json.loads(row["history"])
    history[OWN] |= {"store": store, "place": place}
    moved = {"epoch": row["epoch"], "history": json.dumps(history), "weights": bytes(row["weights"])}
    here, mine = checkpoints.c, {"history": moved["history"], "checksum": _checksum(moved)}
    former = (here.trial_id == row["trial_id"], here.checksum.in_([row["checksum"], mine["checksum"]]))
    return connection.execute(checkpoints.update().where(*former).values(**mine)).rowcount == 1


def delete(connection: sqlalchemy.Connection, trial_id: int) -> None:
    """Removes the checkpoint of a trial, if there is one."""
    connection.execute(checkpoints.delete().where(checkpoints.c.trial_id == trial_id))


def _checksum(row: Any) -> str:
    found = hashlib.sha256(f"{row['epoch']} {row['history']}".encode())
    found.update(row["weights"])
    return found.hexdigest()
