"""What every engine offers: one `train`, which yields epochs that can be taken up again."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy

from models import recipes, weights
from models.data import Dataset


@dataclasses.dataclass(frozen=True)
class State:
    """A training after a whole epoch, free of any engine: what `train(resume=...)` continues from.

    `weights` are float32 in the order of `weights.initial`. Nothing else is needed:
    plain SGD has no momentum, and the order of samples follows from (seed, epoch).
    """

    recipe: recipes.Recipe
    epoch: int
    weights: weights.Weights


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One finished pass over the training images.

    Attributes:
        number: 1-based.
        batch_losses: (steps,) float32, the loss of every mini-batch before its update.
        loss: mean of the losses of consecutive evaluation batches of `batch_size` images, as the lab has it.
        accuracy: share of the evaluation images classified right, 0 to 1.
        train_accuracy: the same over the training images, where it was asked for.
        state: takes the `State` after this epoch; call it before asking for the next epoch.
    """

    number: int
    batch_losses: numpy.ndarray
    loss: float
    accuracy: float
    state: Callable[[], State]
    train_accuracy: float | None = None


class Engine(Protocol):
    """Trains recipes. `name` and `device` say where; both are stored on each trial."""

    name: str
    device: str

    def train(
        self,
        recipe: recipes.Recipe,
        data: Dataset,
        resume: State | None = None,
        *,
        tick: Callable[[], None] | None = None,
        train_accuracy: bool = False,
    ) -> Iterator[Epoch]:
        """Yields the epochs `resume.epoch + 1` (or 1) to `recipe.epochs`.

        `tick` is called at least every 0.5 s or so. What it raises ends the training and leaves the partial epoch
        behind: that is how a worker answers signals.

        Raises:
            errors.RecipeError: `resume` belongs to another recipe.
        """
        ...

    def prepare(self, data: Dataset) -> None:
        """Does, once, what a first training on this data would have to wait for: compiles, copies."""
        ...

    def footprint(self, recipe: recipes.Recipe) -> int:
        """Bytes that a training takes beside the dataset, at most, as an estimate."""
        ...

    # More is optional, see `capacity` and `teams`:
    # capacity(self) -> int; teams: tuple[int, ...]; in_teams(self, team: int) -> Engine


def teams(engine: Engine) -> tuple[int, ...]:
    """How many parts of its device can share one network, ascending; its `in_teams(team)` is an engine that does so."""
    return getattr(engine, "teams", (1,))


def capacity(engine: Engine) -> int:
    """How many trainings at once fill an engine's device, each as fast as alone; what does not say is filled by one."""
    said = getattr(engine, "capacity", None)
    return 1 if said is None else int(said())
