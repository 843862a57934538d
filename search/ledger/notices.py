"""What people are told of a study: an outbox, in which each event stands once, whoever noticed it; see `dispatches`."""

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy

from search.ledger import studies
from search.lines import said
from search.storage import outboxes, statements
from search.storage.databases import Database

notices = outboxes.notices

PENDING, SENT, UNDELIVERED = "pending", "sent", "undelivered"
HELD = "held"  # told together with others, in the next message of its event
PAST = "past"  # was so before anybody was to be told, or was told of the study that this one is a copy of
LONGEST = 1_000  # characters of a line
TOLD = (PENDING, SENT, UNDELIVERED)
FACTS = ("trial", "value", "params", "worker", "reason", "counts")  # null where an event has none


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
        "text": said(event.text, LONGEST),
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
