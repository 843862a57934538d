"""What must hold when the chaos is over: counts, values, whose failures are real, what is left in the tables."""

import concurrent.futures
import itertools
import os
import pathlib
import re
import types
from collections.abc import Iterator
from typing import Any

import chaos_objectives
import chaos_tools
import sqlalchemy
from chaos_workers import OWNERS
from optuna.trial import FrozenTrial, TrialState

from search.ledger import adoptions, counts, studies, summaries
from search.storage import databases, schema
from search.training import networks, records, replays

ROUNDING = 5e-5  # of values in a reason
PRUNED_BY_MEDIAN = re.compile(
    r"median pruner after epoch (\d+): best ([\d.]+) is worse than ([\d.]+), the median of (\d+) complete trials"
)
Curve = dict[int, float]
# (trial_id, generation, pid, reached), the first owner first
Owner = Any


class Checks:
    """Of one database. `faults` is empty where every promise was kept."""

    def __init__(self, database: databases.Database, killed: set[int], data_dir: pathlib.Path) -> None:
        self._database, self._killed, self._data_dir = database, killed, data_dir
        self._numbers: dict[int, tuple[str, int]] = {}
        self._owners = self._read_owners()
        self.faults: list[str] = []
        self.replayed = self.real_failures = self.adoptions = 0

    def check(self, study: studies.Study, deeds: chaos_tools.Deeds) -> summaries.Whole:
        """Everything that holds of one study; returns it as it is."""
        summary = summaries.whole(self._database, study)
        one = _Study(study, summary, deeds, self._excused(study), self._faulty)
        one.count(self._database)
        one.added(self._database)
        one.configurations()
        train = networks.NetworkObjective(study.spec, self._data_dir) if study.spec.training else None
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = pool.map(lambda trial: _again(study, train, trial) if _is_whole(study, trial) else None, one.ours)
            for trial, again in zip(one.ours, results, strict=True):
                self.replayed += again is not None
                one.trial(trial, again)
        for trial in summary.trials:
            if trial.number not in deeds.added | deeds.told and trial.state == TrialState.FAIL:
                self._failed(one, trial)
        self._adopted(study, summary)
        return summary

    def _excused(self, study: studies.Study) -> frozenset[int]:
        """Numbers of failed trials that count against no limit."""
        trials, rows = schema.trials, schema.claims
        joined = trials.join(rows, rows.c.trial_id == trials.c.trial_id, isouter=True)
        query = sqlalchemy.select(trials.c.number).select_from(joined)
        no_fault = sqlalchemy.or_(rows.c.told.is_not(True), rows.c.excused)
        query = query.where(trials.c.study_id == study.study_id, trials.c.state == TrialState.FAIL, no_fault)
        return frozenset(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def leftovers(self, summaries_: list[summaries.Whole]) -> None:
        """Rows that nobody needs any more, in the whole database."""
        trials, kept = schema.trials, schema.checkpoints
        ended = sqlalchemy.select(trials.c.trial_id).where(trials.c.state.in_((*counts.COUNTED, TrialState.FAIL)))
        left = sqlalchemy.select(sqlalchemy.func.count()).select_from(kept).where(kept.c.trial_id.in_(ended))
        values = sqlalchemy.select(sqlalchemy.func.count()).select_from(schema.values)
        left_over, stored = self._database.read(
            lambda connection: tuple(connection.execute(query).scalar_one() for query in (left, values))
        )
        self._faulty(left_over == 0, f"{left_over} checkpoints of ended trials are left")
        having = sum(trial.value is not None for each in summaries_ for trial in each.trials)
        self._faulty(stored == having, f"{stored} values are stored for {having} trials that have one")

    def _faulty(self, kept: bool, fault: str) -> None:
        if not kept:
            self.faults.append(fault)

    def _read_owners(self) -> dict[int, list[Owner]]:
        rows = self._database.read(
            lambda connection: connection.execute(sqlalchemy.select(OWNERS).order_by(OWNERS.c.line)).all()
        )
        found: dict[int, list[Owner]] = {}
        for row in rows:
            found.setdefault(row.trial_id, []).append(row)
        return found

    def _adopted(self, study: studies.Study, summary: summaries.Whole) -> None:
        """A trial changes hands without being handed over only where its owner was killed."""
        for trial in summary.trials:
            for before, after in itertools.pairwise(self._owners.get(trial._trial_id, [])):
                if before.pid and after.pid:
                    self.adoptions += 1
                    fault = f"{study.name}: trial {trial.number} was taken from process {before.pid}, which lived"
                    self._faulty(before.pid in self._killed, fault)

    def _failed(self, one: "_Study", trial: FrozenTrial) -> None:
        """Three owners in a row that the suite killed, none of whom got further; or the queue asked for it."""
        reason = records.REASON.read(trial, "no reason")
        if reason.startswith(f"its worker died {adoptions.STALL_LIMIT} times in a row"):
            last = self._owners[trial._trial_id][-adoptions.STALL_LIMIT - 1 :]
            *tried, end = last
            in_a_row = [row.generation for row in last] == list(range(last[0].generation, end.generation + 1))
            real = len(tried) == adoptions.STALL_LIMIT and in_a_row and tried[0].reached == end.reached
            self._faulty(
                real and all(row.pid in self._killed for row in tried),
                f"{one.name}: trial {trial.number} failed falsely: {reason}: {[tuple(row) for row in last]}",
            )
            self.real_failures += 1
            return
        self._faulty(one.is_refused(trial), f"{one.name}: trial {trial.number} failed falsely: {reason}")


class _Study:
    """One study, beside what the other tool did to it."""

    def __init__(
        self,
        study: studies.Study,
        summary: summaries.Whole,
        deeds: chaos_tools.Deeds,
        excused: frozenset[int],
        faulty: Any,
    ) -> None:
        self.name, self._study, self._summary, self._deeds, self._excused = study.name, study, summary, deeds, excused
        self._faulty = lambda kept, fault: faulty(kept, f"{study.name}: {fault}")
        foreign = deeds.added.keys() | deeds.ran | deeds.foreign
        self._foreign = foreign
        self.ours = [t for t in summary.trials if t.number not in foreign and t.state in counts.COUNTED]

    def count(self, database: databases.Database) -> None:
        """The budget, to the trial, by two ways of counting; nothing runs, and what waits is another tool's."""
        summary = self._summary
        counted = database.read(lambda connection: counts.read(connection, self._study.study_id))
        self._faulty(summary.done == summary.budget, f"{summary.done} trials done, the budget is {summary.budget}")
        self._faulty(counted.done == summary.done, f"{counted.done} are counted, {summary.done} are there")
        for trial in summary.trials:
            ended = trial.state.is_finished() or (trial.state == TrialState.WAITING and trial.number in self._queued)
            self._faulty(ended, f"trial {trial.number} is {trial.state.name}")
        for number, (state, value, params) in self._deeds.added.items():
            trial = summary.trials[number]
            same = (trial.state, trial.value, trial.params) == (state, value, params)
            self._faulty(same, f"trial {number}, which was added, has changed")
        for number, (state, value) in self._deeds.told.items():
            trial = summary.trials[number]
            same = trial.state == state and (value is None or trial.value == value)
            self._faulty(same, f"trial {number}, told as {state.name} {value}, is {trial.state.name} {trial.value}")

    @property
    def _queued(self) -> set[int]:
        return self._deeds.queued.keys() | self._deeds.given

    def added(self, database: databases.Database) -> None:
        """The rows of other tools' trials are those that it brought, and all are reserved or looked at."""
        rows, trials = schema.added, schema.trials
        query = sqlalchemy.select(trials.c.number, rows.c.ran, rows.c.is_known)
        query = query.join(rows, rows.c.trial_id == trials.c.trial_id).where(rows.c.study_id == self._study.study_id)
        found = database.read(lambda connection: connection.execute(query).all())
        for ran, wanted in ((False, self._deeds.added.keys()), (True, self._deeds.ran)):
            there = {row.number for row in found if row.ran == ran}
            self._faulty(there == wanted, f"search_added (ran={ran}) has {sorted(there)}, expected {sorted(wanted)}")
        unknown = [row.number for row in found if not row.is_known]
        self._faulty(not unknown, f"search_added: {unknown} are not known yet")
        best = self._summary.best
        self._faulty(best is None or best.number not in self._summary.outside, "the best is outside the space")

    def configurations(self) -> None:
        """No configuration of ours came twice, or after another tool had brought it."""
        holders: dict[str, list[int]] = {}
        for trial in self._summary.trials:
            if trial.state in counts.COUNTED and _is_whole(self._study, trial):
                holders.setdefault(self._study.spec.space.key(trial.params), []).append(trial.number)
        for numbers in holders.values():
            ours = [number for number in numbers if number not in self._foreign]
            self._faulty(len(ours) < 2, f"trials {ours} have one configuration")
            late = [n for n in ours for other in numbers if other in self._deeds.added and other < n]
            self._faulty(not late, f"trials {late} were trained though another tool had brought them")

    def is_refused(self, trial: FrozenTrial) -> bool:
        """Whether a failed trial is one that was queued and cannot be."""
        params, can_be = self._deeds.queued.get(trial.number, ({}, trial.number not in self._deeds.given))
        space = self._study.spec.space
        others = (other for other in self._summary.trials if other.number != trial.number)
        taken = {space.key(other.params) for other in others if _is_whole(self._study, other)}
        params = params or trial.system_attrs.get(records.FIXED_PARAMS, {})
        is_ours = trial.number in self._queued and trial.number in self._excused
        return is_ours and (not can_be or space.key(params) in taken)

    def trial(self, trial: FrozenTrial, again: tuple[TrialState, float | None, Curve, str | None] | None) -> None:
        """Its curve is that of an undisturbed training; its end too, unless another tool has told it."""
        if again is None:
            self._faulty(trial.number in self._deeds.told, f"trial {trial.number} has no whole configuration")
            return
        state, value, curve, reason = again
        if trial.number in self._deeds.told:
            wrong = {step for step, stored in trial.intermediate_values.items() if curve.get(step) != stored}
            self._faulty(not wrong, f"trial {trial.number}, told by another tool, differs in epochs {sorted(wrong)}")
            return
        same = (state, value, curve) == (trial.state, trial.value, trial.intermediate_values)
        self._faulty(same, f"trial {trial.number} is not the one of an undisturbed training")
        stored = records.REASON.find(trial)
        if stored and stored.startswith("median"):
            self._faulty(self._is_plausible(trial, stored), f"trial {trial.number} was pruned falsely: {stored}")
        elif trial.state == TrialState.PRUNED:
            self._faulty(stored == reason, f"trial {trial.number} was pruned since {stored!r}; again: {reason!r}")
        params, can_be = self._deeds.queued.get(trial.number, (trial.params, True))
        self._faulty(can_be and params == trial.params, f"trial {trial.number} is not what was queued: {params}")

    def _is_plausible(self, trial: FrozenTrial, reason: str) -> bool:
        """Whether the median of complete trials at that epoch may have been above this one."""
        if not (found := PRUNED_BY_MEDIAN.fullmatch(reason)):
            return False
        step, count = int(found[1]), int(found[4])
        best, bound = float(found[2]), float(found[3])
        values = trial.intermediate_values
        complete = [t for t in self._summary.trials if t.state == TrialState.COMPLETE and step in t.intermediate_values]
        others = [t.intermediate_values[step] for t in complete]
        startup = self._study.spec.pruning.settings["startup_trials"]
        return (
            step == max(values)
            and abs(max(values.values()) - best) <= ROUNDING
            and best <= bound
            and startup <= count <= len(others)
            and min(others) - ROUNDING <= bound <= max(others) + ROUNDING
        )


def _is_whole(study: studies.Study, trial: FrozenTrial) -> bool:
    return study.spec.space.holds(trial.params)


def _again(
    study: studies.Study, train: networks.NetworkObjective | None, trial: FrozenTrial
) -> tuple[TrialState, float | None, Curve, str | None]:
    """Trains a trial again, undisturbed: its state, value, curve, and why it was pruned."""
    if train is not None:
        again = replays.ReplayedTrial(trial)
        result = train(again)
        return result.state, result.value, again.values, result.attrs.get(records.REASON.name)
    function: Any = getattr(chaos_objectives, study.name)
    values: Iterator[float] = function(types.SimpleNamespace(params=trial.params))
    curve = dict(enumerate(values, 1))
    return TrialState.COMPLETE, curve[max(curve)], curve, None
