"""Ways to train, each measured as it should be: ours, the reference, the notebook's, and JAX's where it is."""

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

from models import jax_scan, network
from models.data import Dataset
from models.engines import is_coarser, load, names
from models.notebook import Notebook
from models.recipes import Recipe

SECONDS = 1.0  # of CPU that a side gets in a round
WARM = 3  # steps before the clock starts

Timer = Callable[[], float]


class Side(Protocol):
    """A way to train, to be measured."""

    def step(self, recipe: Recipe, data: Dataset) -> Timer:
        """What takes the CPU seconds of a step."""
        ...

    def evaluation(self, recipe: Recipe, data: Dataset) -> Timer:
        """What takes the CPU seconds of all test images."""
        ...


def sides_of(folder: str) -> dict[str, Side]:
    """All that can be measured here, ours first.

    Args:
        folder: FashionMNIST in torchvision's layout.
    """
    sides: dict[str, Side] = {"cpu": Compiled(load("cpu"))}
    if "cpu-bf16" in names("cpu"):
        sides["cpu-bf16"] = Compiled(load("cpu-bf16"))
    if jax_scan.version():
        sides["jax"] = Compiled(jax_scan.Scan())
    return {**sides, "reference": _Autograd(), "notebook": _Loop(folder)}


def is_told(side: str, recipe: Recipe) -> bool:
    """Whether a side is one of its own: bf16 that is float32 for a recipe is none."""
    return side != "cpu-bf16" or is_coarser(side, recipe)


class Compiled:
    """An engine that does an epoch without Python: CPU seconds over a part of it, its start and end included."""

    def __init__(self, trained: Any) -> None:
        self._engine = trained

    def step(self, recipe: Recipe, data: Dataset) -> Timer:
        """See `Side.step`."""
        return _Part(self._engine, recipe, data)

    def evaluation(self, recipe: Recipe, data: Dataset) -> Timer:
        """See `Side.evaluation`."""
        single = part(data, 1, len(data.test_labels))  # an epoch over one image is all evaluation
        return lambda: _timed(lambda: _one_epoch(self._engine, recipe, single))


class _Autograd(Compiled):
    def __init__(self) -> None:
        super().__init__(load("reference"))

    def step(self, recipe: Recipe, data: Dataset) -> Timer:
        return lambda: clocked(lambda clock: _one_epoch(load("reference"), recipe, data, clock))


class _Loop:
    def __init__(self, folder: str) -> None:
        self._notebook = Notebook(folder)

    def step(self, recipe: Recipe, data: Dataset) -> Timer:
        return lambda: clocked(lambda clock: self._notebook.epoch(recipe, network.build(recipe), clock))

    def evaluation(self, recipe: Recipe, data: Dataset) -> Timer:
        net = network.build(recipe)
        return lambda: _timed(lambda: self._notebook.evaluate(recipe, net))


class _Enough(Exception):  # no error: the second is over
    pass


class _Clock:
    """Seconds of a step, called before each."""

    def __init__(self, now: Timer, limit: float) -> None:
        self._now, self._limit = now, limit
        self._steps, self._started = 0, 0.0
        self.step_seconds = 0.0

    def __call__(self) -> None:
        now = self._now()
        if self._steps == WARM:
            self._started = now
        if self._steps > WARM:
            self.step_seconds = (now - self._started) / (self._steps - WARM)
            if now - self._started > self._limit:
                raise _Enough
        self._steps += 1


def clocked(
    epoch: Callable[[Callable[[], None]], None], now: Timer = time.process_time, limit: float | None = None
) -> float:
    """Seconds of a step of an epoch that calls the clock before each, and is left when the limit is over.

    Args:
        limit: seconds; `SECONDS` where it is not given.
    """
    clock = _Clock(now, SECONDS if limit is None else limit)
    with contextlib.suppress(_Enough):
        epoch(clock)
    return clock.step_seconds


class _Part:
    """CPU seconds of a step over as large a part of an epoch as a second has room for."""

    def __init__(self, trained: Any, recipe: Recipe, data: Dataset) -> None:
        self._engine, self._recipe, self._data = trained, recipe, data
        self._take(8 * recipe.batch_size)

    def _take(self, images: int) -> None:
        self._part = part(self._data, images, 1)
        _one_epoch(self._engine, self._recipe, self._part)  # its first sight of the images is no part of a step

    def __call__(self) -> float:
        while True:
            taken = _timed(lambda: _one_epoch(self._engine, self._recipe, self._part))
            images = len(self._part.train_labels)
            if taken > SECONDS / 2 or images == len(self._data.train_labels):
                return taken / self._recipe.steps_per_epoch(images)
            # not by doubling: what compiles for each length would do so many times
            self._take(images * max(4, int(SECONDS / max(taken, SECONDS / 1000))))


def part(data: Dataset, train: int, test: int) -> Dataset:
    """The first images."""
    return dataclasses.replace(
        data,
        train_images=data.train_images[:train],
        train_labels=data.train_labels[:train],
        test_images=data.test_images[:test],
        test_labels=data.test_labels[:test],
    )


def _one_epoch(trained: Any, recipe: Recipe, data: Dataset, tick: Callable[[], None] | None = None) -> None:
    next(iter(trained.train(recipe, data, tick=tick)))


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
