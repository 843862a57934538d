"""What every objective is given and gives: a trial in, checkpoints on the way, a result."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy
from optuna.trial import TrialState

from search.space import spaces

SAVE_SECONDS = 20.0  # of training between two checkpoints of a trial


@dataclasses.dataclass(frozen=True)
class Payload:
    """What code of the user's own needs to go on: a file of this machine, or what was read of the database.

    Attributes:
        kind: what it is given back as: "bytes", "file" or "folder", which is a tar archive.
        path: of the file; None for one that was stored.
        store, place: where it is, where it is too large for the database; `checksum`: its SHA-256.
    """

    kind: str
    path: pathlib.Path | None = None
    content: bytes = b""
    store: str = ""
    place: str = ""
    checksum: str = ""

    def read(self) -> bytes:
        """All of it."""
        return self.content if self.path is None else self.path.read_bytes()

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if self.path is None else self.path.stat().st_size

    def discard(self) -> None:
        """Removes the file: another one is in its place."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training after a whole epoch.

    Attributes:
        epoch: how many are done; of code of the user's own, the step that it has reported.
        weights: of the network, in the order of `models.engine.State`.
        values: what was reported, an epoch each.
        history: what the objective needs beside them to go on as if nothing had happened; it survives JSON.
        steps: of the values, where they are not 1, 2, 3, ...
        payload: of code of the user's own, in place of weights.
    """

    epoch: int
    weights: tuple[numpy.ndarray, ...]
    values: list[float]
    history: dict[str, Any]
    steps: list[int] | None = None
    payload: Payload | None = None

    @property
    def curve(self) -> dict[int, float]:
        """Values by step."""
        return dict(zip(self.steps or range(1, len(self.values) + 1), self.values, strict=False))


class Printed(Protocol):
    """What the code of a trial has printed so far."""

    total: int

    @property
    def tail(self) -> str:
        """The last of `total` bytes."""


class Trial(Protocol):
    """What an objective sees of the trial it trains."""

    number: int
    params: spaces.Params
    # which training seed: 0 is the study's own
    repeat: int

    # nobody has begun it before
    is_new: bool

    # what a network is trained with, by `models.backends`; None where it is open
    backend: str | None

    @property
    def saved(self) -> Checkpoint | None:
        """The training of an earlier owner, to go on from."""

    def watch(self, printed: Printed, finish: Callable[[], None]) -> None:
        """Stores now and then what is printed; `finish` is called when the trial is this owner's no more."""

    def report(self, step: int, value: float, attrs: dict[str, Any], after: Checkpoint | None = None) -> None:
        """Stores the value of a 1-based step, and now and then the training after it."""

    def checkpoint(self, payload: Payload, step: int | None = None) -> None:
        """Keeps what code of the user's own can go on from, after a step: the last one reported, or one to come."""

    def fetch(self, payload: Payload, target: pathlib.Path) -> bool:
        """Puts what was stored into a file; False where it is damaged: then the training starts over."""

    def heard(self) -> None:
        """The code lives: it has printed or said something."""

    def answering(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the code waits for an answer to what it has said: its epoch does not count that."""

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
        is_machines: it is no doing of the objective's, as of a GPU that is gone.
    """

    def __init__(self, reason: str, trace: str, is_memory: bool, is_machines: bool = False) -> None:
        super().__init__(reason)
        self.trace, self.is_memory, self.is_machines = trace, is_memory, is_memory or is_machines


class Network(Protocol):
    """An objective that trains networks, as a worker sees it; see `networks.NetworkObjective`."""

    backends: tuple[str, ...]

    def choose(self, params: spaces.Params) -> str:
        """What a new trial of a configuration is trained with, from its first claim to its end."""

    def need(self, params: spaces.Params, backend: str | None) -> int:
        """Bytes that a training takes, of the memory that it is trained in."""

    def expect(self, trials: int) -> None:
        """How many trials there are to be, which decides how many share the device; at first the study file's."""
