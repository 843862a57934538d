"""Optuna's trials by plain SQL: a query a table, and no objects between the rows and the trials.

Optuna's own reading makes an object of every row: 0.9 ms and 36 KB a trial, of which nine tenths are not needed.
"""

import collections
import datetime
import functools
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy
from optuna import distributions
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from search.storage import schema, statements

BATCH = 500  # ids a query, which every SQLite takes
WHOLE_FROM = 2_000  # ids from which on a study is read whole, and what was not asked for left out

ValueKind = models.TrialValueModel.TrialValueType
distribution = functools.lru_cache(4096)(distributions.json_to_distribution)

Groups = dict[int, list[Any]]


class _Head(NamedTuple):
    """A trial's own row."""

    trial_id: int
    number: int
    state: TrialState
    start: datetime.datetime | None
    complete: datetime.datetime | None


def read(
    connection: sqlalchemy.Connection,
    study_id: int | None,
    ids: Collection[int] | None = None,
    attributes: Sequence[str] | None = None,
    steps: bool = True,
) -> list[FrozenTrial]:
    """Trials of a study, by number.

    Args:
        study_id: None for the trials of `ids`, of whichever studies.
        ids: of the trials to read; None for all of them.
        attributes: user attributes to read; None for all, system attributes too.
        steps: read intermediate values.
    """
    is_whole = ids is None or (study_id is not None and len(ids) >= WHOLE_FROM)
    if ids is not None and not is_whole:
        chosen = sorted(ids)
        portions: Iterator[Collection[int] | None] = (chosen[at : at + BATCH] for at in range(0, len(chosen), BATCH))
    else:
        portions = iter([None])
    found = [trial for portion in portions for trial in _read_portion(connection, study_id, portion, attributes, steps)]
    if ids is not None and is_whole:
        wanted = frozenset(ids)
        found = [trial for trial in found if trial._trial_id in wanted]
    return sorted(found, key=lambda trial: trial.number)


def _read_portion(
    connection: sqlalchemy.Connection,
    study_id: int | None,
    ids: Collection[int] | None,
    attributes: Sequence[str] | None,
    steps: bool,
) -> Iterator[FrozenTrial]:
    t = schema.trials.c

    def rows(table: sqlalchemy.Table, *names: str, where: Iterable[Any] = ()) -> Groups:
        """Rows of a table by trial; the columns of `names` as they are."""
        columns = [table.c[name] for name in names]
        if ids is None:
            query = sqlalchemy.select(table.c.trial_id, *columns).join(schema.trials, t.trial_id == table.c.trial_id)
            query = query.where(t.study_id == study_id, *where)
        else:
            query = sqlalchemy.select(table.c.trial_id, *columns).where(table.c.trial_id.in_(ids), *where)
        groups: Groups = collections.defaultdict(list)
        for trial_id, *row in connection.execute(query):
            groups[trial_id].append(row)
        return groups

    heads = sqlalchemy.select(t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete)
    mine = [] if study_id is None else [t.study_id == study_id]
    heads = heads.where(*mine, *([] if ids is None else [t.trial_id.in_(ids)]))
    known = [_Head(*row) for row in connection.execute(heads)]
    values = rows(schema.values, "objective", "value", "value_type")
    params = rows(schema.params, "param_id", "param_name", "param_value", "distribution_json")
    keys = schema.attributes.c.key
    chosen = [] if attributes is None else [keys.in_(list(attributes))]
    user = rows(schema.attributes, "key", "value_json", where=chosen) if attributes is None or attributes else {}
    system = rows(schema.system_attributes, "key", "value_json") if attributes is None else {}
    reported = rows(schema.steps, "step", "intermediate_value", "intermediate_value_type") if steps else {}
    for head in known:
        one = head.trial_id
        yield _trial(head, *(each.get(one, []) for each in (values, params, user, system, reported)))


def _trial(
    head: _Head, values: list[Any], params: list[Any], user: list[Any], system: list[Any], steps: list[Any]
) -> FrozenTrial:
    params.sort()
    kinds = {name: distribution(text) for _, name, _, text in params}
    return FrozenTrial(
        number=head.number,
        state=head.state,
        value=None,
        values=[value_of(value, kind) for _, value, kind in sorted(values, key=lambda row: row[0])] or None,
        datetime_start=head.start,
        datetime_complete=head.complete,
        params={name: kinds[name].to_external_repr(value) for _, name, value, _ in params},
        distributions=kinds,
        user_attrs={key: json.loads(text) for key, text in user},
        system_attrs={key: json.loads(text) for key, text in system},
        intermediate_values={
            step: statements.stored_step_value(value, kind) for step, value, kind in sorted(steps, key=lambda r: r[0])
        },
        trial_id=head.trial_id,
    )


def value_of(stored: float | None, kind: Any) -> float:
    """A value as a number: Optuna stores infinities apart."""
    return models.TrialValueModel.stored_repr_to_value(stored, kind)


def ids_of(connection: sqlalchemy.Connection, study_id: int, *where: sqlalchemy.ColumnElement[bool]) -> list[int]:
    """The ids of a study's trials of which something holds, by number."""
    query = sqlalchemy.select(schema.trials.c.trial_id).where(schema.trials.c.study_id == study_id, *where)
    return list(connection.execute(query.order_by(schema.trials.c.trial_id)).scalars())
