"""Runs a stored trial of the user's own code again, in a process as a worker's, and compares what it says."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search import errors, words
from search.child import codes
from search.study import judgements, specs
from search.training import objectives, records, replays

UNRECORDED = "nothing is recorded of its code"
Objective = Callable[[objectives.Trial], objectives.Result]


class Enough(Exception):
    """The trial has reported as many steps as are stored of one that was not run to its end. Never shown to a user."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """How it ended: with a value, or an error; with neither where only its steps are compared."""

    value: float | None = None
    error: str | None = None

    def is_same(self, other: "Ending") -> bool:
        """To the last bit; nan is nan."""
        return (repr(self.value), self.error) == (repr(other.value), other.error)

    def show(self) -> str:
        """With all digits: two that are compared may differ in the last."""
        return f"the error {self.error}" if self.error is not None else f"the value {self.value}"


@dataclasses.dataclass(frozen=True)
class Rerun(replays.Replay):
    """What is stored of a trial beside what its code says now.

    Attributes:
        ended: as it is stored, and `ends`, now.
        unseeded: what to look at where nothing that is recorded explains a difference.
    """

    ended: Ending = Ending()
    ends: Ending = Ending()
    unseeded: str = ""

    @property
    def is_same(self) -> bool:
        """Whether all values agree to the last bit, and the error of one that failed."""
        return not self.differences and self.ended.is_same(self.ends)

    def sentence(self) -> str:
        """For people."""
        steps, many = words.plural(len(self.again), "step"), bool(self.stored or self.again)
        whole = f"trial {self.number} trained again: "
        if self.is_same:
            if self.ends.error is not None:
                return f"{whole}it failed as it did, after {steps}: {self.ends.error}"
            if not many:
                return f"{whole}the same value, to the last bit: {self.ends.value}"
            ended = "" if self.ends.value is None else f"; it ended with {self.ends.value}"
            return f"{whole}the same values, to the last bit ({steps}){ended}"
        why = "; ".join(self.why) or f"nothing that is recorded of its training is different here: {self.unseeded}"
        return f"{whole}{', and '.join(self._differs())}: {why}"

    def _differs(self) -> list[str]:
        common, told = {*self.stored} & {*self.again}, []
        found = {step: each for step, each in self.differences.items() if step in common}
        if found:
            largest = max(found, key=lambda step: -1.0 if math.isnan(found[step]) else found[step])
            told.append(
                f"differs in {len(found)} of {words.plural(len(common), 'step')}, first in step {min(found)}, by "
                f"{found[largest]:.4g} at most (step {largest})"
            )
        for ours, theirs, how in ((self.again, self.stored, "more"), (self.stored, self.again, "fewer")):
            if count := len({*ours} - {*theirs}):
                told.append(f"it reported {words.plural(count, 'step')} {how} than are stored")
        if not self.ended.is_same(self.ends):
            off = "" if math.isnan(self._off) else f", {self._off:.4g} off"
            told.append(f"it ended with {self.ends.show()}, stored is {self.ended.show()}{off}")
        return told

    @property
    def _off(self) -> float:
        """By how much its value is another; nan where one has none."""
        if self.ended.value is None or self.ends.value is None:
            return math.nan
        return abs(self.ended.value - self.ends.value)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        told = super().as_json()
        if not math.isnan(self._off):
            told["largest_difference"] = max(told["largest_difference"], self._off)
        return {**told, "value": None, "stored": _told(self.ended), "again": _told(self.ends)}


def _told(ending: Ending) -> dict[str, Any]:
    return {"value": ending.value, "error": ending.error}


def rerun(
    trial: FrozenTrial,
    objective: Objective,
    spec: specs.StudySpec,
    on_step: Callable[[int], None] = lambda step: None,
) -> Rerun:
    """Runs the configuration of a trial with its seed: to its end, or as far as it came where others ended it.

    Raises:
        errors.InputError: nothing of it is stored.
    """
    failed = records.REASON.read(trial, "") if records.TRACEBACK.read(trial, "") else None
    is_whole = trial.state == TrialState.COMPLETE or (trial.state == TrialState.FAIL and failed is not None)
    if not is_whole and not trial.intermediate_values:
        reason = records.REASON.read(trial, f"it is {trial.state.name}")
        raise errors.InputError(f"trial {trial.number} has no values, so there is nothing to replay: {reason}")
    again = _Again(trial, is_whole, on_step)
    stored, ends = Ending(), Ending()
    try:
        result = objective(again)
        ends = Ending(value=result.value)
    except Enough:
        pass
    except objectives.Failed as error:
        ends = Ending(error=str(error))
    if is_whole:
        stored = Ending(error=failed) if trial.state == TrialState.FAIL else Ending(value=trial.value)
    elif ends.error is None:
        ends = Ending()  # what a pruned trial ends with is its last step's
    unseeded = f"is all that is random in it seeded with {judgements.seed_of(spec)}?"
    then = records.CODE.find(trial)
    why = codes.changes(then, again.attrs.get(records.CODE.name, {})) if then else (UNRECORDED,)
    return Rerun(
        trial.number, dict(trial.intermediate_values), again.values, why, ended=stored, ends=ends, unseeded=unseeded
    )


class _Again(replays.ReplayedTrial):
    """The trial, which ends where the stored one did, whether its code asks or not."""

    def __init__(self, trial: FrozenTrial, is_whole: bool, on_step: Callable[[int], None]) -> None:
        super().__init__(trial, on_step)
        self._last = math.inf if is_whole else len(trial.intermediate_values)
        self.attrs: dict[str, Any] = {}

    def keep(self, attrs: dict[str, Any]) -> None:
        """See `objectives.Trial`."""
        self.attrs.update(attrs)

    def check_stop(self) -> None:
        """See `objectives.Trial`."""
        if len(self.values) >= self._last:
            raise Enough
