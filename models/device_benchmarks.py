"""How fast an engine trains on a GPU: one network alone, in teams and by others' ways, and as many as it holds."""

import dataclasses
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from models import benchmark, engine, gpu_limits, network, notebook
from models.benchmark import recipe_of
from models.data import Dataset
from models.recipes import Recipe
from models.sides import clocked, part

SHAPES = [*benchmark.SHAPES, (128, 3, 128)]
SECONDS = 1.0  # that a measurement takes, at least


@dataclasses.dataclass(frozen=True)
class Row:
    """Wall seconds of a step of one shape, a figure a round.

    Attributes:
        alone: of one network; `reference` and `notebook` are the same by others' ways, the last empty if not asked for.
        shared: a network's share, of `together` at once.
        teams: alone, by the size of its team.
        limit: what a share takes at least by the device's properties; None where they are not known.
    """

    batch_size: int
    depth: int
    width: int | None
    together: int
    alone: list[float]
    reference: list[float]
    shared: list[float]
    teams: dict[int, list[float]]
    notebook: list[float] = dataclasses.field(default_factory=list)
    limit: float | None = None

    @property
    def x_notebook(self) -> float | None:
        """How much longer the notebook's loop takes, by medians."""
        return statistics.median(self.notebook) / statistics.median(self.alone) if self.notebook else None

    @property
    def share_of_limit(self) -> float | None:
        """How near many at once come to what the device can do: 1 is there."""
        return None if self.limit is None else self.limit / statistics.median(self.shared)

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
    folder: str | None = None,
) -> Iterator[Row]:
    """Every shape; `on_round` is called after each round, of which the first only warms up.

    Args:
        together: trainings at once, as many as the device has places for.
        folder: of `notebook.torchvision_layout`, for the notebook's loop; None leaves it out.
    """
    limits = gpu_limits.of(ours.device)
    teams = {team: ours.in_teams(team) for team in engine.teams(ours)[1:]}  # type: ignore[attr-defined]
    for shape in shapes:
        recipe = recipe_of(*shape)
        timers: list[Callable[[], float]] = [
            _Steps(ours, recipe, data),
            _Steps(reference, recipe, data),
            _Steps(ours, recipe, data, together),
            *(_Steps(each, recipe, data) for each in teams.values()),
        ]
        if folder is not None:
            timers.append(_Notebook(folder, recipe, reference.device))
        taken: list[list[float]] = [[] for _ in timers]
        for number in range(rounds + 1):
            for timer, seconds in zip(timers, taken, strict=True):
                found = timer()
                if number:
                    seconds.append(found)
            on_round()
        limit = None if limits is None else limits.step_seconds(recipe, together)
        alone, others, shared, *rest = taken
        in_teams, by_notebook = rest[: len(teams)], rest[len(teams) :]
        by_team = dict(zip(teams, in_teams, strict=True))
        yield Row(*shape, together, alone, others, shared, by_team, by_notebook[0] if by_notebook else [], limit)


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


class _Notebook:
    """Wall seconds of a step of the lab's own loop, each batch brought to the device, each loss fetched."""

    def __init__(self, folder: str, recipe: Recipe, device: str) -> None:
        self._notebook, self._recipe, self._device = notebook.Notebook(folder), recipe, device

    def __call__(self) -> float:
        net = network.build(self._recipe).to(self._device)
        return clocked(lambda clock: self._notebook.epoch(self._recipe, net, clock), time.perf_counter, SECONDS)
