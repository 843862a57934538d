"""What each study of a database has to do, seen at one moment by three statements: for workers that serve any of them.

Nothing is decided by it but whom to ask: `allocations.take` answers, under the study's lock.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Collection
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.ledger import allocations, counts, orders, presence, stops, studies
from search.storage import schema, statements
from search.storage.databases import Database

FOLDED = 20  # changes of a study at rest that are made one: whoever looks at all studies adds them up each time

Mark = tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Offer:
    """A study of ours. Others, which nothing was ordered of here, make no offer.

    Attributes:
        order_id: grows with each order.
        state: of the order in force, and `trials`: how many may finish; see `orders.Order`.
        running: trials that a worker of ours runs, as an observer sees them.
    """

    study_id: int
    name: str
    token: str
    order_id: int
    state: str
    trials: int
    counts: counts.Counts
    running: tuple[presence.Sighting, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it is neither paused nor stopped."""
        return self.state == orders.StudyState.ACTIVE

    @property
    def is_of_newer_version(self) -> bool:
        """Whether its state is one that this version does not know."""
        return self.state not in [*orders.StudyState]

    @property
    def has_room(self) -> bool:
        """Whether its budget of trials has room for one more."""
        return self.counts.done + self._running < self.trials

    @property
    def is_under_way(self) -> bool:
        """Whether a trial runs, whoever runs it: it may become an orphan, or fail and leave its place to another."""
        return self._running > 0

    @property
    def is_to_be_ended(self) -> bool:
        """Whether what has paused is still to be told that the study is over: the next claim does."""
        return self.counts.paused > 0 and not self.is_under_way

    @property
    def mark(self) -> Mark:
        """What the last answer of `allocations.take` rests on, but for what running trials report."""
        return self.order_id, self.counts.failures, self.counts.configs, *sorted(self.counts.states.items())

    @property
    def _running(self) -> int:
        return self.counts.of(TrialState.RUNNING)


def read(database: Database) -> list[Offer]:
    """Of every study, in the order they were created."""
    return database.read(_read)


def _read(connection: sqlalchemy.Connection) -> list[Offer]:
    found, nothing = counts.all_of(connection), counts.Counts.empty()
    seen = running(connection)
    return [
        Offer(
            row.study_id,
            row.study_name,
            row.first_token,
            row.order_id,
            row.state,
            row.trials,
            found.get(row.study_id, nothing),
            tuple(seen.get(row.study_id, ())),
        )
        for row in connection.execute(LATEST)
    ]


def _latest() -> sqlalchemy.Select[Any]:
    """Each study with its first order's token and its last order: made once."""
    o, first = schema.orders, schema.orders.alias()
    ends = sqlalchemy.select(
        o.c.study_id, sqlalchemy.func.min(o.c.order_id).label("low"), sqlalchemy.func.max(o.c.order_id).label("high")
    )
    known = (o.c[name] for name in ("study_id", "order_id", "state", "trials"))
    of = ends.group_by(o.c.study_id).subquery()
    return (
        sqlalchemy.select(schema.studies.c.study_name, first.c.token.label("first_token"), *known)
        .join_from(schema.studies, of, of.c.study_id == schema.studies.c.study_id)
        .join(first, first.c.order_id == of.c.low)
        .join(o, o.c.order_id == of.c.high)
        .order_by(schema.studies.c.study_id)
    )


LATEST = _latest()
SIGHTED = ("owner", "generation", "beat", "worker", "host", "pid", "pid_started", "grace_seconds")


def _running() -> sqlalchemy.Select[Any]:
    t, c = schema.trials.c, schema.claims.c
    query = sqlalchemy.select(c.study_id, c.trial_id, *(c[name] for name in SIGHTED))
    query = query.join_from(schema.claims, schema.trials, t.trial_id == c.trial_id)
    # few of all claims: in an index of their own
    return query.where(sqlalchemy.text(schema.OPEN), c.owner != "", t.state == TrialState.RUNNING)


RUNNING = _running()


def running(connection: sqlalchemy.Connection) -> dict[int, list[presence.Sighting]]:
    """The trials that workers of ours run, by study, as an observer sees them."""
    found: dict[int, list[presence.Sighting]] = collections.defaultdict(list)
    for row in connection.execute(RUNNING):
        worker = presence.Identity(row.worker, row.host, row.pid, row.pid_started)
        sighting = presence.Sighting(row.trial_id, row.owner, row.generation, row.beat, worker, row.grace_seconds)
        found[row.study_id].append(sighting)
    return found


def has_ended(connection: sqlalchemy.Connection, study: studies.Study, offer: Offer) -> bool:
    """Whether a study is known to have nothing to do, though its trials are not used up: nobody need prepare for it.

    Failures are not looked at: a claim may excuse them.
    """
    order = orders.latest(connection, study.study_id)
    if offer.is_under_way or offer.counts.paused:
        return False
    if order.hours is not None and counts.spent_seconds(connection, study.study_id) >= 3600 * order.hours:
        return True
    if stops.reached(connection, study, order) is not None:
        return True
    return not offer.counts.of(TrialState.FAIL) and allocations.is_exhausted(connection, study, offer.counts)


def fold(database: Database, offers: Collection[Offer]) -> None:
    """Makes one row of the changes of each of these studies, so that to look at many studies at rest costs little."""
    for offer in offers:
        if offer.counts.rows <= FOLDED:
            continue

        def transaction(connection: sqlalchemy.Connection, offer: Offer = offer) -> None:
            statements.lock_study(connection, offer)
            counts.fold(connection, offer.study_id)

        with contextlib.suppress(errors.StudyNotFound):  # deleted in this moment
            database.write(transaction)
