"""A worker that is lost: it left a running trial behind, and did not end in order."""

import hashlib

import sqlalchemy

from search.ledger import counts, notices, presence, studies
from search.lines import said
from search.storage import schema
from search.words import STATES

KIND = "lost"
SHORT = 120  # characters of a worker's name
NAMED = 5  # workers


def note(connection: sqlalchemy.Connection, study: studies.Study, orphan: presence.Sighting) -> None:
    """Writes it down, under the study's lock: once for each worker, however many trials it had."""
    if (event := of(connection, study, orphan)) is not None:
        notices.add(connection, study, event, notices.HELD if is_quiet(connection, study, KIND) else notices.PENDING)


def of(connection: sqlalchemy.Connection, study: studies.Study, orphan: presence.Sighting) -> notices.Event | None:
    """The event; None where nobody is to be told, or of a trial that came without a worker, from a backup."""
    worker = orphan.worker
    if not study.spec.notify.tells(KIND) or not worker.name:
        return None
    mark = hashlib.sha256(f"{worker.name} {worker.host} {worker.pid} {worker.pid_started}".encode()).hexdigest()[:32]
    number = connection.execute(
        sqlalchemy.select(schema.trials.c.number).where(schema.trials.c.trial_id == orphan.trial_id)
    ).scalar()
    name, how = said(worker.name, SHORT), "has died" if orphan.is_dead else "has fallen silent"
    lost = f"the device of worker {name} has failed" if worker.has_left else f"worker {name} {how}"
    text = f"{study.name}: {lost}; its trial {number} goes on with the next free worker"
    facts = {"trial": number, "worker": name, "counts": counted(counts.read(connection, study.study_id))}
    return notices.Event(f"{KIND}:{mark}", KIND, text, facts)


def rest(connection: sqlalchemy.Connection, study: studies.Study) -> notices.Event | None:
    """Those that were held back since the last message, together, once it is time for another."""
    if not study.spec.notify.tells(KIND) or (
        (told := notices.last(connection, study.study_id, KIND, notices.TOLD)) is None
        or told[1] < 60 * study.spec.notify.quiet_minutes
    ):
        return None
    found = notices.held(connection, study.study_id, KIND, told[0])
    if not found:
        return None
    names = [str(each["worker"]) for each in found]
    shown = ", ".join(names[-NAMED:]) + (", ..." if len(names) > NAMED else "")
    text = f"{study.name}: {len(names)} more lost since the last message of lost workers: {shown}"
    facts = {"worker": names[-1], "counts": counted(counts.read(connection, study.study_id))}
    return notices.Event(f"{KIND}:more:{found[-1]['notice_id']}", KIND, text, facts)


def is_quiet(
    connection: sqlalchemy.Connection, study: studies.Study, kind: str, states: tuple[str, ...] = notices.TOLD
) -> bool:
    """Whether the last message of an event is too fresh for another."""
    last = notices.last(connection, study.study_id, kind, states)
    return last is not None and last[1] < 60 * study.spec.notify.quiet_minutes


def counted(found: counts.Counts) -> dict[str, int]:
    """How many trials are in each state, as a message says it."""
    return {word: found.of(state) for state, word in STATES.items()}
