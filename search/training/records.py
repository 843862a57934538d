"""What is recorded of a trial: each user attribute that it stores, and its epochs so far, which a checkpoint keeps."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy
from optuna.trial import FrozenTrial

from search.space.spaces import Params

if TYPE_CHECKING:
    from models import engine

T = TypeVar("T")

THIN_POINTS = 1_000  # of an epoch's batch losses: 60,000 at batch size 1 would fill the database
LONGEST = 1e12  # of durations, in seconds
LIMIT = 2**63  # of whole numbers: a study of ours has no larger one
MEAN_OF_LAST, LAST_EPOCHS = "mean-of-last-3", 3
FIXED_PARAMS = "fixed_params"  # Optuna's system attribute: what study.enqueue_trial stores
# Optuna's names for what a trial was tried again for: RetryFailedTrialCallback stores them too
FAILED_TRIAL, RETRY_HISTORY = "failed_trial", "retry_history"


@dataclasses.dataclass(frozen=True)
class Attribute(Generic[T]):
    """A user attribute of trials that this program sets.

    Attributes:
        name: as it is stored, for every Optuna tool to show.
        kind: the type that it is read as; what another tool stored as something else counts as absent.
        rule: what holds for every value of it that is ours.
        writer: the module that sets it.
        meaning: with its unit.
    """

    name: str
    kind: type[T]
    writer: str
    meaning: str
    rule: Callable[[Any], bool] = lambda value: True

    def find(self, trial: FrozenTrial) -> T | None:
        """What the trial has of it, or None."""
        value: Any = trial.user_attrs.get(self.name)
        if self.kind is float and _is_number(value):
            value = float(value)
        is_one = isinstance(value, self.kind) and not isinstance(value, bool)
        return value if is_one and self.rule(value) else None

    def read(self, trial: FrozenTrial, default: T) -> T:
        """What the trial has of it, or the default."""
        return default if (value := self.find(trial)) is None else value


def _is_number(value: Any) -> bool:
    """A number that a float can hold."""
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < LIMIT
    return isinstance(value, float)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(map(_is_number, values))


def _is_duration(value: float) -> bool:
    return 0 <= value < LONGEST


def _counts_from(lowest: int, limit: int = 2**30) -> Callable[[Any], bool]:
    return lambda value: lowest <= value < limit


def _is_range(part: Any) -> bool:
    """Of epochs, with what their last bits depend on."""
    if not isinstance(part, dict) or set(part) != {"from", "to", "with"} or not isinstance(part["with"], dict):
        return False
    return _are_numbers([part["from"], part["to"]]) and all(isinstance(each, str) for each in part["with"].values())


REASON = Attribute("search:reason", str, "worker.endings", "why the trial was pruned or failed")
TRACEBACK = Attribute("search:traceback", str, "worker.endings", "of the failure, its end")
SECONDS = Attribute(
    "search:seconds", float, "worker.endings", "training time over all owners, wall seconds", _is_duration
)
WORKER = Attribute("search:worker", str, "worker.endings", "who told the result: host and process number")
ENGINE = Attribute("search:engine", str, "training.networks", "what trained it last")
DEVICE = Attribute("search:device", str, "training.networks", "cpu, cuda or cuda:N")
SEED = Attribute(
    "search:seed",
    int,
    "training.records",
    "of the training: initial weights and order of samples; of own code, `trial.seed`",
    _counts_from(0, LIMIT),
)
RESTARTED = Attribute("search:restarted", str, "ledger.abilities", "why its training began anew")
CHOICE = Attribute("search:choice", str, "training.trainers", "why its engine: what was measured")
REPEAT = Attribute(
    "search:repeat", int, "ledger.reservations", "which training seed; absent for the study's own, 0", _counts_from(0)
)
DUPLICATES_AVOIDED = Attribute(
    "search:duplicates_avoided", int, "ledger.configurations", "proposals that a trial had already", _counts_from(0)
)
IMPORTED = Attribute("search:imported", str, "ledger.imports", "where a result not trained here came from")
CODE = Attribute("search:code", dict, "training.functions", "checksums of the user's files that it ran, by path")
TRAINED = Attribute(
    "search:trained",
    list,
    "training.records",
    "ranges of epochs with what their last bits depend on",
    lambda parts: all(map(_is_range, parts)),
)
CPU_SECONDS = Attribute("search:cpu_seconds", float, "training.records", "of its threads, seconds", _is_duration)
AVG_LOSS = Attribute("search:avg_loss", float, "training.records", "evaluation loss after the last epoch, nats")
AVG_LOSSES = Attribute("search:avg_losses", list, "training.records", "the same by epoch", _are_numbers)
TRAIN_ACCURACIES = Attribute(
    "search:train_accuracies", list, "training.records", "on the training images by epoch, 0 to 1", _are_numbers
)
BATCH_LOSSES = Attribute(
    "search:batch_losses",
    list,
    "training.records",
    "by epoch a list of mini-batch losses, nats",
    lambda epochs: bool(epochs) and all(map(_are_numbers, epochs)),
)
BATCH_LOSSES_THINNED = Attribute(
    "search:batch_losses_thinned",
    int,
    "training.records",
    "how many consecutive mini-batches each of them is the mean of",
    _counts_from(1),
)
ATTRIBUTES = {each.name: each for each in tuple(globals().values()) if isinstance(each, Attribute)}


def value(accuracies: Sequence[float], how: str) -> float | None:
    """A trial's value by `training.value`: its last accuracy, or the mean of its last three, fewer where there are."""
    if not accuracies:
        return None
    return statistics.fmean(accuracies[-LAST_EPOCHS:]) if how == MEAN_OF_LAST else accuracies[-1]


def repeat_of(trial: FrozenTrial) -> int:
    """Which training seed a trial has: 0 is the study's own."""
    return REPEAT.read(trial, 0)


def cause(trial: FrozenTrial) -> str | None:
    """The reason without its figures, which stand behind its first colon; None where there is none."""
    reason = REASON.find(trial)
    return None if reason is None else reason.partition(":")[0]


def retried_of(trial: FrozenTrial) -> int | None:
    """The number of the failed trial that was put back as this one, or None."""
    history = trial.system_attrs.get(RETRY_HISTORY)
    last = history[-1] if isinstance(history, list) and history else None
    return last if type(last) is int else None


def wanted(trial: FrozenTrial) -> Params:
    """The configuration of a trial; of one that waits, what is set of it."""
    fixed = trial.system_attrs.get(FIXED_PARAMS)
    return dict(trial.params or (fixed if isinstance(fixed, dict) else {}))


@dataclasses.dataclass
class Record:
    """The epochs so far, over all owners of the trial. What a checkpoint keeps beside the weights are these fields.

    Attributes:
        values: accuracy by epoch, 0 to 1, and `losses`, the mean evaluation loss.
        reason: why the training ends early, once it is known.
        trained: ranges of epochs with what their last bits depend on (`models.provenance`).
        train_accuracies: the accuracy on the training images by epoch, where `training.record` asks for it.
        batch_losses: by epoch, each the mean of `thinned` consecutive mini-batch losses, where asked for.
        cpu_seconds: of the threads that trained these epochs.
        memory: what the rule against hopeless networks knows (`hopeless.Hopeless`).
    """

    values: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    reason: str | None = None
    trained: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    train_accuracies: list[float] = dataclasses.field(default_factory=list)
    batch_losses: list[list[float]] = dataclasses.field(default_factory=list)
    thinned: int = 1
    cpu_seconds: float = 0.0
    memory: list[Any] | None = None

    def __post_init__(self) -> None:
        self._clock = time.thread_time()

    @classmethod
    def after(cls, values: list[float], history: dict[str, Any]) -> "Record":
        """What an earlier owner recorded."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(list(values), **{key: value for key, value in history.items() if key in known})

    def add(self, epoch: "engine.Epoch", provenance: dict[str, str], with_batches: bool) -> None:
        """Takes in an epoch."""
        self.values.append(epoch.accuracy)
        self.losses.append(epoch.loss)
        if epoch.train_accuracy is not None:
            self.train_accuracies.append(epoch.train_accuracy)
        if with_batches:
            self.thinned, points = thin(epoch.batch_losses)
            self.batch_losses.append(points)
        # owners of one kind make one range
        if self.trained and self.trained[-1]["with"] == provenance:
            self.trained[-1] = {**self.trained[-1], "to": epoch.number}
        else:
            self.trained.append({"from": epoch.number, "to": epoch.number, "with": provenance})
        now = time.thread_time()
        self.cpu_seconds, self._clock = round(self.cpu_seconds + now - self._clock, 3), now

    def history(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the values; later epochs do not change it."""
        found = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "values"}
        return {key: list(value) if isinstance(value, list) else value for key, value in found.items()}

    def epoch_attrs(self) -> dict[str, Any]:
        """User attributes that every report writes."""
        found: dict[str, Any] = {AVG_LOSSES.name: list(self.losses)}
        if self.train_accuracies:
            found[TRAIN_ACCURACIES.name] = list(self.train_accuracies)
        return found

    def end_attrs(self, seed: int) -> dict[str, Any]:
        """User attributes that the trial ends with."""
        found: dict[str, Any] = {REASON.name: self.reason} if self.reason else {}
        if self.losses:
            found |= {AVG_LOSS.name: self.losses[-1], SEED.name: seed, TRAINED.name: self.trained}
            found[CPU_SECONDS.name] = self.cpu_seconds
        if self.batch_losses:
            found |= {BATCH_LOSSES.name: self.batch_losses, BATCH_LOSSES_THINNED.name: self.thinned}
        return found


def thin(losses: numpy.ndarray) -> tuple[int, list[float]]:
    """Means of so many consecutive losses that `THIN_POINTS` are left at most, in five digits; and how many."""
    count = -(-len(losses) // THIN_POINTS)
    starts = numpy.arange(0, len(losses), count)
    sizes = numpy.diff([*starts, len(losses)])
    means = numpy.add.reduceat(losses.astype(float), starts) / sizes
    return count, [float(f"{mean:.5g}") for mean in means]
