"""Studies that are none of ours: another tool made them with Optuna, and they have no study file and no budget."""

import dataclasses
from typing import Any

import optuna
import sqlalchemy
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search import words
from search.ledger import excerpts, studies
from search.storage import schema
from search.storage import trials as stored
from search.storage.databases import Database

CONSTRAINTS = "constraints"  # Optuna's system attribute: a trial with one above 0 is none of the best
OPTUNAS = "optuna"  # its state, where ours are active, paused or stopped


@dataclasses.dataclass(frozen=True)
class Outsider:
    """Another tool's study at one moment.

    Attributes:
        directions: `minimize` or `maximize`, of each objective.
        metrics: a name for each objective: Optuna's, or `value`.
        counts: how many trials are in a state.
        best: the trial with the best value; None without one, and where there are several objectives.
    """

    study_id: int
    name: str
    directions: tuple[str, ...]
    metrics: tuple[str, ...]
    counts: dict[TrialState, int]
    best: FrozenTrial | None

    @property
    def total(self) -> int:
        """How many trials it has."""
        return sum(self.counts.values())

    @property
    def goal(self) -> str:
        """What it seeks: `minimize loss, maximize accuracy`."""
        return ", ".join(" ".join(pair) for pair in zip(self.directions, self.metrics, strict=True))

    def as_json(self) -> dict[str, Any]:
        """What `list --json` and `status --json` have of it."""
        best = self.best
        return {
            "name": self.name,
            "state": OPTUNAS,
            "directions": list(self.directions),
            "metrics": list(self.metrics),
            "trials": {word: self.counts.get(state, 0) for state, word in words.STATES.items()},
            "best": best and {"number": best.number, "value": best.value, "params": best.params},
        }


def read(database: Database, study: studies.Stored) -> Outsider:
    """The study now; of its trials only the best is read.

    Raises:
        errors.StudyNotFound: it was deleted.
    """
    count = sqlalchemy.select(schema.trials.c.state, sqlalchemy.func.count())
    count = count.where(schema.trials.c.study_id == study.study_id).group_by(schema.trials.c.state)
    counts = {row[0]: int(row[1]) for row in database.read(lambda connection: connection.execute(count).all())}
    directions = database.call(lambda: database.optuna.get_study_directions(study.study_id))
    named = database.call(lambda: database.optuna.get_study_system_attrs(study.study_id)).get(studies.METRIC_NAMES)
    if not isinstance(named, list) or len(named) != len(directions):
        several = len(directions) > 1
        named = [f"value {number}" if several else "value" for number in range(len(directions))]
    best = None
    if len(directions) == 1 and counts.get(TrialState.COMPLETE):
        best = database.call(lambda: _best(database, study.study_id))
    shown = tuple(direction.name.lower() for direction in directions)
    return Outsider(study.study_id, study.name, shown, tuple(map(str, named)), counts, best)


def _best(database: Database, study_id: int) -> FrozenTrial | None:
    try:
        return database.optuna.get_best_trial(study_id)
    except ValueError:  # Optuna's word for: no complete trial
        return None


def trials(database: Database, study: Outsider) -> list[FrozenTrial]:
    """All its trials, by number."""
    return database.read(lambda connection: stored.read(connection, study.study_id))


def excerpt(database: Database, study: Outsider) -> list[FrozenTrial]:
    """Its best trial and the last ones, by number."""
    t = schema.trials.c
    last = sqlalchemy.select(t.trial_id).where(t.study_id == study.study_id)

    def transaction(connection: sqlalchemy.Connection) -> list[FrozenTrial]:
        ids = set(connection.execute(last.order_by(t.trial_id.desc()).limit(excerpts.LATEST)).scalars())
        ids |= set() if study.best is None else {study.best._trial_id}
        return stored.read(connection, study.study_id, ids)

    return database.read(transaction)


def front(study: Outsider, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Of several objectives the complete trials that no other is better than in all."""
    found = optuna.create_study(directions=[StudyDirection[each.upper()] for each in study.directions])
    found.add_trials([_bare(trial) for trial in trials if trial.state == TrialState.COMPLETE and trial.values])
    kept = {tuple(trial.values) for trial in found.best_trials}
    return [trial for trial in trials if trial.state == TrialState.COMPLETE and tuple(trial.values or ()) in kept]


def _bare(trial: FrozenTrial) -> FrozenTrial:
    """What decides whether a trial is better: Optuna copies all that there is, twice."""
    constraints = {key: value for key, value in trial.system_attrs.items() if key == CONSTRAINTS}
    return optuna.trial.create_trial(values=trial.values, system_attrs=constraints)


def parameters(trials: list[FrozenTrial]) -> list[str]:
    """The names of all that trials were given, in the order in which they appeared."""
    return list(dict.fromkeys(name for trial in trials for name in trial.params))
