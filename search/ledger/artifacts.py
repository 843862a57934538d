"""Files that a trial keeps: an object in the study's store, and a row as Optuna writes it, by which any tool finds it.

The object comes first, the row in a fenced transaction after it: what is listed is there, and was kept by the trial's
owner. An id begins with the study's and the trial's own digits, so that what a killed owner left behind is known.
"""

import dataclasses
import hashlib
import json
import logging
import mimetypes
import pathlib
import secrets
from collections.abc import Iterable
from typing import Any

import sqlalchemy

from search import errors
from search.ledger import claims, studies
from search.storage import schema, statements, stores
from search.storage.artifact_stores import ID, path_of
from search.storage.databases import Database
from search.training import objectives

log = logging.getLogger("search")

ENTRY = "artifacts:"  # Optuna's prefix of the attributes that name artifacts
MOST = 1_000  # of a trial: whoever looks at the trial reads all their rows
OTHERWISE = "application/octet-stream"
PIECE_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A file of a trial.

    Attributes:
        size: in bytes, `checksum` its SHA-256; None where another tool has kept it.
        entry: all that is stored of it.
    """

    trial_id: int
    number: int
    artifact_id: str
    name: str
    mimetype: str
    size: int | None
    checksum: str | None
    entry: dict[str, Any]

    @property
    def title(self) -> str:
        """As a line says it."""
        return f"trial {self.number}: {self.name!r}"


def mark(token: str, number: int | None = None) -> str:
    """What the ids of a study's artifacts begin with, or those of one of its trials."""
    own = f"{token[:8]}-{token[8:12]}-{token[12:16]}-"
    return own if number is None else f"{own}{number >> 16:04x}-{number & 0xFFFF:04x}"


def new_id(token: str, number: int) -> str:
    """An id that no other artifact has: a UUID in its form."""
    return mark(token, number) + secrets.token_hex(4)


def keep(
    database: Database, token: str, claim: claims.Claim, store: stores.Store, source: pathlib.Path, name: str
) -> str:
    """Keeps a file as an artifact of a trial, in place of one of the same name; returns its id.

    Args:
        token: of the study.

    Raises:
        objectives.Refused: it cannot be read, or the trial has too many.
        errors.TrialLost: the trial has another owner by now; nothing is kept.
        errors.StorageError: the store or the database cannot be used.
    """
    artifact_id = new_id(token, claim.number)
    path = path_of(artifact_id)
    try:
        entry = {**_entry(artifact_id, name), **measure(source)}
        store.put(path, source)
    except OSError as error:
        raise objectives.Refused(f"{source} cannot be read: {error.strerror or error}") from error
    try:
        former = database.write(lambda connection: _write(connection, token, claim, entry))
    except (errors.TrialLost, objectives.Refused):
        remove(store, [path])
        raise
    remove(store, map(path_of, former))
    return artifact_id


def _write(connection: sqlalchemy.Connection, token: str, claim: claims.Claim, entry: dict[str, Any]) -> list[str]:
    """Writes the row; returns the ids of those that it takes the place of."""
    claims.fence(connection, claim)
    known = read(connection, schema.trials.c.trial_id == claim.trial_id)
    mine = [each for each in known if each.artifact_id != entry["artifact_id"]]
    former = [
        each.artifact_id
        for each in mine
        if each.name == entry["filename"] and each.artifact_id.startswith(mark(token, claim.number))
    ]
    if len(mine) - len(former) >= MOST:
        raise objectives.Refused(f"a trial keeps at most {MOST} artifacts, {entry['filename']!r} would be one more")
    delete_rows(connection, claim.trial_id, former)
    put_row(connection, claim.trial_id, entry)
    return former


def put_row(connection: sqlalchemy.Connection, trial_id: int, entry: dict[str, Any]) -> None:
    """Stores what is known of an artifact, as Optuna's `upload_artifact` does."""
    row = {"trial_id": trial_id, "key": ENTRY + entry["artifact_id"], "value_json": json.dumps(json.dumps(entry))}
    statements.put(connection, schema.system_attributes, ("trial_id", "key"), [row])


def delete_rows(connection: sqlalchemy.Connection, trial_id: int, artifact_ids: Iterable[str]) -> int:
    """Forgets artifacts of a trial; returns how many were known."""
    table, keys = schema.system_attributes, [ENTRY + each for each in artifact_ids]
    if not keys:
        return 0
    return connection.execute(table.delete().where(table.c.trial_id == trial_id, table.c.key.in_(keys))).rowcount


def sweep(database: Database, token: str, claim: claims.Claim, store: stores.Store) -> int:
    """Removes what former owners of a trial have put into the store and did not live to list; returns how many.

    Raises:
        errors.StorageError: the store or the database cannot be used.
    """
    begin = path_of(mark(token, claim.number))
    found = store.names(begin)
    known = {path_of(each.artifact_id) for each in of_trial(database, claim.trial_id)} if found else set()
    left = [path for path in found if path not in known]
    remove(store, left)
    return len(left)


def remove(store: stores.Store, paths: Iterable[str]) -> list[str]:
    """Removes objects that nothing lists any more; returns those that could not be removed: nothing depends on it."""
    left = []
    for path in paths:
        try:
            store.remove(path)
        except errors.SearchError as error:
            log.warning("event=artifact-left path=%r reason=%r", path, str(error))
            left.append(path)
    return left


def of_trial(database: Database, trial_id: int) -> list[Artifact]:
    """The artifacts of a trial, by name."""
    return database.read(lambda connection: read(connection, schema.trials.c.trial_id == trial_id))


def of_study(database: Database, study: studies.Stored | studies.Study, number: int | None = None) -> list[Artifact]:
    """Those of all trials of a study, or of one, in the order of the trials and by name."""
    t = schema.trials.c
    asked = [t.study_id == study.study_id] + ([] if number is None else [t.number == number])
    return database.read(lambda connection: read(connection, *asked))


def read(connection: sqlalchemy.Connection, *asked: sqlalchemy.ColumnElement[bool]) -> list[Artifact]:
    """Those of the trials that are asked for, in the order of the trials and by name."""
    t, s = schema.trials.c, schema.system_attributes.c
    query = sqlalchemy.select(t.trial_id, t.number, s.key, s.value_json)
    query = query.join_from(schema.trials, schema.system_attributes, s.trial_id == t.trial_id)
    rows = connection.execute(query.where(*asked, s.key.startswith(ENTRY)))
    found = filter(None, (_artifact(*row) for row in rows))
    return sorted(found, key=lambda each: (each.number, each.name, each.artifact_id))


def _artifact(trial_id: int, number: int, key: str, value_json: str) -> Artifact | None:
    """None where the dashboard has deleted it, or no tool could read it."""
    try:
        entry = json.loads(json.loads(value_json))
        artifact_id, name = str(entry["artifact_id"]), str(entry["filename"])
    except (ValueError, TypeError, KeyError):
        return None
    if key != ENTRY + artifact_id or not ID.fullmatch(artifact_id):
        return None
    mimetype, size, checksum = (entry.get(each) for each in ("mimetype", "size", "sha256"))
    size = size if isinstance(size, int) else None
    checksum = checksum if isinstance(checksum, str) else None
    return Artifact(trial_id, number, artifact_id, name, str(mimetype or OTHERWISE), size, checksum, entry)


def _entry(artifact_id: str, name: str) -> dict[str, Any]:
    kind, encoding = mimetypes.guess_type(name)
    return {"artifact_id": artifact_id, "filename": name, "mimetype": kind or OTHERWISE, "encoding": encoding}


def measure(source: pathlib.Path) -> dict[str, Any]:
    """Size and SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as content:
        while piece := content.read(PIECE_BYTES):
            digest.update(piece)
            size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}
