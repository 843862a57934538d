"""What a worker remembers of a study's trials for a sampler that models them: parameters, curves, seconds."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search.ledger import counts, orders, studies, views
from search.space import spaces
from search.storage import schema, trials
from search.surrogates.trainings import Stage, Training

SHOWN = 300  # trials: the time of a model grows with their cube
BEST = 150  # of them the best; the others stand for all
FEW = 60  # trials

t, c = schema.trials.c, schema.claims.c
HEADS = sqlalchemy.select(t.trial_id, t.state, c.seconds, c.paused).select_from(
    schema.trials.join(schema.claims, c.trial_id == t.trial_id, isouter=True)
)


@dataclasses.dataclass(frozen=True)
class Known:
    """A study at one time, as a model is shown it.

    Attributes:
        trainings: up to `SHOWN` of those with values, the best among them, and all that run.
        taken: keys of all configurations that trials have.
        used: share of the budget that is given out, 0 to 1.
        budget: trials that the study may have.
        count: how many trials have a configuration.
        ended: how many trials are COMPLETE or PRUNED.
        waiting: those that have paused and may go on, by number; any number of them.
        regret: with which the study ends; None where it does not.
    """

    trainings: Sequence[Training]
    taken: frozenset[str]
    used: float
    budget: float
    count: int
    ended: int
    waiting: Sequence[Training] = ()
    regret: float | None = None

    @property
    def scarcity(self) -> float:
        """How scarce trials are, 1 where there is hardly one, 0 from `FEW` on."""
        return max(1 - self.budget / FEW, 0.0)

    @property
    def thrift(self) -> float:
        """How much a second counts, 0 to 1: less where trials are scarce, and the more of them there have been."""
        return (1 - self.scarcity) * (1 - self.used) / (1 + self.count / FEW)

    @property
    def state(self) -> tuple[tuple[int, Stage, int], ...]:
        """Equal where a model of it would be."""
        return tuple((each.number, each.stage, len(each.values)) for each in self.trainings)


def of(found: Sequence[FrozenTrial], tree: spaces.Space, maximize: bool) -> Known:
    """The same of trials as Optuna has them: nothing is known of their cost, nor whether one has paused."""
    inside = [trial for trial in found if trial.params and tree.holds(trial.params)]
    made = [(trial, stage) for trial in inside if (stage := _stage(trial.state, None)) is not None]
    shown = _shown([_training(trial, stage, 0.0) for trial, stage in made], maximize)
    return Known(
        shown,
        frozenset(tree.key(trial.params) for trial in inside),
        0.0,
        math.inf,
        len(inside),
        sum(t.state.is_finished() for t in found),
    )


def _training(trial: FrozenTrial, stage: Stage, seconds: float) -> Training:
    curve = numpy.array([trial.intermediate_values[step] for step in sorted(trial.intermediate_values)])
    value = trial.value if trial.state.is_finished() else None
    return Training(trial.number, trial.params, stage, curve, value, seconds)


class Trainings:
    """Of one study, in the memory of one worker: what has ended is read once."""

    def __init__(self) -> None:
        self._forget(0)

    def _forget(self, wakings: int) -> None:
        self._wakings, self._after = wakings, -1
        self._known: dict[int, Training] = {}  # by trial_id
        self._open: dict[int, tuple[TrialState, int | None]] = {}  # not ended: as they were read last
        self._keys: dict[int, str] = {}

    def read(self, connection: sqlalchemy.Connection, study: studies.Study) -> Known:
        """Reads what is new or has changed."""
        order = orders.latest(connection, study.study_id)
        if order.wakings != self._wakings:
            self._forget(order.wakings)
        mine = HEADS.where(t.study_id == study.study_id)
        heads = list(connection.execute(mine.where(t.trial_id > self._after)))
        waiting = sorted(self._open)
        for at in range(0, len(waiting), trials.BATCH):
            heads += connection.execute(mine.where(t.trial_id.in_(waiting[at : at + trials.BATCH])))
        changed = {
            row.trial_id: row
            for row in heads
            if row.state == TrialState.RUNNING or self._open.get(row.trial_id) != (row.state, row.paused)
        }
        found = trials.read(connection, study.study_id, list(changed), attributes=())
        for trial in found:
            self._take(trial, changed[trial._trial_id], study.spec.space)
        self._after = max([self._after, *(row.trial_id for row in heads)])
        tally = counts.read(connection, study.study_id)
        given = tally.done + tally.of(TrialState.RUNNING) + tally.of(TrialState.WAITING)
        shown = _shown(list(self._known.values()), study.spec.study.direction == "maximize")
        return Known(
            shown,
            frozenset(self._keys.values()),
            min(given / max(order.trials, 1), 1.0),
            order.trials,
            len(self._keys),
            tally.done,
            self._waiting(),
            order.regret,
        )

    def _waiting(self) -> list[Training]:
        asleep = [trial_id for trial_id, (_, paused) in self._open.items() if paused is not None]
        found = [self._known[trial_id] for trial_id in asleep if trial_id in self._known]
        return sorted((each for each in found if each.stage is Stage.PAUSED), key=lambda each: each.number)

    def _take(self, trial: FrozenTrial, row: sqlalchemy.Row[Any], tree: spaces.Space) -> None:
        trial_id = row.trial_id
        self._known.pop(trial_id, None)
        if row.state.is_finished():
            self._open.pop(trial_id, None)
        else:
            self._open[trial_id] = row.state, row.paused
        if not trial.params or not tree.holds(trial.params):
            return
        self._keys[trial_id] = tree.key(trial.params)
        if (stage := _stage(row.state, row.paused)) is not None:
            self._known[trial_id] = _training(trial, stage, row.seconds or 0.0)


def _stage(state: TrialState, paused: int | None) -> Stage | None:
    """How a model counts a trial; None where it learns nothing of it."""
    if state == TrialState.COMPLETE:
        return Stage.COMPLETE
    if paused is not None and state in (TrialState.WAITING, TrialState.PRUNED):
        return Stage.PAUSED
    # one that waits with parameters was handed over
    unfinished = {TrialState.RUNNING: Stage.RUNNING, TrialState.WAITING: Stage.RUNNING}
    return {TrialState.PRUNED: Stage.ENDED, **unfinished}.get(state)


def _shown(known: list[Training], maximize: bool) -> list[Training]:
    """At most `SHOWN`, the best and the others in turn, so that the first of them stand for all; and what runs."""
    ended = [each for each in known if each.stage is not Stage.RUNNING]
    running = [each for each in known if each.stage is Stage.RUNNING]
    sign = -1.0 if maximize else 1.0

    def rank(each: Training) -> float:
        return math.inf if math.isnan(each.last) else sign * each.last

    best = sorted(ended, key=rank)[: BEST if len(ended) > SHOWN else len(ended) // 2]
    chosen = {each.number for each in best}
    others = [each for each in ended if each.number not in chosen]
    places = views.scattered(numpy.array([each.number for each in others], numpy.int64))
    others = [others[place] for place in numpy.argsort(places, kind="stable")[: SHOWN - len(best)]]
    turns = [each for pair in zip(best, others, strict=False) for each in pair]
    shorter = min(len(best), len(others))
    return [*turns, *best[shorter:], *others[shorter:], *running]
