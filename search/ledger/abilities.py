"""What a worker can train with: it takes what that goes on with, and begins anew what no living worker could finish."""

import time
from collections.abc import Sequence

import sqlalchemy

from models import backends
from search.ledger import presence, rosters, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.training import records

c = schema.claims.c


class Ability:
    """Of one worker, at one study.

    A trial stays with the backend that was chosen at its first claim (`models.backends`), so that it ends with the bits
    of an undisturbed one. A worker that has another passes it by. Where no living worker of the study, or of any study,
    has it, seen throughout the grace, whoever finds it so begins the trial anew, with a backend of its own: the
    training so far is lost, its seconds stay on the bill, and the count is what it was.

    Args:
        backends: as lines; None for code of the user's own, which is whatever it is everywhere.
        grace_seconds: the worker's.
    """

    def __init__(self, backends: Sequence[str] | None = None, grace_seconds: float = presence.GRACE_SECONDS) -> None:
        self.backends, self._grace_seconds = None if backends is None else tuple(backends), grace_seconds
        self._lacked: dict[str, float] = {}  # since when
        self._last, self._interruptions = float("-inf"), 0
        self._abandoned: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """For the roster."""
        return ",".join(self.backends or ())

    @property
    def taken(self) -> tuple[str, ...]:
        """The backends of trials that it takes now."""
        return (*(self.backends or ()), *self._abandoned)

    def takes(self, backend: str | None) -> bool:
        """Whether it takes a trial of a backend, to go on with or to begin anew."""
        return backend is None or self.backends is None or backend in self.taken

    def has(self, backend: str | None) -> bool:
        """Whether it can go on with a training of it."""
        return backend is None or self.backends is None or backend in self.backends

    def look(self, database: Database, study: studies.Study) -> None:
        """After a claim that has passed a trial by: finds which backends nobody has, and has had for the grace."""
        now = time.monotonic()
        lacked = [each for each in rosters.read(database, study.study_id).lacked if not self.has(each)]
        if now - self._last > self._grace_seconds or database.interruptions != self._interruptions:
            self._lacked = {}  # somebody may have been there meanwhile
        self._last, self._interruptions = now, database.interruptions
        self._lacked = {each: self._lacked.get(each, now) for each in lacked}
        self._abandoned = tuple(each for each, since in self._lacked.items() if now - since >= self._grace_seconds)

    def forget(self) -> None:
        """After a trial was taken: who is there is looked at once more before another is begun anew."""
        self._abandoned = ()


ANY = Ability()


def begin_anew(connection: sqlalchemy.Connection, trial_id: int, backend: str, epoch: int) -> None:
    """Notes that a trial goes on with nothing of its training so far, in the transaction that takes it."""
    connection.execute(schema.claims.update().where(c.trial_id == trial_id).values(backend=None))
    come = f", which had come to epoch {epoch}" if epoch else ""
    note = f"begun anew: no worker was left that trains with {label(backend)}{come}"
    statements.put_attributes(connection, trial_id, {records.RESTARTED.name: note})


def label(backend: str) -> str:
    """For people; a newer version's is shown as it is."""
    try:
        return backends.parse(backend).label
    except ValueError:
        return backend
