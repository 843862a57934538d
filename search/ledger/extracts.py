"""All trials of a study, some at a time, each with what is stored of it beside Optuna's tables."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import sqlalchemy
from optuna import distributions
from optuna.trial import FrozenTrial, TrialState

from search.ledger import studies
from search.storage import batches, databases, schema, stills, trials
from search.training import records

T = TypeVar("T")

CONSTRAINTS = "constraints"  # Optuna's system attribute
HEAD_CHARACTERS = 32  # of a stored attribute: a number is no longer, but for those that no column of numbers holds
INTEGER, REAL = re.compile(r"-?\d{1,18}"), re.compile(r"(-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity)")
LARGEST = 2**63  # of what a column of integers holds


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the trials of a study have: names in the order in which they first appeared, with the kinds of their values.

    Attributes:
        metrics: a name for each objective; its place where it has none of its own.
        parameters: kinds by name, each `bool`, `int`, `float`, `str` or another word.
        attributes: the same of user attributes.
    """

    metrics: tuple[str, ...]
    parameters: dict[str, set[str]]
    attributes: dict[str, set[str]]


@dataclasses.dataclass(frozen=True)
class Extract:
    """A trial, and what is stored of it beside.

    Attributes:
        paused: the step after which it has paused, while it waits there; None of all others.
        is_added: whether another tool added it with its result, outside the budget.
        is_excused: of one that failed, whether it does not count against `max_failures`.
        worker: whose it is, or was.
        seconds: of training over all its owners; of another tool's trial from its start to its end.
    """

    trial: FrozenTrial
    paused: int | None
    is_added: bool
    is_excused: bool
    worker: str | None
    seconds: float | None

    @property
    def system(self) -> dict[str, Any]:
        """What Optuna's own attributes say to a reader: what was enqueued, constraints, which trial it repeats."""
        found = self.trial.system_attrs
        fixed = found.get(records.FIXED_PARAMS) if self.trial.state == TrialState.WAITING else None
        return {
            "retry_of": records.retried_of(self.trial),
            "fixed_params": fixed if isinstance(fixed, dict) else None,
            "constraints": found.get(CONSTRAINTS),
        }


class Moment:
    """The trials of a study, ours or another tool's, as they are at one moment."""

    def __init__(self, connection: sqlalchemy.Connection, study: studies.Stored) -> None:
        self._connection, self._study_id = connection, study.study_id

    def columns(self) -> Columns:
        """What a table of them needs; it looks at all of them once."""
        parameters: dict[str, set[str]] = {}
        attributes: dict[str, set[str]] = {}
        p, a = schema.params.c, schema.attributes.c
        head = sqlalchemy.func.substr(a.value_json, 1, HEAD_CHARACTERS)
        for rows in batches.of_trials(self._connection, self._study_id):
            ids = [row.trial_id for row in rows]
            of_params = sqlalchemy.select(p.param_name, p.distribution_json).where(p.trial_id.in_(ids))
            for name, text in self._connection.execute(of_params.order_by(p.param_id)):
                parameters.setdefault(name, set()).update(_kinds(trials.distribution(text)))
            of_attributes = sqlalchemy.select(a.key, head).where(a.trial_id.in_(ids))
            for name, text in self._connection.execute(of_attributes.order_by(a.trial_user_attribute_id)):
                attributes.setdefault(name, set()).add(_kind_of_json(text))
        return Columns(_metrics(self._connection, self._study_id), parameters, attributes)

    def read(self, on_trials: Callable[[int, int], None]) -> Iterator[list[Extract]]:
        """The trials by number, some at a time.

        Args:
            on_trials: is told how many are read, of how many.
        """
        done, total = 0, batches.count(self._connection, self._study_id)
        for rows in batches.of_trials(self._connection, self._study_id):
            ids = [row.trial_id for row in rows]
            claims = {row["trial_id"]: row for row in _rows(self._connection, schema.claims, ids)}
            added = {row["trial_id"] for row in _rows(self._connection, schema.added, ids)}
            yield [_extract(each, claims, added) for each in trials.read(self._connection, None, ids)]
            done += len(rows)
            on_trials(done, total)


def take(database: databases.Database, study: studies.Stored, use: Callable[[Moment], T]) -> T:
    """What `use` makes of a study's trials; after an outage it is called again."""
    return stills.read(database, lambda connection: use(Moment(connection, study)))


def _rows(connection: sqlalchemy.Connection, table: sqlalchemy.Table, ids: list[int]) -> Iterable[Any]:
    return connection.execute(table.select().where(table.c.trial_id.in_(ids))).mappings()


def _extract(trial: FrozenTrial, claims: dict[int, Any], added: set[int]) -> Extract:
    claim = claims.get(trial._trial_id)
    return Extract(
        trial,
        paused=claim["paused"] if claim and trial.state == TrialState.WAITING and not claim["told"] else None,
        is_added=trial._trial_id in added,
        is_excused=bool(claim and claim["excused"] and trial.state == TrialState.FAIL),
        worker=records.WORKER.find(trial) or (claim and claim["worker"]) or None,
        seconds=_seconds(trial, claim),
    )


def _seconds(trial: FrozenTrial, claim: Any) -> float | None:
    if (known := records.SECONDS.find(trial)) is not None:
        return known
    if claim and claim["generation"]:
        return float(claim["seconds"])
    started, ended = trial.datetime_start, trial.datetime_complete
    return None if started is None or ended is None else (ended - started).total_seconds()


def _metrics(connection: sqlalchemy.Connection, study_id: int) -> tuple[str, ...]:
    d, s = schema.directions.c, schema.study_system_attributes.c
    count = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.directions).where(d.study_id == study_id)
    objectives = int(connection.execute(count).scalar_one())
    named = sqlalchemy.select(s.value_json).where(s.study_id == study_id, s.key == studies.METRIC_NAMES)
    stored = connection.execute(named).scalar()
    names = [] if stored is None else json.loads(stored)
    if isinstance(names, list) and len(names) == objectives == len(set(map(str, names))):
        return tuple(map(str, names))
    return tuple(map(str, range(objectives)))


def _kinds(distribution: distributions.BaseDistribution) -> set[str]:
    if isinstance(distribution, distributions.CategoricalDistribution):
        return {kind(choice) for choice in distribution.choices}
    if isinstance(distribution, distributions.IntDistribution):
        return {kind(distribution.low), kind(distribution.high)}
    return {"float"}


def kind(value: Any) -> str:
    """What a column must be to hold a value: the name of its type, or a word that is none."""
    if type(value) is int and not -LARGEST <= value < LARGEST:
        return "large"
    return type(value).__name__


def _kind_of_json(head: str) -> str:
    """The same by the beginning of a stored value."""
    if head.startswith('"'):
        return "str"
    if head in ("true", "false"):
        return "bool"
    if INTEGER.fullmatch(head):
        return "int"
    return "float" if REAL.fullmatch(head) and not head.lstrip("-").isdigit() else "other"
