"""A study's trials as samplers read them: a few numbers of each in arrays, and whole only those that are shown.

A trial that has paused is shown as one that was pruned there, until it goes on: what it has reported says something.
"""

import dataclasses
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import numpy
import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

from search.storage import schema, statements, trials

CachedStorage = _CachedStorage
UNKNOWN = 255  # the state of a number that no trial has, or whose trial is not to be shown
SPARE = 1_024  # places that arrays grow by, at least
KEPT = 4  # times as many trials are kept as were shown last
UNFINISHED = (TrialState.RUNNING.value, TrialState.WAITING.value)


@dataclasses.dataclass
class Index:
    """What is known of every trial, each array by the trial's number.

    Attributes:
        states: `TrialState.value`, or UNKNOWN, uint8; PRUNED of trials that have paused.
        values: of the only objective, float64; nan where there is none.
        last_steps: of pruned trials the last step that was reported, int64; -1 where there is none.
        last_values: what was reported there, float64.
        ids: `trial_id`, int64.
    """

    states: numpy.ndarray
    values: numpy.ndarray
    last_steps: numpy.ndarray
    last_values: numpy.ndarray
    ids: numpy.ndarray

    @classmethod
    def empty(cls) -> "Index":
        """Of no trial."""
        return cls(*(numpy.empty(0, kind) for kind in (numpy.uint8, float, numpy.int64, float, numpy.int64)))

    def __len__(self) -> int:
        return len(self.states)

    def numbers(self, *states: TrialState) -> numpy.ndarray:
        """The numbers of trials in one of these states, ascending."""
        return numpy.flatnonzero(numpy.isin(self.states, [state.value for state in states]))

    def grow(self, length: int) -> None:
        """Makes room for trials up to a number."""
        more = length - len(self)
        if more <= 0:
            return
        for field, blank in zip(dataclasses.fields(self), (UNKNOWN, numpy.nan, -1, numpy.nan, -1), strict=True):
            old = getattr(self, field.name)
            setattr(self, field.name, numpy.concatenate([old, numpy.full(more, blank, old.dtype)]))

    def cut(self, length: int) -> "Index":
        """The same arrays, as far as there are trials."""
        return Index(*(getattr(self, field.name)[:length] for field in dataclasses.fields(self)))


View = Callable[[Index], Sequence[int] | numpy.ndarray]


class History(CachedStorage):
    """One study, as much of it as samplers ask for: each row is read once and answered from memory then.

    TPE shares a half-made proposal through a write of its own, which our fencing would not cover: it stays in memory.

    Args:
        read: runs a transaction that reads, with the patience of its database.
    """

    def __init__(
        self, backend: optuna.storages.RDBStorage, read: Callable[[Callable[..., Any]], Any], study_id: int
    ) -> None:
        super().__init__(backend)
        self._read, self._study_id = read, study_id
        self._index, self._length, self._after = Index.empty(), 0, -1
        self._unfinished: set[int] = set()
        self._asleep: dict[int, int] = {}  # the epoch after which trials have paused, by id
        self._trials: dict[int, FrozenTrial] = {}
        self._held: set[int] = set()  # ended trials of the space, which need no second look
        self._shown: list[FrozenTrial] = []

    @property
    def index(self) -> Index:
        """The trials as of the last refresh."""
        return self._index.cut(self._length)

    def refresh(self) -> None:
        """Reads what is new and what was unfinished."""
        self._read(self._refresh)

    def _refresh(self, connection: sqlalchemy.Connection) -> None:
        known, asleep = schema.trials.c, self._paused(connection)
        rows = self._rows(connection, known.trial_id > self._after)
        changed = {key for key, _ in asleep.items() ^ self._asleep.items() if key <= self._after}
        again = sorted({*self._unfinished, *changed})
        if len(again) < trials.WHOLE_FROM:
            for at in range(0, len(again), trials.BATCH):
                rows += self._rows(connection, known.trial_id.in_(again[at : at + trials.BATCH]))
        else:
            rows += self._rows(connection, known.trial_id >= again[0], known.trial_id <= self._after)
        awake = {row.trial_id for row in rows if row.state != TrialState.WAITING}
        asleep = {key: epoch for key, epoch in asleep.items() if key not in awake}
        stopped = [row.trial_id for row in rows if row.state == TrialState.PRUNED or row.trial_id in asleep]
        pruned = self._last_steps(connection, stopped)
        gone = set(again) - {row.trial_id for row in rows}
        self._take_in(rows, pruned, gone, asleep)

    def _paused(self, connection: sqlalchemy.Connection) -> dict[int, int]:
        c = schema.claims.c
        query = sqlalchemy.select(c.trial_id, c.paused).where(c.study_id == self._study_id)
        return {row[0]: row[1] for row in connection.execute(query.where(sqlalchemy.text(schema.PAUSED)))}

    def _rows(self, connection: sqlalchemy.Connection, *where: sqlalchemy.ColumnElement[bool]) -> list[Any]:
        t, v = schema.trials.c, schema.values.c
        value = sqlalchemy.and_(v.trial_id == t.trial_id, v.objective == 0)
        query = sqlalchemy.select(t.trial_id, t.number, t.state, v.value, v.value_type)
        query = query.select_from(schema.trials.join(schema.values, value, isouter=True))
        return list(connection.execute(query.where(t.study_id == self._study_id, *where)).all())

    def _last_steps(self, connection: sqlalchemy.Connection, ids: Sequence[int]) -> dict[int, tuple[int, float]]:
        s, later = schema.steps.c, schema.steps.alias().c
        last = sqlalchemy.select(sqlalchemy.func.max(later.step)).where(later.trial_id == s.trial_id).scalar_subquery()
        query = sqlalchemy.select(s.trial_id, s.step, s.intermediate_value, s.intermediate_value_type)
        query = query.where(s.step == last)
        found: list[Any] = []
        if len(ids) < trials.WHOLE_FROM:
            for at in range(0, len(ids), trials.BATCH):
                found += connection.execute(query.where(s.trial_id.in_(ids[at : at + trials.BATCH])))
        else:
            t = schema.trials.c
            mine = query.join(schema.trials, t.trial_id == s.trial_id).where(t.study_id == self._study_id)
            found = list(connection.execute(mine.where(t.state.in_([TrialState.PRUNED, TrialState.WAITING]))))
        return {row[0]: (row[1], statements.stored_step_value(row[2], row[3])) for row in found}

    def _take_in(
        self, rows: Iterable[Any], pruned: Mapping[int, Any], gone: Iterable[int], asleep: dict[int, int]
    ) -> None:
        """After all was read: what fails half-way may be run again."""
        index, self._asleep = self._index, asleep
        for trial_id in gone:  # deleted by hand
            self._unfinished.discard(trial_id)
            index.states[index.ids == trial_id] = UNKNOWN
        for trial_id, number, stored, value, kind in rows:
            state = TrialState.PRUNED if trial_id in asleep else stored
            self._trials.pop(number, None)  # it has changed
            if number >= len(index):
                index.grow(max(number + 1, len(index) + max(SPARE, len(index) // 2)))
            self._length, self._after = max(self._length, number + 1), max(self._after, trial_id)
            index.ids[number], index.states[number] = trial_id, state.value
            index.values[number] = numpy.nan if kind is None else trials.value_of(value, kind)
            index.last_steps[number], index.last_values[number] = pruned.get(trial_id, (-1, numpy.nan))
            (self._unfinished.discard if state.is_finished() else self._unfinished.add)(trial_id)

    def study(
        self,
        fresh: bool,
        holds: Callable[[dict[str, Any]], bool] | None = None,
        exact: Mapping[str, BaseDistribution] | None = None,
        view: View | None = None,
    ) -> optuna.Study:
        """An Optuna study over this history, for a sampler; it asks the database for nothing but its direction.

        Args:
            fresh: refresh it before.
            holds: whether a configuration is one of the space; ended trials of other tools may have another.
            exact: distributions that stand in the place of equal ones of Optuna's, which take True for 1.
            view: the numbers of the trials to show, from the index; None for all finished and running ones.
        """
        if fresh:
            self.refresh()
            self._shown = self._choose(holds, exact or {}, view or _all)
        else:
            self._shown = []
        return optuna.Study("", self, sampler=optuna.samplers.RandomSampler())

    def _choose(
        self, holds: Callable[[dict[str, Any]], bool] | None, exact: Mapping[str, BaseDistribution], view: View
    ) -> list[FrozenTrial]:
        """The trials of a view; one that is outside the space leaves its place to another."""
        while True:
            index = self.index
            numbers = sorted(int(number) for number in view(index))
            self._load([number for number in numbers if number not in self._trials], index, exact)
            if holds is None:
                break
            # a look costs as much as TPE spends on a trial
            unsure = [number for number in numbers if number not in self._held]
            outside = [number for number in unsure if not _is_kept(self._trials.get(number), holds)]
            if not outside:
                self._held.update(n for n in unsure if index.states[n] not in UNFINISHED)
                break
            self._index.states[outside] = UNKNOWN
        shown = [self._trials[number] for number in numbers if number in self._trials]
        if len(self._trials) > KEPT * max(len(shown), SPARE):
            self._trials = {trial.number: trial for trial in shown}
        # read again when it is asked for again: what is not finished, and what has ended since the index was read,
        # of which it does not know the last step
        for number in numbers:
            if index.states[number] in UNFINISHED:
                self._trials.pop(number, None)
        return shown

    def _load(self, numbers: Sequence[int], index: Index, exact: Mapping[str, BaseDistribution]) -> None:
        if not numbers:
            return
        ids = [int(index.ids[number]) for number in numbers]
        for trial in self._read(lambda c: trials.read(c, self._study_id, ids, attributes=(), steps=False)):
            trial.distributions.update({name: d for name, d in exact.items() if name in trial.distributions})
            if index.states[trial.number] == TrialState.PRUNED.value:  # it may wait, paused
                trial.state = TrialState.PRUNED
            if (step := int(index.last_steps[trial.number])) >= 0:
                trial.intermediate_values = {step: float(index.last_values[trial.number])}
            self._trials[trial.number] = trial

    def get_study_id_from_name(self, study_name: str) -> int:
        """The one study."""
        return self._study_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials that are shown, as of the last refresh, by number."""
        return [trial for trial in self._shown if states is None or trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Nothing: a trial's parameters appear at once and fenced, by `configurations.assign`."""


def _is_kept(trial: FrozenTrial | None, holds: Callable[[dict[str, Any]], bool]) -> bool:
    return trial is not None and (not trial.state.is_finished() or not trial.params or holds(trial.params))


def _all(index: Index) -> numpy.ndarray:
    return index.numbers(*(state for state in TrialState if state is not TrialState.WAITING))
