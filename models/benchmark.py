"""How fast the engines train on this machine, beside the lab's own loop, interleaved in one run."""

import contextlib
import dataclasses
import functools
import gzip
import itertools
import os
import pathlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import numba
import torch
import torchvision
from torch.nn import functional

from models import engine, engines, network, sources
from models.data import Dataset, fashion_mnist_bytes
from models.engines import kernels, reference
from models.recipes import Recipe

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
SIDES = ("cpu", "cpu-bf16", "reference", "notebook")  # the second where it is there, and not float32 too
EVALUATION = (128, 3, 128)
SECONDS = 1.0  # of CPU that a side gets in a round
WARM = 3  # steps before the clock starts
PEAK_SIZE = 1024


class Notebook:
    """The lab's loop: DataLoader over torchvision with ToTensor, shuffled, autograd, `loss.item()` for every batch.

    Args:
        folder: FashionMNIST in torchvision's layout; see `torchvision_layout`.
    """

    def __init__(self, folder: str) -> None:
        transform = torchvision.transforms.ToTensor()
        self._train, self._test = (
            torchvision.datasets.FashionMNIST(folder, train=train, transform=transform) for train in (True, False)
        )

    def epoch(self, recipe: Recipe, net: torch.nn.Module, tick: Callable[[], None]) -> None:
        """Trains one epoch."""
        optimizer = torch.optim.SGD(net.parameters(), lr=recipe.learning_rate)
        losses = []
        for x, y in torch.utils.data.DataLoader(self._train, recipe.batch_size, shuffle=True):
            tick()
            loss = functional.cross_entropy(net(x.flatten(1)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    def evaluate(self, recipe: Recipe, net: torch.nn.Module) -> tuple[float, float]:
        """Average loss and accuracy over the test images."""
        losses, right = [], 0.0
        with torch.no_grad():
            for x, y in torch.utils.data.DataLoader(self._test, recipe.batch_size):
                logits = net(x.flatten(1))
                losses.append(functional.cross_entropy(logits, y).item())
                right += (logits.argmax(1) == y).type(torch.float).sum().item()
        return statistics.fmean(losses), right / 10_000


@dataclasses.dataclass(frozen=True)
class Row:
    """CPU seconds of one thing, by side, a figure a round; and GF/s of torch's large product in the same rounds."""

    batch_size: int
    depth: int
    width: int | None
    what: str
    seconds: dict[str, list[float]]
    flops: float
    peaks: list[float]

    def ratios(self, side: str) -> list[float]:
        """How much longer another side takes than ours, a figure a round, ascending."""
        return sorted(other / ours for ours, other in zip(self.seconds["cpu"], self.seconds[side], strict=True))

    @property
    def bf16_speedup(self) -> list[float]:
        """How much faster bf16 is than ours in float32, a figure a round, ascending; none where it was not measured."""
        return sorted(1 / ratio for ratio in self.ratios("cpu-bf16")) if "cpu-bf16" in self.seconds else []

    @property
    def gflops(self) -> float:
        """GF/s of ours, counting the products of matrices alone."""
        return self.flops / statistics.median(self.seconds["cpu"]) / 1e9

    @property
    def share_of_peak(self) -> float:
        """Of the fastest large product of the run."""
        return self.gflops / max(self.peaks)


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
    }


def measure(data_dir: pathlib.Path, rounds: int, on_round: Callable[[], None]) -> Iterator[Row]:
    """Every shape and the evaluation, one core each; `tick` after each round, of which the first only warms up.

    Raises:
        errors.DataError: FashionMNIST is not to be had.
    """
    torch.set_num_threads(1)
    reference.keep_freed_memory()
    data = fashion_mnist_bytes(data_dir)
    with torchvision_layout(data_dir) as folder:
        notebook = Notebook(folder)
        for shape in SHAPES:
            recipe = recipe_of(*shape)
            timers: dict[str, Callable[[], float]] = {
                "cpu": _OurStep(recipe, data, "cpu"),
                **_in_bf16(recipe, data),
                "reference": functools.partial(_autograd_step, recipe, data),
                "notebook": functools.partial(_notebook_step, notebook, recipe),
            }
            yield Row(*shape, "step", *_rounds(timers, rounds, on_round, _step_flops(recipe)))
        recipe = recipe_of(*EVALUATION)
        net = network.build(recipe)
        single = part(data, 1, len(data.test_labels))  # an epoch over one image is all evaluation
        ours, autograd = engines.load("cpu"), engines.load("reference")
        timers = {
            "cpu": lambda: _timed(lambda: _one_epoch(ours, recipe, single)),
            "reference": lambda: _timed(lambda: _one_epoch(autograd, recipe, single)),
            "notebook": lambda: _timed(lambda: notebook.evaluate(recipe, net)),
        }
        flops = 2.0 * len(data.test_labels) * sum(a * b for a, b in itertools.pairwise(recipe.layer_sizes))
        yield Row(*EVALUATION, "evaluation", *_rounds(timers, rounds, on_round, flops))


@contextlib.contextmanager
def torchvision_layout(data_dir: pathlib.Path) -> Iterator[str]:
    """A folder from which torchvision reads FashionMNIST, wherever ours comes from."""
    with tempfile.TemporaryDirectory(prefix="search-bench-") as folder:
        raw = pathlib.Path(folder) / sources.PUBLISHED["fashion-mnist"].raw
        raw.mkdir(parents=True)
        for name, path in sources.find(data_dir).items():
            content = path.read_bytes()
            (raw / name).write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
        yield folder


def recipe_of(batch_size: int, depth: int, width: int | None) -> Recipe:
    """An epoch of a shape."""
    return Recipe(0.01, batch_size, depth, width, "ReLU" if depth else None, epochs=1)


def _rounds(
    timers: dict[str, Callable[[], float]], rounds: int, on_round: Callable[[], None], flops: float
) -> tuple[dict[str, list[float]], float, list[float]]:
    sides = [side for side in SIDES if side in timers]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    peaks = []
    for number in range(rounds + 1):
        peaks.append(_peak())
        for side in sides:
            taken = timers[side]()
            if number:
                seconds[side].append(taken)
        on_round()
    return seconds, flops, peaks


class _Enough(Exception):  # no error: the second is over
    pass


class _Clock:
    """CPU seconds of a step, called before each."""

    def __init__(self) -> None:
        self._steps, self._started = 0, 0.0
        self.step_seconds = 0.0

    def __call__(self) -> None:
        now = time.process_time()
        if self._steps == WARM:
            self._started = now
        if self._steps > WARM:
            self.step_seconds = (now - self._started) / (self._steps - WARM)
            if now - self._started > SECONDS:
                raise _Enough
        self._steps += 1


def _notebook_step(notebook: Notebook, recipe: Recipe) -> float:
    clock = _Clock()
    with contextlib.suppress(_Enough):
        notebook.epoch(recipe, network.build(recipe), clock)
    return clock.step_seconds


def _autograd_step(recipe: Recipe, data: Dataset) -> float:
    clock = _Clock()
    with contextlib.suppress(_Enough):
        _one_epoch(engines.load("reference"), recipe, data, clock)
    return clock.step_seconds


class _OurStep:
    """CPU seconds of a step over as large a part of an epoch as a second has room for, its start and end included."""

    def __init__(self, recipe: Recipe, data: Dataset, name: str) -> None:
        self._recipe, self._data, self._engine = recipe, data, engines.load(name)
        self._part = part(data, 8 * recipe.batch_size, 1)
        _one_epoch(self._engine, recipe, self._part)

    def __call__(self) -> float:
        while True:
            taken = _timed(lambda: _one_epoch(self._engine, self._recipe, self._part))
            images = len(self._part.train_labels)
            if taken > SECONDS / 2 or images == len(self._data.train_labels):
                return taken / self._recipe.steps_per_epoch(images)
            self._part = part(self._data, 4 * images, 1)
            _one_epoch(self._engine, self._recipe, self._part)  # its first sight of the images is no part of a step


def _in_bf16(recipe: Recipe, data: Dataset) -> dict[str, Callable[[], float]]:
    is_told = kernels.HAS_BF16 and engines.is_coarser("cpu-bf16", recipe)
    return {"cpu-bf16": _OurStep(recipe, data, "cpu-bf16")} if is_told else {}


def part(data: Dataset, train: int, test: int) -> Dataset:
    """The first images."""
    return dataclasses.replace(
        data,
        train_images=data.train_images[:train],
        train_labels=data.train_labels[:train],
        test_images=data.test_images[:test],
        test_labels=data.test_labels[:test],
    )


def _one_epoch(device: engine.Engine, recipe: Recipe, data: Dataset, tick: Callable[[], None] | None = None) -> None:
    next(iter(device.train(recipe, data, tick=tick)))


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _peak() -> float:
    """GF/s of one large product of torch's."""
    a = torch.rand(PEAK_SIZE, PEAK_SIZE)
    return 2 * PEAK_SIZE**3 / min(_timed(lambda: a @ a) for _ in range(5)) / 1e9


def _step_flops(recipe: Recipe) -> float:
    """Products of a step: forward, gradients of the weights, and slopes of every layer but the first."""
    each = [a * b for a, b in itertools.pairwise(recipe.layer_sizes)]
    return 2.0 * recipe.batch_size * (2 * sum(each) + sum(each[1:]))
