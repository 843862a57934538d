"""A study in the database: created with its file and budget, found again, summed up."""

import dataclasses
import json
import uuid
from typing import Any

import sqlalchemy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc

from search import errors
from search.ledger import orders, reservations
from search.storage import histories, tables
from search.storage.store import Store
from search.study import note, study_file
from search.training import records

STUDY_FILE = "search:study_file"
METRIC_NAMES = "study:metric_names"  # Optuna's name for what study.set_metric_names stores
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclasses.dataclass(frozen=True)
class Study:
    """A study of ours: its row, and its file as it was when it was created."""

    study_id: int
    spec: study_file.StudySpec

    @property
    def name(self) -> str:
        """The study's name."""
        return self.spec.name


@dataclasses.dataclass(frozen=True)
class Summary:
    """A study at one moment.

    Attributes:
        order: what is in force.
        trials: Optuna's, by number.
        seconds: training time over all trials and owners.
        running_seconds: the same of each running trial, by number.
    """

    study: Study
    order: orders.Order
    trials: tuple[FrozenTrial, ...]
    seconds: float
    running_seconds: dict[int, float]

    @property
    def budget(self) -> int:
        """How many trials may finish."""
        return self.order.trials

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def done(self) -> int:
        """Trials that used up budget: complete or pruned."""
        return sum(trial.state in FINISHED for trial in self.trials)

    @property
    def is_exhausted(self) -> bool:
        """Whether every configuration of a finite space has been given to a trial."""
        size = self.study.spec.space.size
        if size is None:
            return False
        tried = sum(bool(t.params) and not records.repeat_of(t) for t in self.trials)
        return tried >= size

    @property
    def is_out_of_hours(self) -> bool:
        """Whether the training time of `budget.hours` is used up."""
        return self.order.hours is not None and self.seconds >= 3600 * self.order.hours

    @property
    def best(self) -> FrozenTrial | None:
        """The complete trial with the best value, the first of equals."""
        complete = [t for t in self.trials if t.state == TrialState.COMPLETE and t.value is not None]
        sign = 1 if self.study.spec.study.direction == "maximize" else -1
        return max(complete, key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)

    def as_json(self) -> dict[str, Any]:
        """The contract of `status --json`."""
        best = self.best
        states = {
            "complete": TrialState.COMPLETE,
            "pruned": TrialState.PRUNED,
            "failed": TrialState.FAIL,
            "running": TrialState.RUNNING,
            "waiting": TrialState.WAITING,
        }
        return {
            "name": self.study.name,
            "state": str(self.order.state),
            "budget": self.budget,
            "budget_hours": self.order.hours,
            "training_seconds": round(self.seconds, 3),
            "trials": {word: self.count(state) for word, state in states.items()},
            "best": best and {"number": best.number, "value": best.value, "params": best.params},
        }


def create(store: Store, spec: study_file.StudySpec) -> Study:
    """Writes a study with its file, budget and enqueued configurations, all or nothing.

    Raises:
        errors.StudyExists: the name is taken.
    """
    token = uuid.uuid4().hex

    def work(connection: sqlalchemy.Connection) -> int:
        if (known := orders.is_written(connection, token)) is not None:
            return known
        row = connection.execute(
            tables.studies.insert().values(study_name=spec.name).returning(tables.studies.c.study_id)
        )
        study_id = int(row.scalar_one())
        connection.execute(
            tables.directions.insert().values(
                study_id=study_id, objective=0, direction=StudyDirection[spec.study.direction.upper()]
            )
        )
        connection.execute(
            tables.study_attributes.insert().values(study_id=study_id, key=STUDY_FILE, value_json=json.dumps(spec.text))
        )
        system = {METRIC_NAMES: [spec.study.metric], **note.attributes(spec)}
        rows = [{"study_id": study_id, "key": key, "value_json": json.dumps(value)} for key, value in system.items()]
        connection.execute(tables.study_system_attributes.insert(), rows)
        orders.write(connection, study_id, orders.Order(spec.budget.trials, spec.budget.hours), token)
        for params in spec.enqueue:
            key = spec.space.key(params) if spec.space.is_complete(params) else None
            reservations.insert_waiting(connection, study_id, params, key)
        return study_id

    try:
        return Study(store.write(work), spec)
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {spec.name!r} exists already; `search run {spec.name}` resumes it") from error


def find(store: Store, name: str) -> Study | None:
    """The study of that name, or None.

    Raises:
        errors.InputError: a study of that name is there, but not one of ours.
    """

    def work(connection: sqlalchemy.Connection) -> tuple[int, str | None] | None:
        row = connection.execute(
            sqlalchemy.select(tables.studies.c.study_id, tables.study_attributes.c.value_json)
            .join(
                tables.study_attributes,
                sqlalchemy.and_(
                    tables.study_attributes.c.study_id == tables.studies.c.study_id,
                    tables.study_attributes.c.key == STUDY_FILE,
                ),
                isouter=True,
            )
            .where(tables.studies.c.study_name == name)
        ).first()
        return (row[0], row[1]) if row else None

    found = store.read(work)
    if found is None:
        return None
    study_id, text = found
    if text is None:
        raise errors.InputError(f"study {name!r} was not made by `search create`: it holds no study file")
    return Study(study_id, study_file.parse(json.loads(text), f"study {name!r} in the storage"))


def names(store: Store) -> list[str]:
    """The names of our studies, in the order they were created."""
    ours = (
        sqlalchemy.select(tables.studies.c.study_name)
        .join(tables.study_attributes, tables.study_attributes.c.study_id == tables.studies.c.study_id)
        .where(tables.study_attributes.c.key == STUDY_FILE)
        .order_by(tables.studies.c.study_id)
    )
    return list(store.read(lambda connection: connection.execute(ours).scalars().all()))


def metric_of_trial(store: Store, trial_id: int) -> str:
    """What the values of a trial measure, by Optuna's name of the metric; `value` where its study has none."""
    row = (
        sqlalchemy.select(tables.study_system_attributes.c.value_json)
        .join(tables.trials, tables.trials.c.study_id == tables.study_system_attributes.c.study_id)
        .where(tables.trials.c.trial_id == trial_id, tables.study_system_attributes.c.key == METRIC_NAMES)
    )
    found = store.read(lambda connection: connection.execute(row).scalar())
    return str(json.loads(found)[0]) if found else "value"


def summary(store: Store, study: Study, history: histories.History | None = None) -> Summary:
    """The study now. A history that is given is refreshed, which reads only what may have changed."""
    history = history or store.history(study.study_id)

    def work(connection: sqlalchemy.Connection) -> tuple[orders.Order, float, dict[int, float]]:
        running = sqlalchemy.select(tables.trials.c.number, tables.claims.c.seconds).where(
            tables.trials.c.trial_id == tables.claims.c.trial_id,
            tables.trials.c.study_id == study.study_id,
            tables.trials.c.state == TrialState.RUNNING,
        )
        return (
            orders.read(connection, study.study_id),
            spent_seconds(connection, study.study_id),
            {row.number: row.seconds for row in connection.execute(running)},
        )

    order, seconds, running_seconds = store.read(work)
    store.call(history.refresh)
    trials = tuple(history.get_all_trials(study.study_id, deepcopy=False))
    return Summary(study, order, trials, seconds, running_seconds)


def spent_seconds(connection: sqlalchemy.Connection, study_id: int) -> float:
    """Training time over all trials and owners, as of their last beats."""
    spent = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(tables.claims.c.seconds), 0.0))
    return float(connection.execute(spent.where(tables.claims.c.study_id == study_id)).scalar_one())
