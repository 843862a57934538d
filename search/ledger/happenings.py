"""What has happened in a study that people are to be told of, found by one observer of many, and written down once.

All but a stall is a question to the counts that the database keeps; a stall is what this observer has seen unchanged
for so long, without losing the database meanwhile: clocks of different machines are not compared.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import (
    adoptions,
    allocations,
    counts,
    losses,
    notices,
    orders,
    presence,
    rosters,
    stops,
    studies,
)
from search.ledger.allocations import NoTrial
from search.lines import said
from search.storage import addresses, schema, statements
from search.storage.databases import Database
from search.training import records
from search.words import metric, plural

SHORT = 300  # characters of a reason
# what has ended a study, in a word of the message
WORDS = {
    NoTrial.FINISHED: "trials",
    NoTrial.HOURS: "hours",
    NoTrial.EXHAUSTED: "space",
    NoTrial.FAILURES: "failures",
    **{NoTrial[stop.name]: str(stop) for stop in stops.Stop},
}
Found = tuple[notices.Event, str]


class Watch:
    """One observer's eye on a study; any number may look at it."""

    def __init__(self) -> None:
        self._beats, self._mark, self._since = presence.Watch(), "", 0.0
        self._interruptions = 0

    def look(self, database: Database, study: studies.Study) -> None:
        """Writes down what is new.

        Raises:
            errors.StudyNotFound: the study was deleted.
        """

        def transaction(connection: sqlalchemy.Connection) -> None:
            statements.lock_study(connection, study)
            for event, state in self._new(connection, study, database.interruptions):
                notices.add(connection, study, event, state)

        # most looks find nothing, and lock nothing
        if database.read(lambda connection: self._new(connection, study, database.interruptions)):
            database.write(transaction)

    def _new(self, connection: sqlalchemy.Connection, study: studies.Study, interruptions: int) -> list[Found]:
        found = list(self._all(connection, study, interruptions))
        known = notices.known(connection, study.study_id, [event.key for event, _ in found]) if found else set()
        return [each for each in found if each[0].key not in known]

    def _all(self, connection: sqlalchemy.Connection, study: studies.Study, interruptions: int) -> Iterator[Found]:
        order, found = orders.read(connection, study), counts.read(connection, study.study_id)
        standing = stops.read(connection, study, order, is_counted=False)
        why = ended(connection, study, order, found, standing)
        if why is not None:
            yield from _finished(connection, study, order, found, standing, why)
        elif study.spec.notify.tells("best"):
            yield from _best(connection, study, standing, found)
        if study.spec.notify.tells("failed") and found.of(TrialState.FAIL):
            yield from _failed(connection, study, found)
        yield from self._lost(connection, study, found, interruptions)
        is_under_way = why is None and order.state is orders.StudyState.ACTIVE and found.total > 0
        yield from self._stalled(connection, study, found, is_under_way, interruptions)

    def _lost(
        self, connection: sqlalchemy.Connection, study: studies.Study, found: counts.Counts, interruptions: int
    ) -> Iterator[Found]:
        """Workers whose trials nobody has adopted yet."""
        if not study.spec.notify.tells(losses.KIND):
            return
        running = adoptions.running(connection, study.study_id) if found.of(TrialState.RUNNING) else []
        for orphan in self._beats.look(running, time.monotonic(), interruptions):
            if (event := losses.of(connection, study, orphan)) is not None:
                yield event, notices.HELD if losses.is_quiet(connection, study, losses.KIND) else notices.PENDING
        if (rest := losses.rest(connection, study)) is not None:
            yield rest, notices.PENDING

    def _stalled(
        self,
        connection: sqlalchemy.Connection,
        study: studies.Study,
        found: counts.Counts,
        is_under_way: bool,
        interruptions: int,
    ) -> Iterator[Found]:
        now, notify = time.monotonic(), study.spec.notify
        mark = progress(connection, study.study_id, found) if notify.tells("stalled") and is_under_way else ""
        if mark != self._mark or interruptions != self._interruptions:
            self._mark, self._since, self._interruptions = mark, now, interruptions
        if not mark or now - self._since < 60 * notify.stalled_minutes:
            return
        crew = rosters.look(connection, study.study_id)
        who = f"{plural(len(crew.members), 'worker')} alive" if crew.members else "no worker is alive"
        running = found.of(TrialState.RUNNING)
        text = f"{study.name}: stalled: no progress for {notify.stalled_minutes:g} minutes; {who}, {running} running"
        facts = {"reason": said(who), "counts": losses.counted(found)}
        yield notices.Event(f"stalled:{mark}", "stalled", text, facts), notices.PENDING


def begin(connection: sqlalchemy.Connection, before: studies.Study, after: studies.Study) -> None:
    """Of a study whose file tells more events from now on: what was so before is no news."""
    for event, _ in Watch()._new(connection, after, 0):
        if not before.spec.notify.tells(event.kind):
            notices.add(connection, after, event, notices.PAST)


def ended(
    connection: sqlalchemy.Connection,
    study: studies.Study,
    order: orders.Order,
    found: counts.Counts,
    standing: stops.Standing,
) -> NoTrial | None:
    """What has ended a study, as a claim would say it; None where a trial runs, or somebody has stopped it."""
    if order.state is not orders.StudyState.ACTIVE:
        return NoTrial.FAILURES if order.reason is not None else None
    if found.of(TrialState.RUNNING) or found.paused:  # what has paused ends with the next claim
        return None
    if found.done >= order.trials:
        return NoTrial.FINISHED
    if found.failures > order.max_failures:
        return NoTrial.FAILURES
    if order.hours is not None and counts.spent_seconds(connection, study.study_id) >= 3600 * order.hours:
        return NoTrial.HOURS
    if (stop := standing.stop(order, stops.is_maximized(study))) is not None:
        return NoTrial[stop.name]
    if not found.of(TrialState.WAITING) and allocations.is_exhausted(connection, study, found):
        return NoTrial.EXHAUSTED
    return None


def progress(connection: sqlalchemy.Connection, study_id: int, found: counts.Counts) -> str:
    """A word that is another one once a trial has ended, got further than ever, or printed something."""
    c, total = schema.claims.c, sqlalchemy.func.sum
    both = schema.claims.join(schema.logs, schema.logs.c.trial_id == c.trial_id, isouter=True)
    query = sqlalchemy.select(total(c.reached), total(schema.logs.c.bytes)).select_from(both)
    under_way = connection.execute(query.where(c.study_id == study_id, sqlalchemy.text(schema.OPEN))).one()
    mark = [*(found.of(state) for state in counts.ENDED), found.paused, *under_way]
    return hashlib.sha256(repr(mark).encode()).hexdigest()[:32]


def _finished(
    connection: sqlalchemy.Connection,
    study: studies.Study,
    order: orders.Order,
    found: counts.Counts,
    standing: stops.Standing,
    why: NoTrial,
) -> Iterator[Found]:
    """Its end, once for each number of trials that it has come to: an extension leads to another."""
    # an end by failures is no success: who has asked for failures alone hears of it, too
    notify, kind = study.spec.notify, "finished"
    if why is NoTrial.FAILURES and notify.tells("failed"):
        kind = "failed"
    if not notify.tells(kind):
        return
    best, facts = "no trial is complete", dict[str, Any]()
    if standing.trial is not None:
        facts = _trial(connection, standing)
        best = f"best: trial {facts['trial']}, {_metric(study)} {metric(standing.best)}"
    text = f"{study.name}: {'ended' if kind == 'failed' else 'finished'}: {order.reason or why.value}; {best}"
    key = f"ended:{order.wakings}:{found.done}:{found.of(TrialState.FAIL)}"
    more = {"reason": WORDS[why], "counts": losses.counted(found)}
    yield notices.Event(key, kind, addresses.scrub(said(text, 2 * SHORT)), {**facts, **more}), notices.PENDING


def _best(
    connection: sqlalchemy.Connection, study: studies.Study, standing: stops.Standing, found: counts.Counts
) -> Iterator[Found]:
    """The best trial there is, now and then; the first there ever was is no improvement, and begins the quiet."""
    if standing.trial is None:
        return
    states = (*notices.TOLD, notices.PAST)
    if losses.is_quiet(connection, study, "best", states):
        return
    is_first = notices.last(connection, study.study_id, "best", states) is None
    facts = _trial(connection, standing)
    text = f"{study.name}: new best: trial {facts['trial']}, {_metric(study)} {metric(standing.best)}"
    event = notices.Event(f"best:{facts['trial']}", "best", text, {**facts, "counts": losses.counted(found)})
    yield event, notices.PAST if is_first and study.spec.notify.quiet_minutes else notices.PENDING


def _failed(connection: sqlalchemy.Connection, study: studies.Study, found: counts.Counts) -> Iterator[Found]:
    if losses.is_quiet(connection, study, "failed"):
        return
    t, many = schema.trials.c, found.of(TrialState.FAIL)
    reason = sqlalchemy.select(schema.attributes.c.value_json).where(
        schema.attributes.c.trial_id == t.trial_id, schema.attributes.c.key == records.REASON.name
    )
    last = sqlalchemy.select(t.number, reason.scalar_subquery().label("reason"))
    last = last.where(t.study_id == study.study_id, t.state == TrialState.FAIL).order_by(t.trial_id.desc()).limit(1)
    row = connection.execute(last).first()
    if row is None:  # another tool has just put it back
        return
    why = addresses.scrub(said(str(json.loads(row.reason or '""') or "no reason given"), SHORT))
    text = f"{study.name}: {plural(many, 'trial')} failed so far; trial {row.number}: {why}"
    facts = {"trial": row.number, "reason": why, "counts": losses.counted(found)}
    yield notices.Event(f"failed:{many}", "failed", text, facts), notices.PENDING


def _trial(connection: sqlalchemy.Connection, standing: stops.Standing) -> dict[str, Any]:
    """The best trial, as a message has it."""
    number = sqlalchemy.select(schema.trials.c.number).where(schema.trials.c.trial_id == standing.trial)
    params = statements.read_params(connection, standing.trial or 0)
    finite = {name: _plain(value) for name, value in params.items()}
    return {"trial": connection.execute(number).scalar(), "value": _plain(standing.best), "params": finite}


def _plain(value: Any) -> Any:
    """What JSON has no number for, as a word."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _metric(study: studies.Study) -> str:
    return said(study.spec.study.metric, 100)
