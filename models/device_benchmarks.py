"""How fast an engine trains on a GPU: one network alone and in teams, plain PyTorch there, and as many as it holds."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from models import engine
from models.benchmark import SHAPES, part, recipe_of
from models.data import Dataset
from models.recipes import Recipe

SECONDS = 1.0  # that a measurement takes, at least


@dataclasses.dataclass(frozen=True)
class Row:
    """Wall seconds of a step of one shape, a figure a round: alone, by the reference, and a network's share of many.

    Attributes:
        teams: alone, by the size of its team.
    """

    batch_size: int
    depth: int
    width: int | None
    together: int
    alone: list[float]
    reference: list[float]
    shared: list[float]
    teams: dict[int, list[float]]

    @property
    def x_reference(self) -> float:
        """How much longer the reference takes, by medians."""
        return statistics.median(self.reference) / statistics.median(self.alone)

    @property
    def fastest_team(self) -> tuple[int, float]:
        """Its size, 1 where none is faster than a block alone, and its seconds; by medians."""
        sizes = {1: self.alone, **self.teams}
        return min(((team, statistics.median(seconds)) for team, seconds in sizes.items()), key=lambda each: each[1])

    @property
    def x_alone(self) -> float:
        """How much more is done by many at once, by medians."""
        return statistics.median(self.alone) / statistics.median(self.shared)


def measure(
    ours: engine.Engine,
    reference: engine.Engine,
    together: int,
    data: Dataset,
    rounds: int,
    on_round: Callable[[], None],
    shapes: list[tuple[int, int, int | None]] = SHAPES,
) -> Iterator[Row]:
    """Every shape; `on_round` is called after each round, of which the first only warms up.

    Args:
        together: trainings at once, as many as the device has places for.
    """
    teams = {team: ours.in_teams(team) for team in engine.teams(ours)[1:]}  # type: ignore[attr-defined]
    for shape in shapes:
        recipe = recipe_of(*shape)
        timers = [_Steps(ours, recipe, data), _Steps(reference, recipe, data), _Steps(ours, recipe, data, together)]
        timers += [_Steps(each, recipe, data) for each in teams.values()]
        taken: list[list[float]] = [[] for _ in timers]
        for number in range(rounds + 1):
            for timer, seconds in zip(timers, taken, strict=True):
                found = timer()
                if number:
                    seconds.append(found)
            on_round()
        alone, by_reference, shared, *in_teams = taken
        yield Row(*shape, together, alone, by_reference, shared, dict(zip(teams, in_teams, strict=True)))


class _Steps:
    """Wall seconds of a step over a part of an epoch that takes long enough, divided by the networks at once."""

    def __init__(self, trained: engine.Engine, recipe: Recipe, data: Dataset, together: int = 1) -> None:
        self._engine, self._recipe, self._data, self._together = trained, recipe, data, together
        self._images = min(8 * recipe.batch_size, len(data.train_labels))

    def __call__(self) -> float:
        while True:
            images = part(self._data, self._images, 1)
            self._engine.prepare(images)
            started = time.perf_counter()
            self._train(images)
            taken = time.perf_counter() - started
            if taken > SECONDS / 2 or self._images == len(self._data.train_labels):
                return taken / self._recipe.steps_per_epoch(self._images) / self._together
            self._images = min(4 * self._images, len(self._data.train_labels))

    def _train(self, images: Dataset) -> None:
        """An epoch of every network."""
        errors: list[BaseException] = []

        def train() -> None:
            try:
                next(iter(self._engine.train(self._recipe, images)))
            except BaseException as error:  # noqa: BLE001  # it is raised again below
                errors.append(error)

        threads = [threading.Thread(target=train) for _ in range(self._together)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
