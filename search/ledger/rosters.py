"""Who works on a study now, busy or idle, and which trials have lost their worker: for people to read.

Nothing is decided by it: who may adopt a trial is found by observation (presence.Watch). Times are the database's own.
"""

import collections
import dataclasses
import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import presence
from search.storage import schema, statements
from search.storage.databases import Database

FORGET_SECONDS = 86_400.0  # rows of workers that were killed
ANY = "any"  # beside the backends of a worker that goes from study to study
IDENTITY = ("worker", "host", "pid", "pid_started")

workers, claims, trials = schema.workers, schema.claims, schema.trials


@dataclasses.dataclass(frozen=True)
class Entry:
    """A worker's line in the roster; it writes it, and strikes it out when it ends."""

    study: statements.Study
    worker: presence.Identity
    device: str
    grace_seconds: float
    backends: str = ""
    worker_id: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    def show(self, database: Database) -> None:
        """Shows that the worker is still there, or signs in where it has no line: only that takes the study's lock.

        Raises:
            errors.StudyNotFound: the study was deleted, and its lines with it.
        """

        def again(connection: sqlalchemy.Connection) -> bool:
            line = workers.update().where(workers.c.worker_id == self.worker_id)
            return connection.execute(line.values(seen_at=statements.clock(connection))).rowcount == 1

        def transaction(connection: sqlalchemy.Connection) -> None:
            now = statements.clock(connection)
            connection.execute(
                workers.delete().where(
                    workers.c.study_id == self.study.study_id, workers.c.seen_at < now - FORGET_SECONDS
                )
            )
            statements.lock_study(connection, self.study)
            row = {
                "worker_id": self.worker_id,
                "study_id": self.study.study_id,
                **dataclasses.asdict(self.worker),
                "device": self.device,
                "grace_seconds": self.grace_seconds,
                "seen_at": now,
                "backends": self.backends,
            }
            statements.put(connection, workers, ("worker_id",), [row])

        if not database.write(again):
            database.write(transaction)

    def strike(self, database: Database) -> None:
        """Signs out."""
        line = workers.delete().where(workers.c.worker_id == self.worker_id)
        database.write(lambda connection: connection.execute(line))


@dataclasses.dataclass(frozen=True)
class Member:
    """A worker that is alive: known to, on this host, or seen within its own grace by the database's clock.

    Attributes:
        backends: what it can train networks with.
        serves_any: whether it goes from study to study.
    """

    name: str
    device: str
    seen_seconds_ago: float
    trials: tuple[int, ...]
    backends: tuple[str, ...] = ()
    serves_any: bool = False


@dataclasses.dataclass(frozen=True)
class Roster:
    """A study's workers at one moment.

    Attributes:
        orphans: running trials whose worker is not alive, by number, with the worker's name.
    """

    members: tuple[Member, ...]
    orphans: dict[int, str]

    def as_json(self) -> dict[str, Any]:
        """What `status --json` adds."""
        return {"workers": [dataclasses.asdict(member) for member in self.members], "orphans": list(self.orphans)}


NOBODY = Roster((), {})


def read(database: Database, study_id: int) -> Roster:
    """Who is there."""
    return database.read(lambda connection: look(connection, study_id))


def all_of(database: Database) -> dict[int, Roster]:
    """Who is at each study; one with nobody and no running trial is left out."""
    return database.read(_look)


def serving_any(connection: sqlalchemy.Connection) -> list[Member]:
    """Who is at any study now, and may come to each."""
    return [member for roster in _look(connection).values() for member in roster.members if member.serves_any]


def look(connection: sqlalchemy.Connection, study_id: int) -> Roster:
    """Who is there, as a transaction sees it."""
    return _look(connection, study_id).get(study_id, NOBODY)


def _look(connection: sqlalchemy.Connection, study_id: int | None = None) -> dict[int, Roster]:
    age = (statements.clock(connection) - workers.c.seen_at).label("age")
    present = sqlalchemy.select(workers, age).order_by(workers.c.name)
    running = (
        sqlalchemy.select(trials.c.study_id, trials.c.number, *(claims.c[name] for name in IDENTITY))
        .join(claims, claims.c.trial_id == trials.c.trial_id)
        .where(trials.c.state == TrialState.RUNNING)
        .order_by(trials.c.number)
    )
    if study_id is not None:
        present = present.where(workers.c.study_id == study_id)
        running = running.where(trials.c.study_id == study_id)
    found: dict[int, tuple[list[Any], list[Any]]] = collections.defaultdict(lambda: ([], []))
    for place, query in enumerate((present, running)):
        for row in connection.execute(query):
            found[row.study_id][place].append(row)
    return {each: _roster(*rows) for each, rows in found.items()}


def _roster(present: Iterable[Any], running: Iterable[Any]) -> Roster:
    alive = {}
    for row in present:
        worker = presence.Identity(row.name, row.host, row.pid, row.pid_started)
        if not worker.is_dead() and (worker.is_here or row.age < row.grace_seconds):
            alive[worker] = row
    owners = [
        (row.number, presence.Identity(row.worker, row.host, row.pid, row.pid_started)) for row in running if row.worker
    ]
    members = [
        Member(
            name=worker.name,
            device=row.device,
            seen_seconds_ago=round(max(0.0, row.age), 1),
            trials=tuple(number for number, owner in owners if owner == worker),
            backends=tuple(each for each in row.backends.split(",") if each not in ("", ANY)),
            serves_any=ANY in row.backends.split(","),
        )
        for worker, row in alive.items()
    ]
    return Roster(tuple(members), {number: owner.name for number, owner in owners if owner not in alive})
