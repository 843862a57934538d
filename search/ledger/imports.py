"""Known results brought into a study: told apart, outside the budget, reserved, and never a second time.

A row that comes with the time of its end is one that was added with its result (`storage.triggers`): it counts in no
limit. An attribute says that it was imported and where from. All of an import is one transaction.
"""

import dataclasses
import datetime
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy
from optuna import distributions
from optuna.storages._rdb import models
from sqlalchemy import exc

from search import words
from search.ledger import counts, foreign, studies
from search.storage import batches, schema, statements
from search.storage.databases import Database
from search.study import specs
from search.training import records, results, spools

NAMED = 3  # duplicates that are named
OnTrials = Callable[[int, int], None]
SILENT: OnTrials = lambda done, total: None  # noqa: E731


@dataclasses.dataclass
class Import:
    """What came of an import.

    Attributes:
        source: what was imported.
        numbers: of the new trials: the first, and one after the last.
        duplicates: how many results a trial had already, or an earlier one of the same import; `named`: the first of
            them, each with the number of that trial.
        left_out: how many did not fit, by reason, with the first of each.
    """

    source: str
    numbers: tuple[int, int] = (0, 0)
    duplicates: int = 0
    named: dict[str, int] = dataclasses.field(default_factory=dict)
    left_out: dict[str, spools.LeftOut] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many results were imported."""
        return self.numbers[1] - self.numbers[0]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        left = [{"reason": reason, **dataclasses.asdict(each)} for reason, each in self.left_out.items()]
        return {"imported": self.count, "duplicates": self.duplicates, "left_out": left}

    def lines(self) -> list[str]:
        """For people: what was taken, and what was not."""
        first, end = self.numbers
        which = f" as trial {first}" if self.count == 1 else f" as trials {first} to {end - 1}"
        taken = f"{words.plural(self.count, 'result')} of {self.source} imported{which if self.count else ''}"
        said = [f"{taken}, outside the budget" if self.count else f"nothing of {self.source} imported"]
        if self.duplicates:
            few = ", ".join(f"{place} (trial {number})" for place, number in self.named.items())
            more = ", ..." if self.duplicates > len(self.named) else ""
            said.append(
                f"{words.plural(self.duplicates, 'configuration')} there already, left as they are: {few}{more}"
            )
        for reason, left in self.left_out.items():
            got = f", got {left.got}" if left.got else ""
            said.append(f"{words.plural(left.count, 'result')} left out: {reason}{got} ({left.place})")
        return said


def take(database: Database, study: studies.Study, spool: spools.Spool, on_trials: OnTrials = SILENT) -> Import:
    """Writes results into a study, all or nothing, whoever works on it meanwhile.

    Args:
        on_trials: is told how many were looked at, of how many.

    Raises:
        errors.StudyNotFound: it was deleted.
    """
    request = uuid.uuid4().hex
    tried: list[Import] = []

    def transaction(connection: sqlalchemy.Connection) -> Import:
        statements.lock_study(connection, study)
        claims = schema.claims.c
        again = sqlalchemy.select(claims.trial_id).where(claims.request == request, claims.study_id == study.study_id)
        if tried and connection.execute(again.limit(1)).first() is not None:  # its acknowledgement was lost
            return tried[-1]
        foreign.reserve(connection, study)
        tried.append(add(connection, study.study_id, study.spec, spool, request, on_trials))
        return tried[-1]

    return database.write(transaction)


def add(
    connection: sqlalchemy.Connection,
    study_id: int,
    spec: specs.StudySpec,
    spool: spools.Spool,
    request: str | None = None,
    on_trials: OnTrials = SILENT,
) -> Import:
    """The same in a transaction that holds the study, or makes it; its orders are written already."""
    last = connection.execute(statements.LAST_NUMBER, {"study": study_id}).scalar()
    first = 0 if last is None else int(last) + 1
    found = Import(spool.source, (first, first), left_out=dict(spool.left_out))
    looked = 0
    for batch in spool.batches(batches.BATCH_TRIALS):
        keyed = [(spec.space.key(each.params, each.repeat), each) for each in batch]
        new, numbers = _add_new(connection, study_id, spec, keyed, found.numbers[1], request)
        for key, result in keyed:
            if new.get(key) is result:
                continue
            found.duplicates += 1
            if len(found.named) < NAMED:
                found.named[result.source] = numbers[key]
        found.numbers = first, found.numbers[1] + len(new)
        looked += len(batch)
        on_trials(looked, spool.count)
    counts.fold(connection, study_id)  # a few rows for each trial
    return found


def _add_new(
    connection: sqlalchemy.Connection,
    study_id: int,
    spec: specs.StudySpec,
    keyed: Sequence[tuple[str, results.Result]],
    first: int,
    request: str | None,
) -> tuple[dict[str, results.Result], dict[str, int]]:
    """Adds those of some results that no trial has; returns them, and the numbers of the trials of all, by key."""
    while True:
        known = _numbers(connection, study_id, [key for key, _ in keyed])
        new: dict[str, results.Result] = {}
        for key, result in keyed:
            if key not in known:
                new.setdefault(key, result)
        try:
            with connection.begin_nested():
                _insert(connection, study_id, spec, new, first, request)
        except exc.IntegrityError:  # a running trial reserved one of them in this moment: it is seen now
            if known.keys() == _numbers(connection, study_id, [key for key, _ in keyed]).keys():
                raise
            continue
        return new, known | {key: first + place for place, key in enumerate(new)}


def _numbers(connection: sqlalchemy.Connection, study_id: int, keys: Sequence[str]) -> dict[str, int]:
    """The trials that have reserved some keys."""
    t, c = schema.trials.c, schema.claims.c
    query = sqlalchemy.select(c.config, t.number).join(schema.trials, t.trial_id == c.trial_id)
    rows = connection.execute(query.where(c.study_id == study_id, c.config.in_(list(keys))))
    return {row.config: row.number for row in rows}


def _insert(
    connection: sqlalchemy.Connection,
    study_id: int,
    spec: specs.StudySpec,
    new: Mapping[str, results.Result],
    first: int,
    request: str | None,
) -> None:
    if not new:
        return
    now, heads = statements.now(), []
    for number, result in enumerate(new.values(), first):
        ended = now if result.ended is None else datetime.datetime.fromisoformat(result.ended)
        started = ended if result.started is None else datetime.datetime.fromisoformat(result.started)
        state = results.TAKEN[result.state]
        heads.append({"number": number, "state": state, "datetime_start": started, "datetime_complete": ended})
    ids = batches.new_trials(connection, study_id, heads)
    kinds = {
        p.name: (p.distribution, distributions.distribution_to_json(p.distribution)) for p in spec.space.parameters
    }
    stored: dict[sqlalchemy.Table, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
    for trial_id, (key, result) in zip(ids, new.items(), strict=True):
        for name, value in result.params.items():
            kind, text = kinds[name]
            stored[schema.params].append((trial_id, name, kind.to_internal_repr(value), text))
        if result.value is not None:
            stored[schema.values].append((trial_id, 0, *models.TrialValueModel.value_to_stored_repr(result.value)))
        for step, value in result.steps.items():
            kept = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
            stored[schema.steps].append((trial_id, int(step), *kept))
        attributes = {**result.attributes, records.IMPORTED.name: result.source}
        stored[schema.attributes] += [(trial_id, name, json.dumps(value)) for name, value in attributes.items()]
        stored[schema.claims].append((trial_id, study_id, key, result.repeat, request, *CLAIMED.values()))
    for table, rows in stored.items():
        batches.insert(connection, table, [table.c[name] for name in COLUMNS[table]], rows)
    known = schema.added.update().where(schema.added.c.trial_id.in_(ids))
    connection.execute(known.values(is_known=True))


CLAIMED: dict[str, Any] = {
    column.name: column.default.arg
    for column in schema.claims.c
    if isinstance(column.default, sqlalchemy.ColumnDefault) and column.name != "repeat"
}
COLUMNS: dict[sqlalchemy.Table, tuple[str, ...]] = {
    schema.params: ("trial_id", "param_name", "param_value", "distribution_json"),
    schema.values: ("trial_id", "objective", "value", "value_type"),
    schema.steps: ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
    schema.attributes: ("trial_id", "key", "value_json"),
    schema.claims: ("trial_id", "study_id", "config", "repeat", "request", *CLAIMED),
}
