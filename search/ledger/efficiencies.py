"""What the training time of a study went into, what pausing saved of it, and what random search would have found.

docs/decisions/0034-efficiency.md has the definitions. All is a number of queries that does not grow with the study.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import Connection

from search import errors
from search.ledger import counts, excerpts, studies, summaries
from search.storage import databases, schema, trials
from search.study import baselines, pruners, specs

POOR = 0.02  # of accuracy: a network so far below the best is a poor one
SAMPLE = 100  # latest trials, whose seconds say how fast this machine is beside that of a table
MOMENTS = 200  # of the time spent, between which chances of random search are computed


@dataclasses.dataclass(frozen=True)
class Random:
    """What random search finds, trained on a machine as fast as the study's own.

    Attributes:
        expected: its best in the time of the study, the mean of all searches; `low` and `high`: between which half of
            them lie; nan where most have found nothing.
        seconds_to_best: training time until it has found one as good as the study's best, the mean; None where the
            table has none.
        pace: by how much a training takes longer here than on the table's machine.
    """

    expected: float
    low: float
    high: float
    seconds_to_best: float | None
    pace: float
    baseline: baselines.Baseline

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        named = {name: getattr(self, name) for name in ("expected", "low", "high")}
        shown = {name: round(value, 5) if math.isfinite(value) else None for name, value in named.items()}
        until = self.seconds_to_best
        return {"table": self.baseline.place, **shown, "seconds_to_best": None if until is None else round(until, 3)}


class Saved(NamedTuple):
    """What was not trained of trials that have paused: how many there are, their epochs, and training time."""

    trials: int
    epochs: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Efficiency:
    """What a study got for its training time.

    Attributes:
        best: its best value.
        bar: a trial whose last value is worse is a poor one, and so is one without a value.
        margin: how far it lies below the best; None: it is the median of the complete trials.
        seconds: of training, of all trials but failed ones and those that run; `poor_seconds`: of poor ones.
        saved: by pausing, so far: a paused trial may go on.
        random: None where no table is of this space; `note`: why the one that is cannot be read.
    """

    best: float
    bar: float
    margin: float | None
    seconds: float
    poor_seconds: float
    saved: Saved
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
            "poor_seconds": round(self.poor_seconds, 3),
            "poor_share": round(self.poor_share, 4),
            "paused_saved": {**self.saved._asdict(), "seconds": round(self.saved.seconds, 3)},
            "random": self.random and self.random.as_json(),
        }


def read(database: databases.Database, summary: summaries.Summary) -> Efficiency | None:
    """Of a study as its summary saw it; None while it has no best value that is finite."""
    best, study = None if summary.best is None else summary.best.value, summary.study
    if best is None or not math.isfinite(best):
        return None
    found: baselines.Baseline | None = None
    note = None
    try:
        found = None if summary.imported else baselines.find(study.spec)  # what its results cost was paid elsewhere
    except errors.InputError as error:
        note = str(error)

    def transaction(connection: Connection) -> tuple[float | None, float, float, Saved, list[baselines.Paid]]:
        bar = _bar(connection, study, best)
        fine, paused = (0.0, 0.0) if bar is None else _fine_seconds(connection, study, bar)
        return bar, fine, paused, _saved(connection, study), _sample(connection, study.study_id) if found else []

    bar, fine, paused, saved, sample = database.read(transaction)
    if bar is None:
        return None
    seconds = max(summary.done_seconds + paused, fine)  # of two looks, between which trials may have ended
    random = None if found is None else against(found, sample, summary.seconds, best)
    margin = POOR if study.spec.training is not None else None
    return Efficiency(best, bar, margin, seconds, seconds - fine, saved, random, note)


def against(baseline: baselines.Baseline, sample: list[baselines.Paid], seconds: float, best: float) -> Random | None:
    """Random search in so many seconds of training; None where no trial of the sample is of the table."""
    pace = baseline.pace(sample)
    if pace is None:
        return None
    low, _, high = (float(each) for each in baseline.quartiles([seconds / pace], MOMENTS)[:, 0])
    until = pace * baseline.seconds_to(best)
    expected = float(baseline.expected([seconds / pace], MOMENTS)[0])
    return Random(expected, low, high, until if math.isfinite(until) else None, pace, baseline)


def last_epoch(spec: specs.StudySpec) -> int | None:
    """Of a whole trial, where it is known."""
    return spec.training.epochs if spec.training else spec.pruning.max_resource


def _bar(connection: Connection, study: studies.Study, best: float) -> float | None:
    """The value that parts poor trials from others: a little below the best accuracy.

    Where it is not known what a value measures, it is the median of the complete trials; None where that is infinite.
    """
    if study.spec.training is not None:
        return best - POOR
    t, v, infinite = schema.trials.c, schema.values.c, excerpts.infinity()
    join = (v.trial_id == t.trial_id) & (v.objective == 0)
    is_known = sqlalchemy.or_(infinite != 0, excerpts.is_number(connection, v.value))
    known = (t.study_id == study.study_id, t.state == TrialState.COMPLETE, is_known)
    many = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.trials).join(schema.values, join).where(*known)
    middle = max(0, int(connection.execute(many).scalar_one()) - 1) // 2
    query = sqlalchemy.select(v.value, v.value_type).select_from(schema.trials).join(schema.values, join).where(*known)
    row = connection.execute(query.order_by(infinite, v.value).offset(middle).limit(1)).first()
    found = None if row is None else trials.value_of(row.value, row.value_type)
    return found if found is not None and math.isfinite(found) else None


def _fine_seconds(connection: Connection, study: studies.Study, bar: float) -> tuple[float, float]:
    """Training time of trials that are no worse, ended or paused; and of all that are paused."""
    t, c, v, s = schema.trials.c, schema.claims.c, schema.values.c, schema.steps.c
    is_up, infinite = study.spec.study.direction == "maximize", excerpts.infinity()

    def is_fine(value: sqlalchemy.ColumnElement[float]) -> sqlalchemy.ColumnElement[bool]:
        return sqlalchemy.and_(value >= bar if is_up else value <= bar, excerpts.is_number(connection, value))

    own = sqlalchemy.select(sqlalchemy.func.coalesce(sqlalchemy.func.sum(c.seconds), 0.0))
    own = own.join_from(schema.trials, schema.claims, c.trial_id == t.trial_id).where(t.study_id == study.study_id)
    ended = own.join(schema.values, (v.trial_id == t.trial_id) & (v.objective == 0))
    told = sqlalchemy.or_(sqlalchemy.and_(infinite == 0, is_fine(v.value)), infinite == (1 if is_up else -1))
    ended = ended.where(t.state.in_(counts.COUNTED), told)
    paused = own.where(sqlalchemy.text(schema.PAUSED))
    waiting = paused.join(schema.steps, (s.trial_id == t.trial_id) & (s.step == c.paused))
    found = [
        float(connection.execute(query).scalar_one())
        for query in (ended, waiting.where(is_fine(s.intermediate_value)), paused)
    ]
    return found[0] + found[1], found[2]


def _saved(connection: Connection, study: studies.Study) -> Saved:
    """Of trials that wait or have ended while they paused, each at its own pace."""
    last, c, t = last_epoch(study.spec), schema.claims.c, schema.trials.c
    pruner = study.spec.pruning.pruner
    if last is None or pruner is None or not pruners.PRUNERS[pruner].pauses:
        return Saved(0, 0, 0.0)
    left = last - c.paused
    sums = (sqlalchemy.func.sum(left), sqlalchemy.func.sum(left * c.seconds / c.paused))
    query = sqlalchemy.select(sqlalchemy.func.count(), *(sqlalchemy.func.coalesce(each, 0) for each in sums))
    query = query.join_from(schema.claims, schema.trials, c.trial_id == t.trial_id)
    query = query.where(c.study_id == study.study_id, c.paused > 0, c.paused < last)
    row = connection.execute(query.where(t.state.in_((TrialState.WAITING, TrialState.PRUNED)))).one()
    return Saved(int(row[0]), int(row[1]), float(row[2]))


def _sample(connection: Connection, study_id: int) -> list[baselines.Paid]:
    """What the latest of the ended trials have cost."""
    t, c = schema.trials.c, schema.claims.c
    query = sqlalchemy.select(t.trial_id, c.reached, c.seconds).join(schema.claims, c.trial_id == t.trial_id)
    query = query.where(t.study_id == study_id, t.state.in_(counts.COUNTED), c.seconds > 0)
    rows = connection.execute(query.order_by(t.trial_id.desc()).limit(SAMPLE)).all()
    read = trials.read(connection, study_id, [row.trial_id for row in rows], (), steps=False)
    params = {trial._trial_id: trial.params for trial in read}
    return [baselines.Paid(params[row.trial_id], row.reached, row.seconds) for row in rows if row.trial_id in params]
