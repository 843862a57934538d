"""What every objective is given and gives: a trial in, checkpoints on the way, a result."""

import dataclasses
import pathlib
from typing import Any, Protocol

import numpy
from optuna.trial import TrialState

from search.space import spaces

SAVE_SECONDS = 20.0  # of training between two checkpoints of a trial


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training after a whole epoch.

    Attributes:
        epoch: how many are done.
        weights: of the network, in the order of `models.engine.State`.
        values: what was reported, an epoch each.
        history: what the objective needs beside them to go on as if nothing had happened; it survives JSON.
    """

    epoch: int
    weights: tuple[numpy.ndarray, ...]
    values: list[float]
    history: dict[str, Any]


class Trial(Protocol):
    """What an objective sees of the trial it trains."""

    number: int
    params: spaces.Params
    # which training seed: 0 is the study's own
    repeat: int

    # the training of an earlier owner, to go on from
    saved: Checkpoint | None

    def report(self, step: int, value: float, attrs: dict[str, Any], after: Checkpoint | None = None) -> None:
        """Stores the value of a 1-based step, and now and then the training after it."""

    def keep(self, attrs: dict[str, Any]) -> None:
        """Stores attributes with the next report, or with the end of the trial, whatever it is."""

    def artifact(self, path: pathlib.Path, name: str) -> str:
        """Keeps a file with the trial, in place of one of the same name; returns its id.

        Raises:
            Refused: it cannot be kept.
        """

    def should_prune(self) -> str | None:
        """Why the study's population pruner would end the trial after its last report, or None."""

    def check_stop(self) -> None:
        """Raises where the training must end: asked to stop, trial lost, epoch too long. Cheap, for every step."""


@dataclasses.dataclass(frozen=True)
class Result:
    """How a trial ends: COMPLETE or PRUNED, its value, and user attributes."""

    state: TrialState
    value: float | None
    attrs: dict[str, Any]


class Refused(Exception):
    """What an objective asked for cannot be done, which it is told as an error of its own; it may go on."""


class Failed(Exception):
    """An objective of the user's own has failed, in a process of its own.

    Attributes:
        trace: its traceback; empty where there is none.
        is_memory: its memory ran out, or it was killed, which mostly means that.
    """

    def __init__(self, reason: str, trace: str, is_memory: bool) -> None:
        super().__init__(reason)
        self.trace, self.is_memory = trace, is_memory
