"""A study in the database: created with its file and budget, found again, enqueued into, summed up."""

import dataclasses
import itertools
import json
import uuid
from typing import Any

import sqlalchemy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc

from search import errors, orders, space, study_file, tables
from search.store import Store

STUDY_FILE = "search:study_file"
METRIC_NAMES = "study:metric_names"  # Optuna's name for what study.set_metric_names stores
FIXED_PARAMS = "fixed_params"  # Optuna's name for what study.enqueue_trial stores
REPEAT = "repeat"  # user attribute of a trial with a training seed of its own
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
        connection.execute(
            tables.study_system_attributes.insert().values(
                study_id=study_id, key=METRIC_NAMES, value_json=json.dumps([spec.study.metric])
            )
        )
        orders.write(connection, study_id, orders.Order(spec.budget.trials, spec.budget.hours), token)
        for params in spec.enqueue:
            _insert_waiting(connection, study_id, spec.space, params, request=None)
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


def enqueue(store: Store, study: Study, params: space.Params) -> int:
    """Queues a configuration, whole or partial, to be tried next; returns the trial's number.

    Args:
        params: what `Space.trim` kept.

    Raises:
        errors.DuplicateConfiguration: a trial of the study has this configuration already.
    """
    request = uuid.uuid4().hex

    def work(connection: sqlalchemy.Connection) -> int:
        tables.lock_study(connection, study.study_id)
        number = (
            sqlalchemy.select(tables.trials.c.number)
            .join(tables.claims, tables.claims.c.trial_id == tables.trials.c.trial_id)
            .where(tables.claims.c.study_id == study.study_id)
        )
        if (known := connection.execute(number.where(tables.claims.c.request == request)).scalar()) is not None:
            return int(known)
        key = study.spec.space.key(params)
        if (other := connection.execute(number.where(tables.claims.c.config == key)).scalar()) is not None:
            raise errors.DuplicateConfiguration(
                f"study {study.name!r}: trial {other} has this configuration already: {params}"
            )
        return _insert_waiting(connection, study.study_id, study.spec.space, params, request)

    try:
        return store.write(work)
    except exc.IntegrityError:  # a running trial reserved it in this moment; now it is there to be named
        return store.write(work)


def repeat(store: Store, study: Study, params: space.Params, count: int) -> list[int]:
    """Queues a configuration `count` times, with training seeds that no trial of it has had; returns the numbers.

    Raises:
        errors.InputError: the configuration is not whole.
    """
    tree = study.spec.space
    if not tree.is_complete(params):
        missing = [p.name for p in tree.parameters if p.exists(params) and p.name not in params]
        raise errors.InputError(f"study {study.name!r}: a repeat needs a whole configuration, {missing} is not given")
    request = uuid.uuid4().hex

    def work(connection: sqlalchemy.Connection) -> list[int]:
        tables.lock_study(connection, study.study_id)
        known = (
            sqlalchemy.select(tables.trials.c.number)
            .join(tables.claims, tables.claims.c.trial_id == tables.trials.c.trial_id)
            .where(tables.claims.c.study_id == study.study_id, tables.claims.c.request == request)
            .order_by(tables.trials.c.number)
        )
        if numbers := list(connection.execute(known).scalars()):
            return numbers
        keys = set(
            connection.execute(
                sqlalchemy.select(tables.claims.c.config).where(tables.claims.c.study_id == study.study_id)
            ).scalars()
        )
        free = (number for number in itertools.count() if tree.key(params, number) not in keys)
        return [
            _insert_waiting(connection, study.study_id, tree, params, request, number)
            for number in itertools.islice(free, count)
        ]

    try:
        return store.write(work)
    except exc.IntegrityError:  # a running trial reserved one in this moment
        return store.write(work)


def summary(store: Store, study: Study, history: tables.History | None = None) -> Summary:
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


def _insert_waiting(
    connection: sqlalchemy.Connection,
    study_id: int,
    tree: space.Space,
    params: space.Params,
    request: str | None,
    repeat: int = 0,
) -> int:
    trial_id, number = tables.insert_trial(connection, study_id, TrialState.WAITING, start=None)
    connection.execute(
        tables.system_attributes.insert().values(trial_id=trial_id, key=FIXED_PARAMS, value_json=json.dumps(params))
    )
    connection.execute(
        tables.claims.insert().values(
            trial_id=trial_id,
            study_id=study_id,
            request=request,
            config=tree.key(params, repeat) if tree.is_complete(params) else None,
            repeat=repeat,
        )
    )
    if repeat:
        tables.put_attributes(connection, trial_id, {REPEAT: repeat})
    return number
