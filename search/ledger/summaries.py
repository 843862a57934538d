"""What queries on a study's trials tell: its summary, single trials, what it has cost."""

import dataclasses
import json
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

from search import words
from search.ledger import counts, coverages, excerpts, orders, retries, stops, studies
from search.storage import databases, schema, trials
from search.study import judgements


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study at one moment: counts and sums, and a few of its trials.

    Attributes:
        order: what is in force.
        states: how many trials are in a state, other tools' too.
        paused: how many of the waiting ones have paused; `pauses`: how many after each epoch.
        done: trials that used up budget: complete or pruned, and not added with their result.
        failures: failed trials that count against `max_failures`.
        seconds: training time over all trials and owners; `done_seconds`: of those that used up budget.
        running: trials that run, by number; `running_seconds`: the training time of each, by number.
        latest: of the trials that have ended, those with the highest numbers, ascending.
        best: the complete trial of the space with the best value, the first of equals.
        put_back: failed trials that were put back, with the number under which they wait, run or have ended now.
        added: how many were added with their result; `imported`: by an import; `own`: in a state, without these.
        ran: numbers of those that another tool runs now; `outside`: of its trials whose configuration is none of ours.
        is_exhausted: whether every configuration of a finite space has a trial; `is_answered`: whether each has ended.
        last_failure: the last trial whose failure counts, where more have failed than are borne.
        standing: how far it is from what ends it before its trials are used up, where anything does.
    """

    study: studies.Study
    order: orders.Order
    states: dict[TrialState, int]
    paused: int
    pauses: dict[int, int]
    done: int
    failures: int
    seconds: float
    done_seconds: float
    running: tuple[FrozenTrial, ...]
    running_seconds: dict[int, float]
    latest: tuple[FrozenTrial, ...]
    best: FrozenTrial | None
    put_back: dict[int, int]
    added: int
    ran: frozenset[int]
    outside: frozenset[int]
    is_exhausted: bool
    is_answered: bool
    last_failure: FrozenTrial | None
    standing: stops.Standing = dataclasses.field(default=stops.UNKNOWN, kw_only=True)
    imported: int = dataclasses.field(default=0, kw_only=True)
    own: dict[TrialState, int] = dataclasses.field(kw_only=True)

    @property
    def budget(self) -> int:
        """How many trials may finish."""
        return self.order.trials

    @property
    def total(self) -> int:
        """How many trials there are."""
        return sum(self.states.values())

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return self.states.get(state, 0)

    @property
    def is_at_rest(self) -> bool:
        """Whether no trial runs or waits."""
        return not self.count(TrialState.RUNNING) and not self.count(TrialState.WAITING)

    @property
    def has_failed(self) -> bool:
        """Whether no trial begins since too many have failed."""
        return self.failures > self.order.max_failures

    @property
    def reason(self) -> str | None:
        """Why the study stands still by itself, or None."""
        if self.order.reason is None and self.has_failed and self.done < self.budget:
            many = words.plural(self.failures, "trial")
            return f"{many} failed, more than max_failures = {self.order.max_failures} allows"
        return self.order.reason

    @property
    def is_out_of_hours(self) -> bool:
        """Whether the training time of `budget.hours` is used up."""
        return self.order.hours is not None and self.seconds >= 3600 * self.order.hours

    @property
    def stop(self) -> stops.Stop | None:
        """What has ended the study though its trials are not used up."""
        return self.standing.stop(self.order, stops.is_maximized(self.study))

    @property
    def seconds_left(self) -> float | None:
        """Until its deadline; None without one, or before its run has begun."""
        return self.standing.seconds_left(self.order)

    def as_json(self) -> dict[str, Any]:
        """The contract of `status --json`."""
        best, spec = self.best, self.study.spec
        return {
            "name": self.study.name,
            "state": str(self.order.state),
            "budget": self.budget,
            "budget_hours": self.order.hours,
            "training_seconds": round(self.seconds, 3),
            "done": self.done,
            "trials": {word: self.count(state) for state, word in words.STATES.items()},
            "paused": self.paused,
            "added": self.added,
            "imported": self.imported,
            "put_back": len(self.put_back),
            "failures": self.failures,
            "max_failures": self.order.max_failures,
            "reason": self.reason,
            "best": best and {"number": best.number, "value": best.value, "params": best.params},
            "evaluate_on": spec.training and spec.training.evaluate_on,
            "value": spec.training and spec.training.value,
            "caution": best and judgements.caution(spec),
        }


# what a digest leaves out
NOTHING: dict[str, Any] = {
    **{"done_seconds": 0.0, "running": (), "running_seconds": {}, "latest": (), "put_back": {}, "ran": frozenset()},
    **{"pauses": {}, "is_exhausted": False, "is_answered": False, "last_failure": None},
}


@dataclasses.dataclass(frozen=True)
class Whole(Summary):
    """The same with all trials, by number, and all that is stored of each.

    Attributes:
        paused_after: the epoch after which trials have paused that wait, by number.
    """

    trials: tuple[FrozenTrial, ...]
    paused_after: dict[int, int] = dataclasses.field(default_factory=dict)


def metric_of_trial(database: databases.Database, trial_id: int) -> str:
    """What the values of a trial measure, by Optuna's name of the metric; `value` where its study has none."""
    row = (
        sqlalchemy.select(schema.study_system_attributes.c.value_json)
        .join(schema.trials, schema.trials.c.study_id == schema.study_system_attributes.c.study_id)
        .where(schema.trials.c.trial_id == trial_id, schema.study_system_attributes.c.key == studies.METRIC_NAMES)
    )
    found = database.read(lambda connection: connection.execute(row).scalar())
    return str(json.loads(found)[0]) if found else "value"


def summary(database: databases.Database, study: studies.Study) -> Summary:
    """The study now, by a few queries, however many trials it has.

    Raises:
        errors.StudyNotFound: it was deleted.
    """
    return Summary(**database.read(lambda connection: _read(connection, study)))


def whole(database: databases.Database, study: studies.Study) -> Whole:
    """The study now with all its trials, for what goes through them one by one.

    Raises:
        errors.StudyNotFound: it was deleted.
    """

    def transaction(connection: Connection) -> dict[str, Any]:
        every = tuple(trials.read(connection, study.study_id))
        return {**_read(connection, study), "trials": every, "paused_after": _paused_after(connection, study.study_id)}

    return Whole(**database.read(transaction))


def _read(connection: Connection, study: studies.Study) -> dict[str, Any]:
    study_id, order = study.study_id, orders.read(connection, study)
    found, seconds = counts.read(connection, study_id), counts.seconds(connection, study_id)
    has_failure = bool(found.of(TrialState.FAIL))
    pauses, paused_seconds = _pauses(connection, study_id) if found.paused else ({}, 0.0)
    covered = coverages.read(connection, study, found)
    return {
        "study": study,
        "order": order,
        "standing": stops.read(connection, study, order) if order.has_any else stops.UNKNOWN,
        "states": states(connection, study_id) if found.added else found.states,
        "paused": found.paused,
        "pauses": pauses,
        "done": found.done,
        "failures": found.failures,
        "seconds": seconds.told + seconds.running,
        "done_seconds": seconds.told - paused_seconds - (_failed_seconds(connection, study_id) if has_failure else 0.0),
        "put_back": _put_back(connection, study) if has_failure else {},
        "added": found.added,
        "own": found.states,
        "imported": counts.imported(connection, study_id).get(study_id, 0) if found.added else 0,
        **{field.name: getattr(covered, field.name) for field in dataclasses.fields(covered)},
        **excerpts.shown(connection, study, covered.outside, found.failures > order.max_failures),
    }


def states(connection: Connection, study_id: int) -> dict[TrialState, int]:
    """How many trials are in a state, those that were added too: a count of the rows."""
    state = schema.trials.c.state
    query = sqlalchemy.select(state, sqlalchemy.func.count()).where(schema.trials.c.study_id == study_id)
    return {row[0]: int(row[1]) for row in connection.execute(query.group_by(state))}


def _put_back(connection: Connection, study: studies.Study) -> dict[int, int]:
    if not (again := retries.successors(connection, study)):
        return {}
    t = schema.trials.c
    failed = sqlalchemy.select(t.number).where(t.study_id == study.study_id, t.state == TrialState.FAIL)
    return {number: again[number] for number in connection.execute(failed).scalars() if number in again}


def _pauses(connection: Connection, study_id: int) -> tuple[dict[int, int], float]:
    """How many trials have paused after each epoch, and what they have cost so far."""
    c, count, seconds = schema.claims.c, sqlalchemy.func.count(), sqlalchemy.func.sum(schema.claims.c.seconds)
    query = sqlalchemy.select(c.paused, count, seconds).where(c.study_id == study_id, sqlalchemy.text(schema.PAUSED))
    rows = connection.execute(query.group_by(c.paused).order_by(c.paused)).all()
    return {row[0]: int(row[1]) for row in rows}, sum(float(row[2]) for row in rows)


def _paused_after(connection: Connection, study_id: int) -> dict[int, int]:
    t, c = schema.trials.c, schema.claims.c
    query = sqlalchemy.select(t.number, c.paused).join(schema.claims, c.trial_id == t.trial_id)
    return {
        row[0]: row[1]
        for row in connection.execute(query.where(c.study_id == study_id, sqlalchemy.text(schema.PAUSED)))
    }


def _failed_seconds(connection: Connection, study_id: int) -> float:
    t, c = schema.trials.c, schema.claims.c
    query = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(c.seconds), 0.0))
    query = query.join(schema.trials, t.trial_id == c.trial_id)
    return float(connection.execute(query.where(t.study_id == study_id, t.state == TrialState.FAIL)).scalar_one())
