"""What is recorded of a training, epoch by epoch; it survives a checkpoint."""

import dataclasses
import time
from typing import Any

import numpy

from models import engine

THIN_POINTS = 1_000  # of an epoch's batch losses: 60,000 at batch size 1 would fill the database


@dataclasses.dataclass
class Course:
    """The epochs so far, over all owners of the trial.

    Attributes:
        values: accuracy by epoch, 0 to 1, and `losses`, the mean evaluation loss.
        reason: why the training ends early, once it is known.
        trained: ranges of epochs with what their last bits depend on (`models.provenance`).
        train_accuracies: the accuracy on the training images by epoch, where `training.record` asks for it.
        batch_losses: by epoch, each the mean of `thinned` consecutive mini-batch losses, where asked for.
        cpu_seconds: of the threads that trained these epochs.
    """

    values: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    reason: str | None = None
    trained: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    train_accuracies: list[float] = dataclasses.field(default_factory=list)
    batch_losses: list[list[float]] = dataclasses.field(default_factory=list)
    thinned: int = 1
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        self._clock = time.thread_time()

    @classmethod
    def after(cls, values: list[float], history: dict[str, Any]) -> "Course":
        """What an earlier owner recorded."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(list(values), **{key: value for key, value in history.items() if key in known})

    def add(self, epoch: engine.Epoch, provenance: dict[str, str], with_batches: bool) -> None:
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
        found: dict[str, Any] = {"avg_losses": list(self.losses)}
        if self.train_accuracies:
            found["train_accuracies"] = list(self.train_accuracies)
        return found

    def end_attrs(self, seed: int) -> dict[str, Any]:
        """User attributes that the trial ends with."""
        found: dict[str, Any] = {"reason": self.reason} if self.reason else {}
        if self.losses:
            found |= {"avg_loss": self.losses[-1], "seed": seed, "trained": self.trained}
            found["cpu_seconds"] = self.cpu_seconds
        if self.batch_losses:
            found |= {"batch_losses": self.batch_losses, "batch_losses_thinned": self.thinned}
        return found


def thin(losses: numpy.ndarray) -> tuple[int, list[float]]:
    """Means of so many consecutive losses that `THIN_POINTS` are left at most, in five digits; and how many."""
    count = -(-len(losses) // THIN_POINTS)
    starts = numpy.arange(0, len(losses), count)
    sizes = numpy.diff([*starts, len(losses)])
    means = numpy.add.reduceat(losses.astype(float), starts) / sizes
    return count, [float(f"{mean:.5g}") for mean in means]
