"""How fast the engines train on this machine, beside others' ways and the core's limits, interleaved in one run."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import platform
import statistics
from collections.abc import Callable, Iterator

import numba
import torch

from models import jax_scan, work
from models.data import fashion_mnist_bytes
from models.engines import kernels, reference
from models.limits import Core, Limits
from models.notebook import torchvision_layout
from models.recipes import Recipe
from models.sides import Timer, is_told, sides_of

# batch size, depth, width: what the lab trains, from the smallest step to the largest
SHAPES: list[tuple[int, int, int | None]] = [
    (1, 3, 128),
    (1, 6, 512),
    (4, 3, 128),
    (16, 3, 128),
    (41, 3, 128),
    (64, 3, 128),
]
SHAPES += [(128, 0, None), (128, 1, 32), (64, 6, 512), (128, 6, 512)]
EVALUATION = (128, 3, 128)


@dataclasses.dataclass(frozen=True)
class Row:
    """CPU seconds of one thing, by side, a figure a round; ours is `cpu`. And the fastest the core was meanwhile."""

    batch_size: int
    depth: int
    width: int | None
    what: str
    seconds: dict[str, list[float]]
    needs: work.Work
    limits: Limits

    def ratios(self, side: str) -> list[float]:
        """How much longer another side takes than ours, a figure a round, ascending."""
        return sorted(other / ours for ours, other in zip(self.seconds["cpu"], self.seconds[side], strict=True))

    @property
    def others(self) -> list[str]:
        """The sides beside ours."""
        return [side for side in self.seconds if side not in ("cpu", "cpu-bf16")]

    @property
    def bf16_speedup(self) -> list[float]:
        """How much faster bf16 is than ours in float32, a figure a round, ascending; none where it was not measured."""
        return sorted(1 / ratio for ratio in self.ratios("cpu-bf16")) if "cpu-bf16" in self.seconds else []

    @property
    def gflops(self) -> float:
        """GF/s of ours, counting the products of matrices alone."""
        return self.needs.flops / statistics.median(self.seconds["cpu"]) / 1e9

    def limit(self, limits: Limits) -> float:
        """Seconds that it takes at least."""
        return limits.seconds(self.needs.flops, self.needs.traffic)

    def share(self, limits: Limits) -> float:
        """How near ours comes to that: 1 is there."""
        return self.limit(limits) / statistics.median(self.seconds["cpu"])


def machine() -> dict[str, str]:
    """What the figures hold for."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                break
        else:
            line = ""
    tile = f"{kernels.TILE_ROWS} x {kernels.TILE_VECTORS * kernels.LANES}"
    return {
        "processor": line.partition(":")[2].strip() or platform.processor() or platform.machine(),
        "cores": str(os.cpu_count()),
        "tile": tile,
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        **({"jax": version} if (version := jax_scan.version()) else {}),
    }


def measure(data_dir: pathlib.Path, rounds: int, on_round: Callable[[], None]) -> Iterator[Row]:
    """Every shape and the evaluation, one core each; `tick` after each round, of which the first only warms up.

    Raises:
        errors.DataError: FashionMNIST is not to be had.
    """
    torch.set_num_threads(1)
    reference.keep_freed_memory()
    data, core = fashion_mnist_bytes(data_dir), Core()
    with torchvision_layout(data_dir) as folder:
        sides = sides_of(folder)
        for shape in SHAPES:
            recipe = recipe_of(*shape)
            timers = {name: side.step(recipe, data) for name, side in sides.items() if is_told(name, recipe)}
            yield Row(*shape, "step", *_rounds(timers, core, rounds, on_round, work.of_step(recipe, data)))
        recipe = recipe_of(*EVALUATION)
        timers = {name: side.evaluation(recipe, data) for name, side in sides.items() if name != "cpu-bf16"}
        yield Row(*EVALUATION, "evaluation", *_rounds(timers, core, rounds, on_round, work.of_evaluation(recipe, data)))


def fastest(rows: list[Row]) -> Limits:
    """The limits of the core over a whole run."""
    return functools.reduce(Limits.fastest, (row.limits for row in rows))


def recipe_of(batch_size: int, depth: int, width: int | None) -> Recipe:
    """An epoch of a shape."""
    return Recipe(0.01, batch_size, depth, width, "ReLU" if depth else None, epochs=1)


def _rounds(
    timers: dict[str, Timer], core: Core, rounds: int, on_round: Callable[[], None], needs: work.Work
) -> tuple[dict[str, list[float]], work.Work, Limits]:
    seconds: dict[str, list[float]] = {side: [] for side in timers}
    limits = core.measure()
    for number in range(rounds + 1):
        limits = limits.fastest(core.measure())
        for side, timer in timers.items():
            taken = timer()
            if number:
                seconds[side].append(taken)
        on_round()
    return seconds, needs, limits
