"""What the other trials of a study had at a step, for pruners: of ended ones it is read once and then remembered.

An ended trial does not change unless it is woken: then all are forgotten. At each report only trials that are new, or
had not ended, are looked at again.
"""

import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy
import sqlalchemy
from optuna.trial import TrialState

from search.ledger import studies, wakings
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import pruners

BATCH = 500  # ids a query, which every SQLite takes
WAKINGS = sqlalchemy.select(wakings.count(statements.STUDY))
WHOLE_FROM = 2_000  # ids from which on a study's rows are read, and what was not asked for left out


class Rivals:
    """The trials of one study, in the memory of a process; its threads share it."""

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id
        self._lock = threading.Lock()
        self._wakings = 0
        self._forget()

    def _forget(self) -> None:
        self._after = -1  # ids up to here are known
        self._unfinished: frozenset[int] = frozenset()
        self._ended: list[tuple[int, int, bool]] = []  # id, number, whether it is complete
        self._read: dict[int, int] = {}  # how many of these are read, by step
        self._ids: dict[int, numpy.ndarray] = {}  # of those that have reported the step
        self._others: dict[int, pruners.Others] = {}

    def others(self, connection: sqlalchemy.Connection, trial_id: int, step: int) -> pruners.Others:
        """What the trials but one have stored at a step; a waiting trial's will be trained again."""
        with self._lock:
            woken = connection.execute(WAKINGS, {"study": self._study_id}).scalar() or 0
            if woken != self._wakings:
                self._forget()
                self._wakings = woken
            running = self._refresh(connection)
            self._read_ended(connection, step)
            mine = self._ids[step] == trial_id
            ended = self._others[step]
        ended = ended.only(~mine) if mine.any() else ended
        running.pop(trial_id, None)
        values = _values(connection, list(running), step)
        return ended.and_also(
            pruners.Others.of([pruners.Other(running[id_], TrialState.RUNNING, value) for id_, value in values])
        )

    def _refresh(self, connection: sqlalchemy.Connection) -> dict[int, int]:
        """Looks at what is new or had not ended; returns the numbers of running trials, by id."""
        t, again = schema.trials.c, sorted(self._unfinished)
        select = sqlalchemy.select(t.trial_id, t.number, t.state).where(t.study_id == self._study_id)
        rows = list(connection.execute(select.where(t.trial_id > self._after)))
        if len(again) < WHOLE_FROM:
            for ids in _batches(again):
                rows += connection.execute(select.where(t.trial_id.in_(ids)))
        else:
            known = frozenset(again)
            between = select.where(t.trial_id >= again[0], t.trial_id <= self._after)
            rows += [row for row in connection.execute(between) if row[0] in known]
        # after all was read: what fails half-way is run again
        self._ended += [(id_, number, state == TrialState.COMPLETE) for id_, number, state in rows if _has_ended(state)]
        self._unfinished = frozenset(id_ for id_, _, state in rows if not _has_ended(state))
        self._after = max([self._after, *(id_ for id_, _, _ in rows)])
        return {id_: number for id_, number, state in rows if state == TrialState.RUNNING}

    def _read_ended(self, connection: sqlalchemy.Connection, step: int) -> None:
        """Adds what trials have had at the step that ended since it was asked for last."""
        begun, ends = self._read.get(step, 0), len(self._ended)
        fresh = {id_: (number, complete) for id_, number, complete in self._ended[begun:]}
        if len(fresh) < WHOLE_FROM:
            values = _values(connection, list(fresh), step)
        else:
            values = [pair for pair in _all_values(connection, self._study_id, step) if pair[0] in fresh]
        known = [(id_, *fresh[id_], value) for id_, value in values]
        more = pruners.Others(
            numpy.array([number for _, number, _, _ in known], numpy.int64),
            numpy.array([complete for _, _, complete, _ in known], bool),
            numpy.array([value for *_, value in known], float),
        )
        ids = numpy.array([id_ for id_, *_ in known], numpy.int64)
        if step not in self._others:
            self._ids[step], self._others[step] = ids, more
        elif len(ids):
            self._ids[step] = numpy.concatenate([self._ids[step], ids])
            self._others[step] = self._others[step].and_also(more)
        self._read[step] = ends


# SQLite gives the ids of a deleted study out again: the token is a study's alone
_KNOWN: weakref.WeakKeyDictionary[Database, dict[str, Rivals]] = weakref.WeakKeyDictionary()


def of(database: Database, study: studies.Study) -> Rivals:
    """What this process remembers of a study."""
    return _KNOWN.setdefault(database, {}).setdefault(study.token, Rivals(study.study_id))


def _has_ended(state: TrialState) -> bool:
    return bool(state.is_finished())


def _batches(ids: Sequence[int]) -> Iterator[Collection[int]]:
    return (ids[at : at + BATCH] for at in range(0, len(ids), BATCH))


def _values(connection: sqlalchemy.Connection, ids: Sequence[int], step: int) -> list[tuple[int, float]]:
    """What some trials have stored at a step, by id."""
    s = schema.steps.c
    select = sqlalchemy.select(s.trial_id, s.intermediate_value, s.intermediate_value_type)
    rows = [
        row for some in _batches(ids) for row in connection.execute(select.where(s.trial_id.in_(some), s.step == step))
    ]
    return [(row[0], statements.stored_step_value(row[1], row[2])) for row in rows]


def _all_values(connection: sqlalchemy.Connection, study_id: int, step: int) -> list[tuple[int, float]]:
    s = schema.steps.c
    select = sqlalchemy.select(s.trial_id, s.intermediate_value, s.intermediate_value_type)
    mine = select.join(schema.trials, schema.trials.c.trial_id == s.trial_id)
    rows = connection.execute(mine.where(schema.trials.c.study_id == study_id, s.step == step))
    return [(row[0], statements.stored_step_value(row[1], row[2])) for row in rows]


def reason(
    database: Database, study: studies.Study, trial_id: int, number: int, values: Mapping[int, float]
) -> str | None:
    """Why the study's population pruner would end a trial after its last step, or None.

    Args:
        values: of the trial, by step.
    """
    spec, step, known = study.spec, max(values), of(database, study)
    standing = pruners.Standing(
        study_name=spec.name,
        maximize=spec.study.direction == "maximize",
        number=number,
        values=dict(values),
        others=database.read(lambda connection: known.others(connection, trial_id, step)),
        epochs=spec.training.epochs if spec.training else spec.pruning.max_resource,
        settings=spec.pruning.settings,
    )
    return pruners.reason(spec.pruning.pruner or "", standing)
