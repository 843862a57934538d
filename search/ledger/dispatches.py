"""A message on its way: with one sender at a time, tried again until it is delivered or given up.

A message is sent by whoever claims it, for a time: where that process ends in between, another sends it. So each is
sent at least once, and again only where a process ended, or lost the database, between an answer and the note of it.
"""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy

from search.ledger import studies
from search.ledger.notices import PENDING, UNDELIVERED
from search.storage import outboxes, statements
from search.storage.databases import Database

notices = outboxes.notices

LEASE_SECONDS = 60.0  # longer than one address may take
TRIES = 20
LONGEST_WAIT_SECONDS = 3_600.0


@dataclasses.dataclass(frozen=True)
class Notice:
    """A message on its way, of whoever has claimed it.

    Attributes:
        body: as it is sent; see docs/notifications.md.
        tries: how many there were, this one among them.
        delivered: the addresses that have it.
        reasons: why others have not.
    """

    notice_id: int
    owner: str
    body: dict[str, Any]
    tries: int
    delivered: tuple[str, ...]
    reasons: dict[str, str]


def is_due(connection: sqlalchemy.Connection, study_id: int) -> float | None:
    """In how many seconds the next message is due, 0 or less for now; None where none waits."""
    soonest = sqlalchemy.select(sqlalchemy.func.min(notices.c.due_at) - statements.clock(connection))
    waits = connection.execute(
        soonest.where(notices.c.study_id == study_id, sqlalchemy.text(outboxes.PENDING))
    ).scalar()
    return None if waits is None else float(waits)


def claim(database: Database, study_id: int, owner: str) -> Notice | None:
    """The next message that is due, for `LEASE_SECONDS`; None where there is none.

    Args:
        owner: a token of this claim alone, by which it is found again where the answer is lost.
    """

    def transaction(connection: sqlalchemy.Connection) -> Notice | None:
        mine = (notices.c.study_id == study_id, sqlalchemy.text(outboxes.PENDING))
        if (again := connection.execute(notices.select().where(*mine, notices.c.owner == owner)).first()) is not None:
            return _notice(again)
        now = statements.clock(connection)
        first = sqlalchemy.select(notices.c.notice_id).where(*mine, notices.c.due_at <= now)
        first = first.order_by(notices.c.notice_id).limit(1).with_for_update(skip_locked=True)
        taken = notices.update().where(notices.c.notice_id == first.scalar_subquery())
        taken = taken.values(owner=owner, tries=notices.c.tries + 1, due_at=now + LEASE_SECONDS)
        row = connection.execute(taken.returning(*notices.c)).first()
        return None if row is None else _notice(row)

    return database.write(transaction)


def note(
    database: Database,
    notice: Notice,
    delivered: Collection[str],
    reasons: Mapping[str, str],
    wait_seconds: float | None = None,
    state: str = PENDING,
) -> bool:
    """Writes down what has become of a message; whether it is still the caller's.

    Args:
        wait_seconds: the next try is due then, and the message is nobody's; None: it stays the caller's.
    """
    changes: dict[str, Any] = {"delivered": json.dumps(sorted(delivered)), "reasons": json.dumps(dict(reasons))}

    def transaction(connection: sqlalchemy.Connection) -> bool:
        due = statements.clock(connection) + (LEASE_SECONDS if wait_seconds is None else wait_seconds)
        mine = notices.c.notice_id == notice.notice_id, notices.c.owner == notice.owner
        over = {} if wait_seconds is None and state == PENDING else {"owner": ""}
        found = connection.execute(notices.update().where(*mine).values(state=state, due_at=due, **changes, **over))
        return found.rowcount == 1

    return database.write(transaction)


def wait_seconds(tries: int, asked: float | None = None) -> float:
    """How long after so many tries the next is due: 1, 2, 4 ... seconds, an hour at most.

    Args:
        asked: for how long the receiver has asked.
    """
    return min(LONGEST_WAIT_SECONDS, max(2.0 ** (tries - 1), asked or 0.0))


def renew(database: Database, study: studies.Study) -> None:
    """Lets all that is not delivered be tried anew, at once, what was given up too."""
    left = notices.update().where(notices.c.study_id == study.study_id, notices.c.state.in_([PENDING, UNDELIVERED]))
    free = notices.c.owner == ""

    def transaction(connection: sqlalchemy.Connection) -> None:
        connection.execute(left.where(free).values(state=PENDING, tries=0, due_at=statements.clock(connection)))

    database.write(transaction)


def _notice(row: Any) -> Notice:
    delivered, reasons = json.loads(row.delivered), json.loads(row.reasons)
    return Notice(row.notice_id, row.owner, json.loads(row.body), row.tries, tuple(delivered), reasons)
