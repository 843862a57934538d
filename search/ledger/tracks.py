"""What each trial of a study found, when it began and ended, and what it cost: columns, however many trials there are.

Read in batches and kept as numbers alone: 50,000 trials are some megabytes.
"""

import dataclasses
import datetime
import json
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search.storage import schema, trials
from search.training import records

BATCH_TRIALS = 5_000
CONSTRAINTS = "constraints"  # Optuna's system attribute: a trial with one above 0 is none of the best
COLUMNS = ("numbers", "values", "starts", "ends", "seconds", "cpu_seconds")

Array = numpy.ndarray[Any, numpy.dtype[numpy.float64]]


@dataclasses.dataclass(frozen=True)
class Track:
    """The trials that have begun, by number; each column is (trials,), nan where there is nothing.

    Attributes:
        numbers: as if those that were added with their result, which this study has not run, had none: theirs is that
            of the last before them, -1 at first.
        values: of the complete ones that may be the best.
        starts, ends: seconds since 1970.
        seconds: of training; of another tool's from its start to its end. 0 of what was added with its result.
        cpu_seconds: of training, where they were noted.
        best: number of the trial with the best value, the first of equals, and its id; None without one.
    """

    numbers: Array
    values: Array
    starts: Array
    ends: Array
    seconds: Array
    cpu_seconds: Array
    best: tuple[int, int] | None

    @property
    def has_cpu_seconds(self) -> bool:
        """Whether all complete trials that trained have noted them."""
        trained = numpy.isfinite(self.values) & (self.seconds > 0)
        return bool(trained.any()) and bool(numpy.isfinite(self.cpu_seconds[trained]).all())

    def costs(self, cpu: bool) -> Array:
        """Seconds of each; training seconds of those that have not noted the others, as of one that was killed."""
        return numpy.where(numpy.isnan(self.cpu_seconds), self.seconds, self.cpu_seconds) if cpu else self.seconds


def read(connection: Connection, study_id: int, sign: int, outside: Collection[int] = ()) -> Track:
    """A study's track, as of one transaction.

    Args:
        sign: 1 where more is better, -1 where less is.
        outside: numbers of trials that are never the best.
    """
    found: list[list[Array]] = [[] for _ in COLUMNS]
    brought, best = 0, None
    for rows in _batches(connection, study_id):
        columns: list[list[float]] = [[] for _ in COLUMNS]
        for row in rows:
            is_brought = row.ran is not None and not row.ran
            brought += is_brought
            value = math.nan if row.number in outside else _value(row)
            if not math.isnan(value) and (best is None or sign * value > best[0]):
                best = sign * value, row.number, row.trial_id
            number = row.number - brought
            cells = (number, value, _moment(row.datetime_start), _moment(row.datetime_complete))
            cost = (0.0, math.nan) if is_brought else (_seconds(row), _cpu_seconds(row.cpu))
            for column, cell in zip(columns, (*cells, *cost), strict=True):
                column.append(cell)
        for whole, column in zip(found, columns, strict=True):
            whole.append(numpy.array(column))
    numbers, values, starts, ends, seconds, cpu_seconds = (numpy.concatenate([[], *whole]) for whole in found)
    return Track(numbers, values, starts, ends, seconds, cpu_seconds, best and best[1:])


def _batches(connection: Connection, study_id: int) -> Iterator[Any]:
    t, v, c, a = schema.trials.c, schema.values.c, schema.claims.c, schema.added.c
    cpu, bound = schema.attributes.alias("cpu"), schema.system_attributes.alias("bound")
    both = schema.trials
    for table, on in (
        (schema.values, (v.trial_id == t.trial_id) & (v.objective == 0)),
        (schema.claims, c.trial_id == t.trial_id),
        (schema.added, a.trial_id == t.trial_id),
        (cpu, (cpu.c.trial_id == t.trial_id) & (cpu.c.key == records.CPU_SECONDS.name)),
        (bound, (bound.c.trial_id == t.trial_id) & (bound.c.key == CONSTRAINTS)),
    ):
        both = both.join(table, on, isouter=True)
    query = sqlalchemy.select(
        *(t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete, v.value, v.value_type),
        *(c.seconds, a.ran, cpu.c.value_json.label("cpu"), bound.c.value_json.label("bounds")),
    ).select_from(both)
    # what waits without having begun has cost nothing
    has_begun = sqlalchemy.or_(t.state != TrialState.WAITING, c.seconds > 0)
    query = query.where(t.study_id == study_id, has_begun).order_by(t.trial_id).limit(BATCH_TRIALS)
    last = -1
    while rows := connection.execute(query.where(t.trial_id > last)).all():
        last = rows[-1].trial_id
        yield rows


def _value(row: Any) -> float:
    """Of a trial that may be the best; nan of any other."""
    if row.state != TrialState.COMPLETE or row.value_type is None or _is_infeasible(row.bounds):
        return math.nan
    found = trials.value_of(row.value, row.value_type)
    return math.nan if found is None else float(found)


def _is_infeasible(bounds: str | None) -> bool:
    return bounds is not None and any(each > 0 for each in json.loads(bounds))


def _moment(moment: datetime.datetime | None) -> float:
    return math.nan if moment is None else moment.timestamp()


def _seconds(row: Any) -> float:
    if row.seconds:
        return float(row.seconds)
    if row.datetime_start is None or row.datetime_complete is None:
        return 0.0
    return max(0.0, float((row.datetime_complete - row.datetime_start).total_seconds()))


def _cpu_seconds(text: str | None) -> float:
    """What another tool stored as something else counts as absent."""
    try:
        found = math.nan if text is None else float(json.loads(text))
    except (TypeError, ValueError):
        return math.nan
    return found if records.CPU_SECONDS.rule(found) else math.nan
