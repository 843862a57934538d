"""Trains a stored trial again, undisturbed, and compares the curves."""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy
from optuna.trial import FrozenTrial, TrialState

from models.weights import Weights
from search import errors, words
from search.training import networks, objectives, origins, records

ENOUGH = "as many epochs as are stored"


@dataclasses.dataclass(frozen=True)
class Replay:
    """A stored curve beside the one of the same configuration and seed, trained now.

    Attributes:
        stored: values by epoch, and `again`.
        why: what is recorded of the stored training and differs now, a phrase each.
        value: which accuracies a trial's value is of, as `training.value` has it.
    """

    number: int
    stored: dict[int, float]
    again: dict[int, float]
    why: tuple[str, ...]
    value: str = "last"

    @property
    def differences(self) -> dict[int, float]:
        """By how much, at each epoch where the curves differ; nan where only one of them has a value."""
        epochs = sorted({*self.stored, *self.again})
        pairs = {epoch: (self.stored.get(epoch, math.nan), self.again.get(epoch, math.nan)) for epoch in epochs}
        return {epoch: abs(a - b) for epoch, (a, b) in pairs.items() if a != b and not (a != a and b != b)}

    @property
    def is_same(self) -> bool:
        """Whether the curves agree to the last bit."""
        return not self.differences

    def sentence(self) -> str:
        """For people."""
        found, epochs = self.differences, words.plural(len(self.again), "epoch")
        if self.is_same:
            mean = ""
            if self.value == records.MEAN_OF_LAST:
                value, many = records.value(list(self.again.values()), self.value), min(len(self.again), 3)
                mean = f"; its value, {value}, is the mean of the last {many}"
            return f"trial {self.number} trained again: the same curve, to the last bit ({epochs}){mean}"
        largest = max(found, key=lambda epoch: found[epoch])
        why = "; ".join(self.why) or "nothing that is recorded of its training is different here"
        return (
            f"trial {self.number} trained again: differs in {len(found)} of {epochs}, first in epoch {min(found)}, "
            f"by {found[largest]:.4g} at most (epoch {largest}): {why}"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found = self.differences
        return {
            "number": self.number,
            "same": self.is_same,
            "epochs": len(self.again),
            "first_difference": min(found, default=None),
            "largest_difference": max(found.values(), default=0.0),
            "why": list(self.why),
            "value": self.value,
            "stored": None,
            "again": None,
        }


def replay(
    trial: FrozenTrial, objective: networks.NetworkObjective, on_epoch: Callable[[int], None] = lambda epoch: None
) -> Replay:
    """Trains the configuration of a trial for as many epochs as are stored; `on_epoch` is told each.

    Raises:
        errors.InputError: the trial has no curve.
    """
    return retrain(trial, objective, on_epoch)[0]


def retrain(
    trial: FrozenTrial, objective: networks.NetworkObjective, on_epoch: Callable[[int], None] = lambda epoch: None
) -> tuple[Replay, Weights]:
    """The same, with the weights after the last epoch."""
    if not trial.intermediate_values:
        origins.check_trained_here(trial)
        reason = records.REASON.read(trial, f"it is {trial.state.name}")
        raise errors.InputError(f"trial {trial.number} was not trained, so there is nothing to replay: {reason}")
    again = ReplayedTrial(trial, on_epoch, objective.backend_of(trial))
    objective(again)
    why = _why(trial, objective.provenance)
    found = Replay(trial.number, dict(trial.intermediate_values), again.values, why, objective.value)
    return found, again.weights


class ReplayedTrial:
    """A trial that is trained again and stored nowhere: the objective's view of it."""

    def __init__(
        self, trial: FrozenTrial, on_epoch: Callable[[int], None] = lambda epoch: None, backend: str | None = None
    ) -> None:
        self.number, self.params = trial.number, trial.params
        self.repeat = records.repeat_of(trial)
        self.is_new = True
        self.backend = backend
        self.saved: objectives.Checkpoint | None = None
        self.values: dict[int, float] = {}
        self.weights: tuple[numpy.ndarray, ...] = ()
        self._on_epoch = on_epoch
        # a complete one ends by itself
        last = max(trial.intermediate_values, default=0)
        self._last = math.inf if trial.state == TrialState.COMPLETE else last

    def report(
        self, step: int, value: float, attrs: dict[str, Any], after: objectives.Checkpoint | None = None
    ) -> None:
        """See `objectives.Trial`."""
        self.values[step] = value
        self.weights = after.weights if after else ()
        self._on_epoch(step)

    def watch(self, printed: objectives.Printed, finish: Callable[[], None]) -> None:
        """See `objectives.Trial`."""

    def checkpoint(self, payload: objectives.Payload, step: int | None = None) -> None:
        """See `objectives.Trial`."""
        payload.discard()

    def fetch(self, payload: objectives.Payload, target: pathlib.Path) -> bool:
        """See `objectives.Trial`."""
        return False

    def heard(self) -> None:
        """See `objectives.Trial`."""

    def answering(self) -> contextlib.AbstractContextManager[None]:
        """See `objectives.Trial`."""
        return contextlib.nullcontext()

    def keep(self, attrs: dict[str, Any]) -> None:
        """See `objectives.Trial`."""

    def artifact(self, path: pathlib.Path, name: str) -> str:
        """Nowhere: the trial has its own."""
        return ""

    def should_prune(self) -> str | None:
        """Where the stored trial ended, whoever ended it."""
        return ENOUGH if len(self.values) >= self._last else None

    def check_stop(self) -> None:
        """See `objectives.Trial`."""


def _why(trial: FrozenTrial, now: dict[str, str]) -> tuple[str, ...]:
    trained = records.TRAINED.find(trial)
    if not trained:
        return ("nothing is recorded of how it was trained",)
    found = []
    for part in trained:
        then = part["with"]
        where = "" if len(trained) == 1 else f" in epochs {part['from']} to {part['to']}"
        for key in sorted({*then, *now}):
            if then.get(key) != now.get(key):
                found.append(f"{key} was {then.get(key, 'none')}{where} and is {now.get(key, 'none')} here")
    return tuple(found)
