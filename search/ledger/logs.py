"""The last of what the code of a trial of the user's own has printed, for machines that do not have its log file."""

import dataclasses
import platform

import sqlalchemy

from search.ledger import claims
from search.storage import schema, statements
from search.storage.databases import Database

HOST_CHARACTERS = 100

logs = schema.logs


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """The end of an output.

    Attributes:
        host: of the machine whose worker has all of it.
        bytes: how much there was, since that worker began.
    """

    host: str
    bytes: int
    tail: str


def save(database: Database, claim: claims.Claim, excerpt: Excerpt) -> None:
    """Puts it in place of the one before.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """

    def transaction(connection: sqlalchemy.Connection) -> None:
        claims.fence(connection, claim)
        row = {"trial_id": claim.trial_id, **dataclasses.asdict(excerpt)}
        statements.put(connection, logs, ("trial_id",), [row])

    database.write(transaction)


def find(connection: sqlalchemy.Connection, trial_id: int) -> Excerpt | None:
    """What there is of a trial's; None where it has printed nothing."""
    row = connection.execute(logs.select().where(logs.c.trial_id == trial_id)).first()
    return None if row is None else Excerpt(row.host, row.bytes, row.tail)


def look(connection: sqlalchemy.Connection, study_id: int, number: int) -> tuple[Excerpt | None, bool]:
    """The same by the trial's number, and whether the trial has not ended."""
    t = schema.trials.c
    query = sqlalchemy.select(t.trial_id, t.state).where(t.study_id == study_id, t.number == number)
    row = connection.execute(query).first()
    return (None, False) if row is None else (find(connection, row.trial_id), not row.state.is_finished())


def here() -> str:
    """How this machine is called."""
    return platform.node()[:HOST_CHARACTERS]


def is_here(excerpt: Excerpt) -> bool:
    """Whether all of it is on this machine."""
    return excerpt.host == here()
