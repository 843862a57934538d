"""What the training time of a study went into: poor trials, and what random search would have found for it.

docs/decisions/0033-efficiency.md has the definitions. All is a number of queries that does not grow with the study.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search import errors
from search.ledger import counts, excerpts, studies, summaries
from search.storage import databases, schema, trials
from search.study import specs

POOR = 0.02  # of accuracy: a network this much below the best is a poor one
SAMPLE = 100  # latest trials whose seconds say how fast this machine is beside that of a table
MOMENTS = 200  # of the time spent, at which chances of random search are computed: it errs by less than 0.0001


@dataclasses.dataclass(frozen=True)
class Random:
    """What random search finds, trained on a machine as fast as the study's own.

    Attributes:
        table: the file that says so.
        seconds: of training: what the study has taken.
        expected: its best by then, the mean of all searches; `low` and `high`: between which half of them lie.
        seconds_to_best: until it has found one as good as the study's best, the mean; None where the table has none.
    """

    table: str
    seconds: float
    expected: float
    low: float
    high: float
    seconds_to_best: float | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Efficiency:
    """What a study got for its training time, seconds of which are those of complete and pruned trials.

    Attributes:
        best: its best value.
        bar: a trial whose last value is worse is a poor one, and so is one without a value.
        is_of_accuracy: whether the bar lies `POOR` below the best; else it is the median of the complete trials.
        poor_seconds: of training, of poor trials.
        random: None where no table is of this space; `note`: why the one that is cannot be read.
    """

    best: float
    bar: float
    is_of_accuracy: bool
    seconds: float
    poor_seconds: float
    random: Random | None
    note: str | None

    @property
    def poor_share(self) -> float:
        """Of the training time, 0 to 1."""
        return self.poor_seconds / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "bar": self.bar,
            "seconds": round(self.seconds, 3),
            "poor_seconds": round(self.poor_seconds, 3),
            "poor_share": round(self.poor_share, 4),
            "random": self.random and self.random.as_json(),
        }


def read(database: databases.Database, summary: summaries.Summary) -> Efficiency | None:
    """The study as its summary saw it; None while it has no best value that is finite.

    Raises:
        errors.StudyNotFound: it was deleted.
    """
    best = None if summary.best is None else summary.best.value
    if best is None or not math.isfinite(best):
        return None
    study = summary.study
    bar = database.read(lambda connection: _bar(connection, summary, best))
    if bar is None:
        return None
    fine = database.read(lambda connection: _seconds_of_fine(connection, study, bar))
    random, note = _random(database, summary, best)
    seconds = max(summary.done_seconds, fine)
    return Efficiency(best, bar, study.spec.training is not None, seconds, seconds - fine, random, note)


def margin(spec: specs.StudySpec, best: float) -> float | None:
    """The value below which a network is poor; None of an objective of the user's own, whose measure is not known."""
    return None if spec.training is None else best - POOR


def _bar(connection: Connection, summary: summaries.Summary, best: float) -> float | None:
    """The value that parts poor trials from others; None where it would be infinite."""
    bar = margin(summary.study.spec, best)
    if bar is not None:
        return bar
    t, v = schema.trials.c, schema.values.c
    query = sqlalchemy.select(v.value, v.value_type).join(schema.trials, t.trial_id == v.trial_id)
    query = query.where(t.study_id == summary.study.study_id, t.state == TrialState.COMPLETE, v.objective == 0)
    middle = max(0, summary.count(TrialState.COMPLETE) - 1) // 2
    order = (excerpts.infinity(), v.value)
    row = connection.execute(query.order_by(*order).offset(middle).limit(1)).first()
    found = None if row is None else trials.value_of(row.value, row.value_type)
    return found if found is not None and math.isfinite(found) else None


def _seconds_of_fine(connection: Connection, study: studies.Study, bar: float) -> float:
    """Training time of the complete and pruned trials that are no worse."""
    t, c, v = schema.trials.c, schema.claims.c, schema.values.c
    is_up = study.spec.study.direction == "maximize"
    infinite = excerpts.infinity()
    # Postgres stores what is no number as one that is above all
    is_fine = v.value.between(bar, excerpts.LARGEST) if is_up else v.value <= bar
    query = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(c.seconds), 0.0))
    query = query.join_from(schema.trials, schema.claims, c.trial_id == t.trial_id)
    query = query.join(schema.values, (v.trial_id == t.trial_id) & (v.objective == 0))
    query = query.where(t.study_id == study.study_id, t.state.in_(counts.COUNTED))
    is_told = sqlalchemy.or_(sqlalchemy.and_(infinite == 0, is_fine), infinite == (1 if is_up else -1))
    return float(connection.execute(query.where(is_told)).scalar_one())


def _random(
    database: databases.Database, summary: summaries.Summary, best: float
) -> tuple[Random | None, str | None]:
    from search.study import baselines  # numbers of a table, which most studies do not have

    try:
        found = baselines.find(summary.study.spec)
    except errors.InputError as error:
        return None, str(error)
    if found is None:
        return None, None
    sample = database.read(lambda connection: _sample(connection, summary.study))
    pace = baselines.pace(found, sample)
    if pace is None:
        return None, None
    seconds = summary.seconds
    spent = [seconds / pace]
    low, _, high = (float(each[0]) for each in found.quartiles(spent, MOMENTS))
    until = pace * found.seconds_to(best)
    return (
        Random(
            table=found.place,
            seconds=round(seconds, 3),
            expected=round(float(found.expected(spent, MOMENTS)[0]), 5),
            low=low,
            high=high,
            seconds_to_best=round(until, 3) if math.isfinite(until) else None,
        ),
        None,
    )
