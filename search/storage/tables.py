"""Four tables of ours beside Optuna's, and the handles on Optuna's own: all of its private API that we touch is here.

Optuna's tables hold what every Optuna tool reads. `search_claims` holds who owns a trial, `search_orders` what a
study may do, `search_workers` who works on it, `search_checkpoints` how far a trial has trained. All vanish with the
study, whichever tool deletes it.
"""

import datetime
import json
from collections.abc import Container
from typing import Any

import optuna
import sqlalchemy
from optuna import distributions
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite

from search import errors
from search.space import space

studies = models.StudyModel.__table__
directions = models.StudyDirectionModel.__table__
study_attributes = models.StudyUserAttributeModel.__table__
study_system_attributes = models.StudySystemAttributeModel.__table__
trials = models.TrialModel.__table__
params = models.TrialParamModel.__table__
values = models.TrialValueModel.__table__
steps = models.TrialIntermediateValueModel.__table__
attributes = models.TrialUserAttributeModel.__table__
system_attributes = models.TrialSystemAttributeModel.__table__

ours = sqlalchemy.MetaData()
CachedStorage = _CachedStorage
UPSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
DELETED = "the study was deleted while this process worked on it; nothing more is done"


def _study_id() -> sqlalchemy.Column[int]:
    return sqlalchemy.Column("study_id", sqlalchemy.ForeignKey(studies.c.study_id, ondelete="CASCADE"), nullable=False)


claims = sqlalchemy.Table(
    "search_claims",
    ours,
    sqlalchemy.Column(
        "trial_id", sqlalchemy.ForeignKey(trials.c.trial_id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    _study_id(),
    # the reservation of a configuration and repeat: NULL until it is sampled
    sqlalchemy.Column("config", sqlalchemy.String(space.KEY_CHARACTERS)),
    # which training seed: 0 is the study's own, others are asked for
    sqlalchemy.Column("repeat", sqlalchemy.Integer, nullable=False, default=0),
    # the request that enqueued the trial, so that its repetition is noticed
    sqlalchemy.Column("request", sqlalchemy.String(40), index=True),
    # token of the claim; empty while nobody owns the trial
    sqlalchemy.Column("owner", sqlalchemy.String(40), nullable=False, default="", index=True),
    sqlalchemy.Column("generation", sqlalchemy.Integer, nullable=False, default=0),
    # a counter, never a time: clocks of different machines are not compared
    sqlalchemy.Column("beat", sqlalchemy.Integer, nullable=False, default=0),
    # the last epoch that any owner has finished, and how many owners in a row went without getting further
    sqlalchemy.Column("reached", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("stalls", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("adoptions", sqlalchemy.Integer, nullable=False, default=0),
    # training time over all owners
    sqlalchemy.Column("seconds", sqlalchemy.Float, nullable=False, default=0.0),
    sqlalchemy.Column("told", sqlalchemy.Boolean, nullable=False, default=False),
    sqlalchemy.Column("worker", sqlalchemy.String(200), nullable=False, default=""),
    sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False, default=""),
    sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False, default=0),
    sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False, default=0.0),
    sqlalchemy.UniqueConstraint("study_id", "config"),
)

# A ledger: the latest row is in force, `token` makes a repeated request the same request.
orders = sqlalchemy.Table(
    "search_orders",
    ours,
    sqlalchemy.Column("order_id", sqlalchemy.Integer, primary_key=True),
    _study_id(),
    sqlalchemy.Column("token", sqlalchemy.String(40), nullable=False, unique=True),
    sqlalchemy.Column("trials", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("hours", sqlalchemy.Float),
    sqlalchemy.Column("state", sqlalchemy.String(20), nullable=False),
    sqlalchemy.Column("at_once", sqlalchemy.Boolean, nullable=False),
)

# The training after an epoch of a trial that runs or waits; see `checkpoint`.
checkpoints = sqlalchemy.Table(
    "search_checkpoints",
    ours,
    sqlalchemy.Column(
        "trial_id", sqlalchemy.ForeignKey(trials.c.trial_id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sqlalchemy.Column("epoch", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("history", sqlalchemy.Text, nullable=False),
    sqlalchemy.Column("weights", sqlalchemy.LargeBinary, nullable=False),
    sqlalchemy.Column("checksum", sqlalchemy.String(64), nullable=False),
)

# Who works on a study, busy or idle. `seen_at` is the database's clock, which all workers share.
workers = sqlalchemy.Table(
    "search_workers",
    ours,
    sqlalchemy.Column("worker_id", sqlalchemy.String(40), primary_key=True),
    _study_id(),
    sqlalchemy.Column("name", sqlalchemy.String(200), nullable=False),
    sqlalchemy.Column("host", sqlalchemy.String(100), nullable=False),
    sqlalchemy.Column("pid", sqlalchemy.Integer, nullable=False),
    sqlalchemy.Column("pid_started", sqlalchemy.Float, nullable=False),
    sqlalchemy.Column("device", sqlalchemy.String(40), nullable=False),
    sqlalchemy.Column("grace_seconds", sqlalchemy.Float, nullable=False),
    sqlalchemy.Column("seen_at", sqlalchemy.Float, nullable=False),
)

# SQLite heeds ON DELETE CASCADE only on connections that ask for it, and a dashboard does not.
for _table, _parent, _column in (
    ("search_claims", "trials", "trial_id"),
    ("search_orders", "studies", "study_id"),
    ("search_workers", "studies", "study_id"),
    ("search_checkpoints", "trials", "trial_id"),
):
    sqlalchemy.event.listen(
        ours,
        "after_create",
        sqlalchemy.DDL(
            f"CREATE TRIGGER IF NOT EXISTS {_table}_cascade AFTER DELETE ON {_parent} "
            f"BEGIN DELETE FROM {_table} WHERE {_column} = OLD.{_column}; END"
        ).execute_if(dialect="sqlite"),
    )


def lock_study(connection: sqlalchemy.Connection, study_id: int) -> None:
    """Waits for the study's row, for the rest of the transaction. On SQLite the transaction is the lock.

    Raises:
        errors.StudyNotFound: the study was deleted.
    """
    row = sqlalchemy.select(studies.c.study_id).where(studies.c.study_id == study_id).with_for_update()
    if connection.execute(row).first() is None:
        raise errors.StudyNotFound(DELETED)


def insert_trial(
    connection: sqlalchemy.Connection,
    study_id: int,
    state: TrialState,
    start: datetime.datetime | None,
    number: int | None = None,
) -> tuple[int, int]:
    """Adds a trial, under `lock_study`; returns `(trial_id, number)`. The number is Optuna's: how many came before."""
    if number is None:
        number = connection.execute(
            sqlalchemy.select(sqlalchemy.func.count()).where(trials.c.study_id == study_id)
        ).scalar_one()
    row = {"study_id": study_id, "number": number, "state": state, "datetime_start": start}
    trial_id = connection.execute(trials.insert().values(row).returning(trials.c.trial_id)).scalar_one()
    return trial_id, number


def now() -> datetime.datetime:
    """The present as Optuna 5 stores it: UTC without a zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def clock(connection: sqlalchemy.Connection) -> sqlalchemy.ColumnElement[float]:
    """The database's own clock, in seconds: the one clock that all workers of a study share."""
    if connection.dialect.name == "sqlite":
        return sqlalchemy.literal_column("(julianday('now') - 2440587.5) * 86400.0", sqlalchemy.Float)
    return sqlalchemy.literal_column("extract(epoch FROM clock_timestamp())", sqlalchemy.Float)


def put(connection: sqlalchemy.Connection, table: sqlalchemy.Table, unique: tuple[str, ...], rows: list[Any]) -> None:
    """Inserts rows, replacing those with the same values in the columns `unique`."""
    if not rows:
        return
    insert = UPSERTS[connection.dialect.name](table).values(rows)
    rest = {name: insert.excluded[name] for name in rows[0] if name not in unique}
    connection.execute(insert.on_conflict_do_update(index_elements=list(unique), set_=rest))


def put_attributes(connection: sqlalchemy.Connection, trial_id: int, attrs: dict[str, Any]) -> None:
    """Sets user attributes of a trial."""
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attrs.items()]
    put(connection, attributes, ("trial_id", "key"), rows)


def put_steps(connection: sqlalchemy.Connection, trial_id: int, found: dict[int, float]) -> None:
    """Sets intermediate values by step."""
    rows = []
    for step, value in found.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    put(connection, steps, ("trial_id", "step"), rows)


def stored_step_value(stored: float | None, kind: Any) -> float:
    """An intermediate value as a number: Optuna stores nan and infinities apart."""
    value = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value(stored, kind)
    return float("nan") if value is None else float(value)


def put_value(connection: sqlalchemy.Connection, trial_id: int, value: float) -> None:
    """Sets the value of a single-objective trial."""
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    row = {"trial_id": trial_id, "objective": 0, "value": stored, "value_type": kind}
    put(connection, values, ("trial_id", "objective"), [row])


def add_params(
    connection: sqlalchemy.Connection,
    trial_id: int,
    configuration: dict[str, Any],
    space: dict[str, distributions.BaseDistribution],
) -> None:
    """Stores parameters of a trial, as Optuna does; what is stored already stays."""
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": space[name].to_internal_repr(value),
            "distribution_json": distributions.distribution_to_json(space[name]),
        }
        for name, value in configuration.items()
    ]
    if rows:
        insert = UPSERTS[connection.dialect.name](params).values(rows)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["trial_id", "param_name"]))


def read_params(connection: sqlalchemy.Connection, trial_id: int) -> dict[str, Any]:
    """The stored parameters of a trial, in the order they were stored."""
    rows = connection.execute(
        sqlalchemy.select(params.c.param_name, params.c.param_value, params.c.distribution_json)
        .where(params.c.trial_id == trial_id)
        .order_by(params.c.param_id)
    )
    return {
        row.param_name: distributions.json_to_distribution(row.distribution_json).to_external_repr(row.param_value)
        for row in rows
    }


class History(CachedStorage):
    """One study through Optuna's cached storage, read once per `refresh` and then answered from memory.

    A sampler asks for all trials several times per proposal, seven queries each; and TPE shares a half-made
    proposal through a write of its own, which our fencing would not cover. Both stay in memory here.
    """

    def __init__(self, backend: optuna.storages.RDBStorage, study_id: int) -> None:
        super().__init__(backend)
        self._study_id = study_id

    def refresh(self) -> None:
        """Reads what is new and what was unfinished."""
        self._read_trials_from_remote_storage(self._study_id)

    def study(self, fresh: bool) -> optuna.Study:
        """An Optuna study over this history, for a sampler; it asks the database for nothing but its direction.

        Args:
            fresh: refresh it before.
        """
        if fresh:
            self.refresh()
        return optuna.Study("", self, sampler=optuna.samplers.RandomSampler())

    def get_study_id_from_name(self, study_name: str) -> int:
        """The one study."""
        return self._study_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials as of the last refresh, by number."""
        known = self._studies[study_id].trials
        return [known[number] for number in sorted(known) if states is None or known[number].state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Nothing: a trial's parameters appear at once and fenced, by `configurations.assign`."""
