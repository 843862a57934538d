"""What queries on a study's trials tell: its summary, one trial, what it has cost."""

import dataclasses
import functools
import json
import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search import errors, words
from search.ledger import counts, orders, studies
from search.storage import histories, schema, statements
from search.storage.databases import Database
from search.study import pruners
from search.training import records


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study at one moment.

    Attributes:
        order: what is in force.
        trials: Optuna's, by number.
        seconds: training time over all trials and owners.
        running_seconds: the same of each running trial, by number.
        excused: numbers of failed trials that count against no limit.
        added: of trials that another tool added with their result; `ran`: of those that one ran, or runs.
    """

    study: studies.Study
    order: orders.Order
    trials: tuple[FrozenTrial, ...]
    seconds: float
    running_seconds: dict[int, float]
    excused: frozenset[int] = frozenset()
    added: frozenset[int] = frozenset()
    ran: frozenset[int] = frozenset()

    @property
    def budget(self) -> int:
        """How many trials may finish."""
        return self.order.trials

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def done(self) -> int:
        """Trials that used up budget: complete or pruned, and not added with their result."""
        return sum(trial.state in counts.COUNTED and trial.number not in self.added for trial in self.trials)

    @property
    def failures(self) -> int:
        """Failed trials that count against `max_failures`."""
        return sum(t.state == TrialState.FAIL and t.number not in self.excused | self.added for t in self.trials)

    @functools.cached_property
    def put_back(self) -> dict[int, int]:
        """Failed trials that were put back, with the number under which they wait, run or have ended now."""
        again = {old: t.number for t in self.trials if (old := records.retried_of(t)) is not None}
        return {t.number: again[t.number] for t in self.trials if t.state == TrialState.FAIL and t.number in again}

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

    @functools.cached_property
    def outside(self) -> frozenset[int]:
        """Numbers of other tools' trials whose configuration is none of the space."""
        foreign = (t for t in self.trials if t.number in self.added | self.ran and t.state in counts.COUNTED)
        return frozenset(t.number for t in foreign if not self.study.spec.space.holds(t.params))

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration of a finite space has been given to a trial."""
        return self._has_all([t for t in self.trials if t.params and t.number not in self.put_back])

    @property
    def is_answered(self) -> bool:
        """Whether every configuration of a finite space has a result: a trial that is complete or pruned."""
        return self._has_all([t for t in self.trials if t.state in counts.COUNTED])

    def _has_all(self, trials: Sequence[FrozenTrial]) -> bool:
        tree = self.study.spec.space
        size = tree.size
        if size is None or len(trials) < size:
            return False
        own = (t.params for t in trials if not records.repeat_of(t) and t.number not in self.outside)
        return len({tree.key(params) for params in own if tree.holds(params)}) >= size

    @property
    def is_out_of_hours(self) -> bool:
        """Whether the training time of `budget.hours` is used up."""
        return self.order.hours is not None and self.seconds >= 3600 * self.order.hours

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial of the space with the best value, the first of equals."""
        complete = [t for t in self.trials if t.state == TrialState.COMPLETE and t.number not in self.outside]
        sign = 1 if self.study.spec.study.direction == "maximize" else -1
        ranked = [(sign * t.value, -t.number, t) for t in complete if t.value is not None and not math.isnan(t.value)]
        return max(ranked)[2] if ranked else None

    def as_json(self) -> dict[str, Any]:
        """The contract of `status --json`."""
        best = self.best
        return {
            "name": self.study.name,
            "state": str(self.order.state),
            "budget": self.budget,
            "budget_hours": self.order.hours,
            "training_seconds": round(self.seconds, 3),
            "done": self.done,
            "trials": {word: self.count(state) for state, word in words.STATES.items()},
            "added": len(self.added),
            "put_back": len(self.put_back),
            "failures": self.failures,
            "max_failures": self.order.max_failures,
            "reason": self.reason,
            "best": best and {"number": best.number, "value": best.value, "params": best.params},
        }


def metric_of_trial(database: Database, trial_id: int) -> str:
    """What the values of a trial measure, by Optuna's name of the metric; `value` where its study has none."""
    row = (
        sqlalchemy.select(schema.study_system_attributes.c.value_json)
        .join(schema.trials, schema.trials.c.study_id == schema.study_system_attributes.c.study_id)
        .where(schema.trials.c.trial_id == trial_id, schema.study_system_attributes.c.key == studies.METRIC_NAMES)
    )
    found = database.read(lambda connection: connection.execute(row).scalar())
    return str(json.loads(found)[0]) if found else "value"


def summary(database: Database, study: studies.Study, history: histories.History | None = None) -> Summary:
    """The study now. A history that is given is refreshed, which reads only what may have changed."""
    history = history or database.history(study.study_id)

    def transaction(connection: sqlalchemy.Connection) -> dict[str, Any]:
        mine = schema.trials.c.study_id == study.study_id
        join = schema.trials.join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id, isouter=True)
        columns = (schema.trials.c.number, schema.claims.c.seconds, schema.claims.c.owner)
        running = connection.execute(
            sqlalchemy.select(*columns).select_from(join).where(mine, schema.trials.c.state == TrialState.RUNNING)
        ).all()
        no_fault = sqlalchemy.or_(schema.claims.c.told.is_not(True), schema.claims.c.excused)  # see `failures`
        excused = sqlalchemy.select(schema.trials.c.number).select_from(join)
        foreign = connection.execute(
            sqlalchemy.select(schema.trials.c.number, schema.added.c.ran)
            .join(schema.added, schema.added.c.trial_id == schema.trials.c.trial_id)
            .where(mine)
        ).all()
        return {
            "order": orders.read(connection, study),
            "seconds": spent_seconds(connection, study.study_id),
            "running_seconds": {row.number: row.seconds for row in running if row.owner},
            "excused": frozenset(
                connection.execute(excused.where(mine, schema.trials.c.state == TrialState.FAIL, no_fault)).scalars()
            ),
            "added": frozenset(row.number for row in foreign if not row.ran),
            "ran": frozenset([row.number for row in foreign if row.ran] + [r.number for r in running if not r.owner]),
        }

    try:
        # first: while the token is there that is looked for next, all that was read under the id is this study's
        database.call(history.refresh)
    except KeyError:  # Optuna's word for a study that is gone, among others
        database.read(transaction)
        raise
    found = database.read(transaction)
    return Summary(study, trials=tuple(history.get_all_trials(study.study_id, deepcopy=False)), **found)


def spent_seconds(connection: sqlalchemy.Connection, study_id: int) -> float:
    """Training time over all trials and owners, as of their last beats."""
    spent = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(schema.claims.c.seconds), 0.0))
    return float(connection.execute(spent.where(schema.claims.c.study_id == study_id)).scalar_one())


def others(connection: sqlalchemy.Connection, study_id: int, trial_id: int, step: int) -> list[pruners.Other]:
    """What the other trials of a study have stored at a step; a waiting trial's will be trained again."""
    rows = connection.execute(
        sqlalchemy.select(
            schema.trials.c.number,
            schema.trials.c.state,
            schema.steps.c.intermediate_value,
            schema.steps.c.intermediate_value_type,
        )
        .join(schema.steps, schema.steps.c.trial_id == schema.trials.c.trial_id)
        .where(
            schema.trials.c.study_id == study_id,
            schema.trials.c.trial_id != trial_id,
            schema.trials.c.state != TrialState.WAITING,
            schema.steps.c.step == step,
        )
    )
    return [pruners.Other(row[0], row[1], statements.stored_step_value(row[2], row[3])) for row in rows]


def load_trial(database: Database, study: studies.Study, number: int) -> FrozenTrial:
    """A trial of a study by its number.

    Raises:
        errors.InputError: there is none.
    """
    trials = summary(database, study).trials
    if not 0 <= number < len(trials):
        raise errors.InputError(f"study {study.name!r} has {len(trials)} trials, numbered from 0, got {number}")
    return trials[number]


@dataclasses.dataclass(frozen=True)
class Work:
    """What a study's claims add up to."""

    epochs: int
    adoptions: int


def work_done(database: Database, study_id: int) -> Work:
    """Over all trials and owners."""
    claims = schema.claims
    sums = [sqlalchemy.func.coalesce(sqlalchemy.func.sum(claims.c[name]), 0) for name in ("reached", "adoptions")]
    row = database.read(
        lambda connection: connection.execute(sqlalchemy.select(*sums).where(claims.c.study_id == study_id)).one()
    )
    return Work(*map(int, row))
