"""Who works on a study now, busy or idle, and which trials have lost their worker: for people to read.

Nothing is decided by it: who may adopt a trial is found by observation (presence.Watch). Times are the database's own.
"""

import collections
import dataclasses
import uuid
from collections.abc import Iterable, Mapping
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

        def transaction(connection: sqlalchemy.Connection) -> None:
            now = statements.clock(connection)
            old = (workers.c.study_id == self.study.study_id, workers.c.seen_at < now - FORGET_SECONDS)
            has_old = connection.execute(sqlalchemy.select(workers.c.worker_id).where(*old).limit(1)).first()
            statements.lock_study(connection, self.study)
            if has_old is not None:  # below the lock: who deletes the study has it, and then takes the lines
                connection.execute(workers.delete().where(*old))
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

        if not database.write(self.renew):
            database.write(transaction)

    def renew(self, connection: sqlalchemy.Connection) -> bool:
        """The same in a transaction of the caller's; False where it has no line."""
        line = workers.update().where(workers.c.worker_id == self.worker_id)
        return connection.execute(line.values(seen_at=statements.clock(connection))).rowcount == 1

    def strike(self, database: Database) -> None:
        """Signs out."""
        line = workers.delete().where(workers.c.worker_id == self.worker_id)
        database.write(lambda connection: connection.execute(line))


def renew(connection: sqlalchemy.Connection, entries: Mapping[str, Entry]) -> dict[str, bool]:
    """The same of several lines; which of them are there."""
    return {key: entry.renew(connection) for key, entry in entries.items()}


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
        left: those of them that a living worker has let go of, since its device failed.
        lacked: what trials that wait, or have lost their worker, were begun with and no living worker has, one that
            goes from study to study neither: how many of each.
    """

    members: tuple[Member, ...]
    orphans: dict[int, str]
    lacked: dict[str, int] = dataclasses.field(default_factory=dict)
    left: frozenset[int] = frozenset()

    def as_json(self, is_open: bool = True) -> dict[str, Any]:
        """What `status --json` adds.

        Args:
            is_open: trials may begin; else none waits for an engine.
        """
        members = [dataclasses.asdict(member) for member in self.members]
        lacked = self.lacked if is_open else {}
        return {"workers": members, "orphans": list(self.orphans), "lacked_backends": lacked}


NOBODY = Roster((), {})


def read(database: Database, study_id: int) -> Roster:
    """Who is there."""
    return database.read(lambda connection: look(connection, study_id))


def all_of(database: Database) -> dict[int, Roster]:
    """Who is at each study; one with nobody and no trial that runs or was begun is left out."""
    return database.read(_look)


def look(connection: sqlalchemy.Connection, study_id: int) -> Roster:
    """Who is there, as a transaction sees it."""
    return _look(connection, study_id).get(study_id, NOBODY)


def _look(connection: sqlalchemy.Connection, study_id: int | None = None) -> dict[int, Roster]:
    age = (statements.clock(connection) - workers.c.seen_at).label("age")
    serves_any = workers.c.backends.like(f"%{ANY}")
    present = sqlalchemy.select(workers, age, serves_any.label("serves_any")).order_by(workers.c.name)
    begun = sqlalchemy.select(trials.c.study_id).join(claims, claims.c.trial_id == trials.c.trial_id)
    running = begun.add_columns(trials.c.number, *(claims.c[name] for name in (*IDENTITY, "backend")))
    running = running.where(trials.c.state == TrialState.RUNNING).order_by(trials.c.number)
    waiting = begun.add_columns(claims.c.backend, sqlalchemy.func.count().label("number"))
    waiting = waiting.where(trials.c.state == TrialState.WAITING, claims.c.backend.is_not(None))
    waiting = waiting.group_by(trials.c.study_id, claims.c.backend).order_by(claims.c.backend)
    if study_id is not None:
        present = present.where((workers.c.study_id == study_id) | serves_any)
        running, waiting = (each.where(trials.c.study_id == study_id) for each in (running, waiting))
    alive = _alive(connection.execute(present))
    pool = {backend for row in alive if row.serves_any for backend in _backends(row)}
    found: dict[int, tuple[list[Any], list[Any], list[Any]]] = collections.defaultdict(lambda: ([], [], []))
    rows: tuple[Iterable[Any], ...] = (alive, connection.execute(running), connection.execute(waiting))
    for place, some in enumerate(rows):
        for row in some:
            found[row.study_id][place].append(row)
    return {each: _roster(*parts, pool) for each, parts in found.items()}


def _alive(present: Iterable[Any]) -> list[Any]:
    return [row for row in present if not _who(row).is_dead() and (_who(row).is_here or row.age < row.grace_seconds)]


def _who(row: Any) -> presence.Identity:
    return presence.Identity(row.name, row.host, row.pid, row.pid_started)


def _backends(row: Any) -> tuple[str, ...]:
    return tuple(each for each in row.backends.split(",") if each not in ("", ANY))


def _roster(present: list[Any], running: list[Any], waiting: list[Any], pool: set[str]) -> Roster:
    """Of one study; `pool` is what those have who go from study to study."""
    alive = {_who(row): row for row in present}
    owned = [(row, presence.Identity(row.worker, row.host, row.pid, row.pid_started)) for row in running]
    members = [
        Member(
            name=worker.name,
            device=row.device,
            seen_seconds_ago=round(max(0.0, row.age), 1),
            trials=tuple(each.number for each, owner in owned if owner == worker),
            backends=_backends(row),
            serves_any=bool(row.serves_any),
        )
        for worker, row in alive.items()
    ]
    lost = [(row, owner) for row, owner in owned if owner not in alive]
    there, lacked = pool.union(*map(_backends, present)), collections.Counter[str]()
    for backend, count in (*((row.backend, row.number) for row in waiting), *((row.backend, 1) for row, _ in lost)):
        if backend is not None and backend not in there:
            lacked[backend] += count
    orphans = {row.number: owner.name for row, owner in lost if owner.name}
    left = frozenset(row.number for row, owner in lost if owner.has_left)
    return Roster(tuple(members), orphans, dict(lacked), left)
