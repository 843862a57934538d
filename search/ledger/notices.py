"""What people are told of a study: an outbox, in which each event stands once, whoever noticed it, until it is sent.

A message is sent by whoever claims it, for a time: where that process ends in between, another sends it. So each is
sent at least once, and again only where a process ended, or lost the database, between an answer and the note of it.
"""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy

from search.ledger import studies
from search.storage import outboxes, statements
from search.storage.databases import Database

notices = outboxes.notices

PENDING, SENT, UNDELIVERED = "pending", "sent", "undelivered"
HELD = "held"  # told together with others, in the next message of its event
PAST = "past"  # was so before anybody was to be told, or was told of the study that this one is a copy of
TOLD = (PENDING, SENT, UNDELIVERED)
FACTS = ("trial", "value", "params", "worker", "reason", "counts")  # null where an event has none
LEASE_SECONDS = 60.0  # longer than one address may take
TRIES = 20
LONGEST_WAIT_SECONDS = 3_600.0


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that has happened.

    Attributes:
        key: what of, the same for everybody who notices it.
        kind: one of `study.notices.EVENTS`.
        text: a line for people.
        facts: what else the message says, of `FACTS`.
    """

    key: str
    kind: str
    text: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


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


@dataclasses.dataclass(frozen=True)
class Standing:
    """How many messages of a study are sent, how many still wait, how many were given up, and why the last has not."""

    sent: int = 0
    pending: int = 0
    undelivered: int = 0
    reason: str | None = None

    @property
    def left(self) -> int:
        """How many are not delivered."""
        return self.pending + self.undelivered

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        return {"messages": {"sent": self.sent, "pending": self.pending, "undelivered": self.undelivered}}


def body(study: studies.Study, event: Event, moment: float) -> dict[str, Any]:
    """The message of an event, of a moment by the database's clock."""
    return {
        "id": hashlib.sha256(f"{study.token} {event.key}".encode()).hexdigest()[:32],
        "event": event.kind,
        "study": study.name,
        "text": event.text,
        "time": datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="seconds"),
        "metric": study.spec.study.metric,
        **dict.fromkeys(FACTS),
        **event.facts,
    }


def add(connection: sqlalchemy.Connection, study: studies.Study, event: Event, state: str = PENDING) -> None:
    """Writes an event down, where it is not there yet. To do so twice is to do so once."""
    now = float(connection.execute(sqlalchemy.select(statements.clock(connection))).scalar_one())
    row = {
        "study_id": study.study_id,
        "key": event.key,
        "event": event.kind,
        "body": json.dumps(body(study, event, now), allow_nan=False),
        "state": state,
        "made_at": now,
        "due_at": now,
        "tries": 0,
        "owner": "",
        "delivered": "[]",
        "reasons": "{}",
    }
    insert = statements.UPSERTS[connection.dialect.name](notices)
    connection.execute(insert.on_conflict_do_nothing(index_elements=["study_id", "key"]), [row])


def known(connection: sqlalchemy.Connection, study_id: int, keys: Collection[str]) -> set[str]:
    """Which of these events are written down."""
    query = sqlalchemy.select(notices.c.key).where(notices.c.study_id == study_id, notices.c.key.in_(list(keys)))
    return set(connection.execute(query).scalars())


def last(
    connection: sqlalchemy.Connection, study_id: int, kind: str, states: Sequence[str]
) -> tuple[int, float] | None:
    """The latest message of an event in one of these states: its number, and how many seconds ago it was written."""
    age = statements.clock(connection) - notices.c.made_at
    query = sqlalchemy.select(notices.c.notice_id, age).where(
        notices.c.study_id == study_id, notices.c.event == kind, notices.c.state.in_(states)
    )
    row = connection.execute(query.order_by(notices.c.notice_id.desc()).limit(1)).first()
    return None if row is None else (int(row[0]), float(row[1]))


def held(connection: sqlalchemy.Connection, study_id: int, kind: str, after: int) -> list[dict[str, Any]]:
    """The messages of an event that were held back since another one, the earliest first."""
    query = sqlalchemy.select(notices.c.notice_id, notices.c.body).where(
        notices.c.study_id == study_id,
        notices.c.event == kind,
        notices.c.state == HELD,
        notices.c.notice_id > after,
    )
    rows = connection.execute(query.order_by(notices.c.notice_id))
    return [{**json.loads(row.body), "notice_id": row.notice_id} for row in rows]


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


def read(database: Database, study: studies.Study) -> Standing:
    """What has become of a study's messages; one that tells nobody anything is not asked for."""
    if not study.spec.notify.is_on:
        return Standing()
    return database.read(lambda connection: standing(connection, study.study_id))


def standing(connection: sqlalchemy.Connection, study_id: int) -> Standing:
    """What has become of a study's messages."""
    mine, count = notices.c.study_id == study_id, sqlalchemy.func.count()
    query = sqlalchemy.select(notices.c.state, count).where(mine).group_by(notices.c.state)
    found = {row[0]: int(row[1]) for row in connection.execute(query)}
    if not found.get(PENDING) and not found.get(UNDELIVERED):
        return Standing(found.get(SENT, 0))
    left = sqlalchemy.select(notices.c.reasons).where(mine, notices.c.state.in_([PENDING, UNDELIVERED]))
    rows = connection.execute(left.order_by(notices.c.notice_id.desc()).limit(1)).scalar()
    reasons = json.loads(rows or "{}")
    said = "; ".join(f"address {place}: {why}" for place, why in sorted(reasons.items())) or None
    return Standing(found.get(SENT, 0), found.get(PENDING, 0), found.get(UNDELIVERED, 0), said)


def carry(source: sqlalchemy.Connection, target: sqlalchemy.Connection, study_id: int, new_study: int) -> None:
    """Copies what was told of a study, so that its copy tells nothing of it again; what waits stays the original's."""
    for row in source.execute(notices.select().where(notices.c.study_id == study_id).order_by(notices.c.notice_id)):
        state = PAST if row.state in (PENDING, HELD) else row.state
        copied = {name: value for name, value in row._mapping.items() if name != "notice_id"}
        target.execute(notices.insert(), [{**copied, "study_id": new_study, "state": state, "owner": ""}])


def _notice(row: Any) -> Notice:
    delivered, reasons = json.loads(row.delivered), json.loads(row.reasons)
    return Notice(row.notice_id, row.owner, json.loads(row.body), row.tries, tuple(delivered), reasons)
