"""Hands out exactly the budget, one live owner per trial.

The budget is a count of Optuna's own rows, which the database keeps (`counts`), read under the study's lock (on SQLite
BEGIN IMMEDIATE). It may be run twice, since an answer can be lost: the caller makes the owner token, once.
"""

import dataclasses
import enum
import itertools
import time
import uuid
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import (
    abilities,
    accounts,
    adoptions,
    claims,
    closings,
    counts,
    failures,
    foreign,
    latest,
    orders,
    pauses,
    presence,
    stops,
    studies,
    turns,
)
from search.storage import requests, schema, statements
from search.storage.databases import Database


class NoTrial(enum.Enum):
    """Why there is no trial to take."""

    WAIT = "the budget is given out and others still run"
    ENGINE = "what is left was begun with an engine that others have; it begins anew once they are gone"
    FINISHED = "the budget is used up"
    EXHAUSTED = "every configuration of the space has been tried"
    FAILURES = "more trials failed than max_failures allows"
    ALONE = "the trials of this worker fail while those of others do not"
    HOURS = "the training time of budget.hours is used up"
    TARGET = "a trial has reached budget.target"
    PATIENCE = "as many trials as budget.patience have finished without improvement"
    REGRET = "the best trial is within budget.regret of the best there is, by the sampler's model"
    DEADLINE = "budget.deadline has passed"
    PAUSED = "the study is paused"
    STOPPED = "the study was stopped"


Found = claims.Claim | adoptions.Taken | NoTrial
USED_UP = (NoTrial.FINISHED, NoTrial.EXHAUSTED)
VERDICTS = {
    failures.Verdict.WAIT: NoTrial.WAIT,
    failures.Verdict.TOO_MANY: NoTrial.FAILURES,
    failures.Verdict.STOPPED: NoTrial.STOPPED,
    failures.Verdict.ALONE: NoTrial.ALONE,
}


def take(
    database: Database,
    study: studies.Study,
    worker: presence.Identity,
    watch: presence.Watch,
    own: Collection[str] = (),
    wish: pauses.Wish | None = None,
    bound: stops.Bound | None = None,
    able: abilities.Ability = abilities.ANY,
) -> claims.Claim | NoTrial:
    """The next trial for this worker: an orphan, one to promote, a waiting one, or a new one; or why there is none.

    Args:
        own: owner tokens of the trials that this worker trains already, which are no orphans while it looks.
        wish: which paused trials its sampler would promote; None where successive halving decides.
        bound: what the model of this worker's sampler says of the regret, where it has one.
        able: which trials it can go on with.
    """
    owner, tries = uuid.uuid4().hex, itertools.count()

    def transaction(connection: sqlalchemy.Connection) -> tuple[Found, float | None]:
        # before the lock: there may be a thousand, and who adopts one makes sure that nothing has changed
        seen = adoptions.running(connection, study.study_id, own)
        orphans = watch.look(seen, time.monotonic(), database.interruptions)
        account = accounts.lock(connection, study, worker.name)
        order = stops.note_bound(connection, study, account.order, bound)
        mine = sqlalchemy.select(schema.claims.c.trial_id).where(schema.claims.c.owner == owner)
        if next(tries) and (unheard := connection.execute(mine).scalar()) is not None:
            found: Found = adoptions.Taken(unheard, "answer lost")
        else:
            sign = _signature(worker) | {"owner": owner, "grace_seconds": watch.grace_seconds}
            asked = turns.Turns(connection, study, worker.machine, wish, able)
            found = _Asked(connection, study, order, account, worker, sign, asked).answer(orphans)
        if not isinstance(found, NoTrial):
            stops.note_begin(connection, study, order)
        return found, order.epoch_seconds

    found, epoch_seconds = database.write(transaction)
    if isinstance(found, adoptions.Taken):
        found = adoptions.take_up(database, study, found, owner, able)
    return found if isinstance(found, NoTrial) else dataclasses.replace(found, epoch_seconds=epoch_seconds)


def _signature(worker: presence.Identity) -> dict[str, Any]:
    return {"worker": worker.name, "host": worker.host, "pid": worker.pid, "pid_started": worker.pid_started}


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A worker's request, under the study's lock; `sign` is what its claim carries."""

    connection: sqlalchemy.Connection
    study: studies.Study
    order: orders.Order
    account: accounts.Account
    worker: presence.Identity
    sign: dict[str, Any]
    turns: turns.Turns

    def answer(self, orphans: Iterable[presence.Sighting]) -> Found:
        """An orphan first, then what the budget has room for; what it could not finish is left to others."""
        found = self._answer(orphans)
        ends = found in (NoTrial.WAIT, NoTrial.FAILURES, *USED_UP)
        return NoTrial.ENGINE if ends and self.turns.passed else found

    def _answer(self, orphans: Iterable[presence.Sighting]) -> Found:
        if self.order.state is not orders.StudyState.ACTIVE:
            return NoTrial.PAUSED if self.order.state is orders.StudyState.PAUSED else NoTrial.STOPPED
        found, signs, verdict = self.account.counts, self.account.signs, None
        if found.rows > counts.FOLDED:
            counts.fold(self.connection, self.study.study_id)
        if found.of(TrialState.FAIL):
            if signs.suspected and failures.excuse_lone(self.connection, self.study):
                found = counts.read(self.connection, self.study.study_id)
                signs = latest.read(self.connection, self.study.study_id, self.worker.name)
            judged = failures.judge(self.connection, self.study, self.order, signs, found.failures)
            verdict = None if judged is None else VERDICTS[judged]
        if verdict in (NoTrial.ALONE, NoTrial.STOPPED):
            return verdict
        for orphan in orphans:
            if not self.turns.takes(orphan.backend):
                continue
            if adopted := adoptions.adopt(self.connection, self.study, orphan, self.sign):
                return adopted
            found = counts.read(self.connection, self.study.study_id)  # it may have failed
        return verdict or self._within_budget(found)

    def _within_budget(self, found: counts.Counts) -> Found:
        """A waiting trial or a new one, where the budget has room for it."""
        if found.unknown:
            foreign.reserve(self.connection, self.study)
            found = counts.read(self.connection, self.study.study_id)
        budget, hours = self.order.trials, self.order.hours
        running, waiting = found.of(TrialState.RUNNING), found.of(TrialState.WAITING)
        if hours is not None and counts.spent_seconds(self.connection, self.study.study_id) >= 3600 * hours:
            return NoTrial.WAIT if running else self._end(found, NoTrial.HOURS)
        if (stop := stops.reached(self.connection, self.study, self.order)) is not None:
            return NoTrial.WAIT if running else self._end(found, NoTrial[stop.name])
        has_room = found.done + running < budget
        if waiting and has_room and (claim := self._dequeue(found)) is not None:
            return claim
        why = NoTrial.FINISHED
        if found.done + running + waiting < budget:
            if not is_exhausted(self.connection, self.study, found):
                return self._create()
            why = NoTrial.EXHAUSTED
        if found.paused and has_room and (claim := self._go_on(found)) is not None:
            return claim
        return NoTrial.WAIT if running else self._end(found, why)

    def _dequeue(self, found: counts.Counts) -> adoptions.Taken | None:
        """A paused trial that is to go on, or one that waits otherwise."""
        if found.paused:
            promoted = self.turns.promoted()
            if promoted is not None and (claim := self._start(promoted, "promoted")) is not None:
                return claim
            if found.of(TrialState.WAITING) <= found.paused:
                return None
        first = self.turns.waiting()
        return None if first is None else self._start(first, "waiting")

    def _go_on(self, found: counts.Counts) -> adoptions.Taken | None:
        """A paused trial where nothing new can begin."""
        chosen = self.turns.left(not found.of(TrialState.RUNNING) and not found.of(TrialState.COMPLETE))
        return None if chosen is None else self._start(chosen, "promoted")

    def _end(self, found: counts.Counts, why: NoTrial) -> NoTrial:
        """What has paused ends with the study, unless it is for others to go on with."""
        if found.paused and not self.turns.passed:
            ranked = None if self.turns.wish is None else "the sampler expected more of others"
            reason = ranked if why in (NoTrial.FINISHED, NoTrial.EXHAUSTED) else why.value
            closings.tell(self.connection, self.study, self.worker.name, reason)
        return why

    def _start(self, trial_id: int, how: str) -> adoptions.Taken | None:
        """A waiting trial, unless a plain Optuna worker pops it in this moment, without the study's lock."""
        moved = self.connection.execute(
            schema.trials.update()
            .where(schema.trials.c.trial_id == trial_id, schema.trials.c.state == TrialState.WAITING)
            .values(state=TrialState.RUNNING, datetime_start=statements.now())
        )
        if moved.rowcount != 1:
            return None
        adoptions.ensure_row(self.connection, self.study.study_id, trial_id)
        self.connection.execute(
            schema.claims.update()
            .where(schema.claims.c.trial_id == trial_id)
            .values(generation=schema.claims.c.generation + 1, **self.sign)
        )
        return adoptions.Taken(trial_id, how)

    def _create(self) -> claims.Claim:
        study_id, last = self.study.study_id, self.account.last_number
        number = 0 if last is None else last + 1
        trial_id = requests.insert_claimed(self.connection, study_id, number, {"generation": 1, **self.sign})
        return claims.Claim(study_id, trial_id, number, self.sign["owner"], 1, {}, {}, 0.0, "created")


def is_exhausted(connection: sqlalchemy.Connection, study: studies.Study, found: counts.Counts) -> bool:
    """Whether a finite space has no configuration left."""
    size = study.spec.space.size
    if size is None or found.configs + found.of(TrialState.RUNNING) + found.of(TrialState.WAITING) < size:
        return False
    # one that runs or waits without a configuration yet will take one; a FAIL without one never will
    undecided = (
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(
            schema.trials.join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id, isouter=True)
        )
        .where(
            schema.trials.c.study_id == study.study_id,
            sqlalchemy.func.coalesce(schema.claims.c.repeat, 0) == 0,
            schema.claims.c.config.is_(None),
            schema.trials.c.state.in_([TrialState.RUNNING, TrialState.WAITING]),
        )
        .scalar_subquery()
    )
    # in one statement: a trial is given its configuration without the study's lock, and would be in neither count
    decided = sqlalchemy.select(sqlalchemy.func.sum(schema.counts.c.configs)).where(
        schema.counts.c.study_id == study.study_id
    )
    row = connection.execute(sqlalchemy.select(undecided, decided.scalar_subquery())).one()
    return int(row[0]) + int(row[1] or 0) >= size
