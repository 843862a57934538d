"""Which of the trials that wait, or have paused, is next for a worker: of those that it can go on with."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import abilities, pauses, studies
from search.storage import schema

Look = Callable[[Collection[str] | None], sqlalchemy.Row[Any] | None]


@dataclasses.dataclass(frozen=True)
class Turns:
    """Asked under the study's lock, for one claim.

    Attributes:
        machine: the worker's; what failed there waits for another.
        wish: its sampler's, see `allocations.take`.
        passed: backends of trials that were passed by, for others to take.
    """

    connection: sqlalchemy.Connection
    study: studies.Study
    machine: str
    wish: pauses.Wish | None = None
    able: abilities.Ability = abilities.ANY
    passed: set[str] = dataclasses.field(default_factory=set)

    def takes(self, backend: str | None) -> bool:
        """Whether the worker takes a trial of this backend; noted where not."""
        if self.able.takes(backend):
            return True
        self.passed.add(str(backend))
        return False

    def waiting(self) -> int | None:
        """One that waits and has not paused, by id."""
        elsewhere = sqlalchemy.func.coalesce(schema.claims.c.fault_host, "") != self.machine
        waiting = (
            sqlalchemy.select(schema.trials.c.trial_id, schema.claims.c.backend)
            .join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id, isouter=True)
            .where(schema.trials.c.study_id == self.study.study_id, schema.trials.c.state == TrialState.WAITING)
            .where(schema.claims.c.paused.is_(None))
            .order_by(schema.trials.c.trial_id)
            .limit(1)
        )

        def look(taken: Collection[str] | None) -> sqlalchemy.Row[Any] | None:
            able = waiting if taken is None else waiting.where(pauses.is_of(taken))
            # what failed on this machine waits for another
            return self.connection.execute(able.where(elsewhere)).first() or self.connection.execute(able).first()

        return self._first(look)

    def promoted(self) -> int | None:
        """One that has paused and is to go on, by id."""
        if self.wish is None:
            return self._first(lambda taken: pauses.promotable(self.connection, self.study, taken))
        return pauses.wished(self.connection, self.study.study_id, self.wish.first, self.able.takes)

    def left(self, is_without_end: bool) -> int | None:
        """A paused one where nothing new can begin, by id: one that the sampler wishes, or the first to be complete.

        Args:
            is_without_end: no trial is complete, and none runs.
        """
        rest = () if self.wish is None else self.wish.rest
        # what it wishes of others they wish themselves: two that waited for each other would wait for ever
        chosen = pauses.wished(self.connection, self.study.study_id, rest, self.able.takes)
        if chosen is None and is_without_end:
            row = pauses.furthest(self.connection, self.study.study_id)
            chosen = row.trial_id if row is not None and self.takes(row.backend) else None
        return chosen

    def _first(self, look: Look) -> int | None:
        """What is first; where this worker must pass it by, the first of those that it takes."""
        row = look(None)
        if row is not None and not self.takes(row.backend):
            row = look(self.able.taken)
        return None if row is None else int(row.trial_id)
