"""How many trials a study has, which the budget rests on: counts of Optuna's own rows, kept by the database itself.

`storage.tallies` says how; `checks` proves that they are the counts of the rows.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema, statements, tallies
from search.training import records

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)  # what uses up budget
ENDED = (*COUNTED, TrialState.FAIL)
STATES = {name: TrialState[name.upper()] for name in tallies.STATES}
FOLDED = 200  # rows that are added up under the lock before they are made one


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many trials a study has, by state.

    Attributes:
        states: those that workers, or other tools beside them, have run or will run.
        added: those that another tool added with their result; they use up no budget.
        unknown: whether the configuration of a trial of another tool's is not reserved yet.
        failures: failed trials that count against `max_failures`: a worker of ours told them, and they are not excused.
        configs: reserved configurations, those of repeats apart.
        paused: those of the waiting trials that have paused.
        rows: of how many changes this is the sum.
    """

    states: dict[TrialState, int]
    added: int
    unknown: bool
    failures: int
    configs: int
    paused: int
    rows: int

    @classmethod
    def empty(cls) -> "Counts":
        """Of a study without trials."""
        return cls(dict.fromkeys(STATES.values(), 0), added=0, unknown=False, failures=0, configs=0, paused=0, rows=0)

    def of(self, state: TrialState) -> int:
        """How many are in a state."""
        return self.states.get(state, 0)

    @property
    def done(self) -> int:
        """How many used up budget."""
        return sum(map(self.of, COUNTED))

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.states.values()) + self.added


def complete(connection: sqlalchemy.Connection, study_id: int) -> bool:
    """Whether a trial is complete, whoever ran or added it."""
    return has_any(connection, study_id, TrialState.COMPLETE)


def has_any(connection: sqlalchemy.Connection, study_id: int, *states: TrialState) -> bool:
    """Whether a trial is in one of these states, whoever ran or added it: a look at an index."""
    return any(connection.execute(_any(state), {"study": study_id}).first() is not None for state in states)


@functools.cache
def _any(state: TrialState) -> sqlalchemy.Select[tuple[int]]:
    t, study = schema.trials.c, statements.STUDY
    # in the index's order: else Postgres may walk the table until it meets one
    return sqlalchemy.select(t.trial_id).where(t.study_id == study, t.state == state).order_by(t.trial_id).limit(1)


def read(connection: sqlalchemy.Connection, study_id: int) -> Counts:
    """The counts of Optuna's own rows, as one statement sees them."""
    return made(connection.execute(one(), {"study": study_id}).mappings().one())


@functools.cache
def one() -> sqlalchemy.Select[Any]:
    """The query of a study's counts, made once: to make it takes longer than to run it, under a study's lock."""
    study = statements.STUDY
    unknown = sqlalchemy.exists().where(schema.added.c.study_id == study, sqlalchemy.text(schema.UNKNOWN))
    return sqlalchemy.select(*_sums(), unknown.label("unknown")).where(schema.counts.c.study_id == study)


def all_of(connection: sqlalchemy.Connection) -> dict[int, Counts]:
    """The same of every study; whether a configuration is unknown is not asked for."""
    return {row["study_id"]: made(row) for row in connection.execute(_each()).mappings()}


@functools.cache
def _each() -> sqlalchemy.Select[Any]:
    study_id = schema.counts.c.study_id
    return sqlalchemy.select(study_id, *_sums(), sqlalchemy.false().label("unknown")).group_by(study_id)


def _sums() -> list[sqlalchemy.ColumnElement[Any]]:
    kept = schema.counts
    columns = [_sum(kept.c[name]).label(name) for name in (*tallies.OF_TRIAL, "configs", "paused")]
    return [*columns, sqlalchemy.func.count().label("changes")]


def made(row: sqlalchemy.RowMapping) -> Counts:
    """The counts of a row of one of these queries."""
    states = {state: int(row[name]) for name, state in STATES.items()}
    rest = {name: int(row[name]) for name in ("added", "failures", "configs", "paused")}
    return Counts(states, **rest, unknown=bool(row["unknown"]), rows=row["changes"])


def fold(connection: sqlalchemy.Connection, study_id: int) -> None:
    """Makes one row of a study's changes, under its lock; what others add meanwhile stays."""
    kept = schema.counts
    mine, sums = kept.c.study_id == study_id, [_sum(kept.c[name]).label(name) for name in tallies.ALL]
    if connection.dialect.name == "sqlite":  # which nobody else writes to just now
        row = connection.execute(sqlalchemy.select(*sums).where(mine)).mappings().one()
        connection.execute(kept.delete().where(mine))
        connection.execute(kept.insert().values(study_id=study_id, **row))
        return
    # one statement: it adds up what it deletes
    gone = kept.delete().where(mine).returning(*(kept.c[name] for name in tallies.ALL)).cte("gone")
    added_up = sqlalchemy.select(sqlalchemy.literal(study_id), *(_sum(gone.c[name]) for name in tallies.ALL))
    connection.execute(kept.insert().from_select(["study_id", *tallies.ALL], added_up))


def imported(connection: sqlalchemy.Connection, *study_ids: int) -> dict[int, int]:
    """How many of the added trials of some studies an import of ours brought in; of all where none is named."""
    a, attrs = schema.added.c, schema.attributes.c
    both = schema.added.join(schema.attributes, attrs.trial_id == a.trial_id)
    query = sqlalchemy.select(a.study_id, sqlalchemy.func.count()).select_from(both)
    query = query.where(a.ran.is_(False), attrs.key == records.IMPORTED.name).group_by(a.study_id)
    found = connection.execute(query.where(a.study_id.in_(study_ids)) if study_ids else query)
    return {row[0]: int(row[1]) for row in found}


class Seconds(NamedTuple):
    """Training time over all owners, seconds: of trials that workers of ours have ended, and of the others so far."""

    told: float
    running: float


def spent_seconds(connection: sqlalchemy.Connection, study_id: int) -> float:
    """Training time over all trials and owners, as of their last beats."""
    return sum(seconds(connection, study_id))


def seconds(connection: sqlalchemy.Connection, study_id: int) -> Seconds:
    """The same, of trials that have been told apart."""
    kept, claims = schema.counts, schema.claims
    told = sqlalchemy.select(_sum(kept.c.microseconds)).where(kept.c.study_id == study_id).scalar_subquery()
    running = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(claims.c.seconds), 0.0)).where(
        claims.c.study_id == study_id, sqlalchemy.text(schema.OPEN)
    )
    row = connection.execute(sqlalchemy.select(told, running.scalar_subquery())).one()
    return Seconds(int(row[0]) / 1e6, float(row[1]))


def all_seconds(connection: sqlalchemy.Connection) -> dict[int, Seconds]:
    """The same of every study."""
    kept, claims = schema.counts, schema.claims
    told = sqlalchemy.select(kept.c.study_id, _sum(kept.c.microseconds)).group_by(kept.c.study_id)
    query = sqlalchemy.select(claims.c.study_id, sqlalchemy.func.sum(claims.c.seconds))
    query = query.where(sqlalchemy.text(schema.OPEN)).group_by(claims.c.study_id)
    running = {row[0]: float(row[1]) for row in connection.execute(query)}
    return {row[0]: Seconds(int(row[1]) / 1e6, running.get(row[0], 0.0)) for row in connection.execute(told)}


def _sum(column: sqlalchemy.ColumnElement[Any]) -> sqlalchemy.ColumnElement[Any]:
    return sqlalchemy.func.coalesce(sqlalchemy.func.sum(column), 0)
