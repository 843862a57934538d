"""The same training as the reference's on a GPU: a block or a team of them per network, hundreds in a launch."""

import copy
import dataclasses
import threading
from collections.abc import Callable, Iterator

import numpy

from models import backends, engine, errors, evaluations, recipes, weights
from models.data import Dataset, order, pixels
from models.engines.cuda import compilers, devices, launches, layouts


def check(device: str, name: str = "cuda") -> None:
    """Whether there is what an engine of these needs, without taking the device.

    Raises:
        errors.DeviceError: it trains elsewhere, or nothing compiles for it here.
    """
    if not device.startswith("cuda"):
        raise errors.DeviceError(f"engine {name!r} trains on CUDA devices only, got device {device!r}")
    compilers.check(name)


class Cuda:
    """Float32 on a CUDA device. Trainings of several threads run at once, and none changes another's bits.

    Attributes:
        team: blocks that share one network. It changes no bit either.

    Args:
        gpu: stands for the device, in tests.

    Raises:
        errors.DeviceError: no such device, or nothing to compile for it with.
    """

    name = "cuda"
    precision = backends.FLOAT32
    team = 1

    def __init__(self, device: str = "cuda", gpu: devices.Device | None = None) -> None:
        if gpu is None:
            check(device, self.name)
        self.device = device
        self.gpu = gpu or devices.Gpu(device, self.precision)
        self.identity = f"{self.gpu.name}, {self.gpu.versions}, kernels {compilers.checksum(self.precision)}"
        self._launches = launches.Launches(self.gpu)
        self._placed = _Placed(self.gpu)

    @property
    def teams(self) -> tuple[int, ...]:
        """See `engine.teams`."""
        return tuple(team for team in backends.TEAMS if team <= self.gpu.largest_team)

    def in_teams(self, team: int) -> "Cuda":
        """The same device, launches and images, for networks that have a team each, or the largest that fits there."""
        found = copy.copy(self)
        found.team = min(team, self.gpu.largest_team)
        found.identity += f", team of {found.team}"
        return found

    def train(
        self,
        recipe: recipes.Recipe,
        data: Dataset,
        resume: engine.State | None = None,
        *,
        tick: Callable[[], None] | None = None,
        train_accuracy: bool = False,
    ) -> Iterator[engine.Epoch]:
        """See `engine.Engine.train`."""
        if resume is not None and resume.recipe != recipe:
            raise errors.RecipeError(f"state of {resume.recipe} cannot resume {recipe}")
        train, test = self._placed.of(data)
        start = resume.weights if resume else weights.initial(recipe)
        run = _Run(self.gpu, self._launches, recipe, self.team, train, start)
        for number in range(resume.epoch + 1 if resume else 1, recipe.epochs + 1):
            losses, (loss, accuracy) = run.epoch(number, test, tick)
            train_share = run.evaluate(train, tick)[1] if train_accuracy else None

            def state(number: int = number) -> engine.State:
                return engine.State(recipe, number, run.copied())

            yield engine.Epoch(number, losses, loss, accuracy, state, train_share)

    def prepare(self, data: Dataset) -> None:
        """See `engine.Engine.prepare`."""
        self._placed.of(data)

    def footprint(self, recipe: recipes.Recipe) -> int:
        """See `engine.Engine.footprint`: weights on the device, on their way and in a checkpoint; activations."""
        layout = layouts.Layout(recipe, recipe.batch_size)
        return 4 * (4 * layout.floats + layout.work)

    def capacity(self) -> int:
        """See `engine.capacity`: a block for each network, or a team."""
        return self.gpu.blocks // self.team


class Tf32(Cuda):
    """The same by tensor cores: of more than eight samples, what is multiplied is rounded to TF32, eleven digits.

    Weights, sums and all else stay float32. Needs sm_80 or later.
    """

    name = "cuda-tf32"
    precision = "tf32"


class Bf16(Cuda):
    """The same with bf16, eight digits: half of the time of TF32 on tensor cores."""

    name = "cuda-bf16"
    precision = "bf16"


@dataclasses.dataclass(frozen=True)
class _Images:
    """A set of images on the device."""

    pixels: devices.Memory
    labels: devices.Memory
    count: int
    is_bytes: bool

    def into(self, place: numpy.ndarray) -> None:
        """Tells a job of it, (): layouts.IMAGES."""
        place["pixels"], place["labels"] = self.pixels.address, self.labels.address
        place["count"], place["bytes"] = self.count, self.is_bytes


class _Placed:
    """A dataset on the device, the last one that was asked for."""

    def __init__(self, gpu: devices.Device) -> None:
        self._gpu, self._lock = gpu, threading.Lock()
        self._last: tuple[Dataset, _Images, _Images] | None = None

    def of(self, data: Dataset) -> tuple[_Images, _Images]:
        """Images for training, and for evaluation."""
        with self._lock:  # of the threads that begin together one copies
            if self._last is None or self._last[0] is not data:
                train = _placed(self._gpu, data.train_images, data.train_labels)
                self._last = data, train, _placed(self._gpu, data.test_images, data.test_labels)
            return self._last[1:]


def _placed(gpu: devices.Device, images: numpy.ndarray, labels: numpy.ndarray) -> _Images:
    is_bytes = images.dtype == numpy.uint8
    found = numpy.ascontiguousarray(images if is_bytes else pixels(images))
    return _Images(_copied(gpu, found), _copied(gpu, labels.astype(numpy.int32)), len(labels), is_bytes)


def _copied(gpu: devices.Device, values: numpy.ndarray) -> devices.Memory:
    memory = gpu.allocate(values.nbytes)
    memory.put(values)
    return memory


class _Run:
    """The memory of one training, and its jobs."""

    def __init__(
        self,
        gpu: devices.Device,
        through: launches.Launches,
        recipe: recipes.Recipe,
        team: int,
        images: _Images,
        start: weights.Weights,
    ) -> None:
        self._gpu, self._launches, self._recipe, self._team, self._images = gpu, through, recipe, team, images
        self._layout = layouts.Layout(recipe, images.count)
        self._steps = recipe.steps_per_epoch(images.count)
        self._weights = _copied(gpu, self._layout.pack(start))
        self._work = gpu.allocate(4 * self._layout.work)
        self._losses = gpu.allocate(4 * self._steps)

    def epoch(
        self, number: int, test: _Images, tick: Callable[[], None] | None
    ) -> tuple[numpy.ndarray, tuple[float, float]]:
        """Trains an epoch and evaluates: the loss of every batch, (steps,) float32, then what `evaluate` returns."""
        samples = order(self._recipe.seed, number, self._images.count).astype(numpy.int32)
        found = self._run(self._steps, _copied(self._gpu, samples), test, tick)
        losses = numpy.empty(self._steps, numpy.float32)
        self._losses.get(losses)
        return losses, found

    def evaluate(self, images: _Images, tick: Callable[[], None] | None) -> tuple[float, float]:
        """See `network.evaluate`."""
        return self._run(0, None, images, tick)

    def copied(self) -> weights.Weights:
        """A copy of the weights in PyTorch's form and order."""
        flat = numpy.empty(self._layout.floats, numpy.float32)
        self._weights.get(flat)
        return self._layout.unpack(flat)

    def _run(
        self, steps: int, samples: devices.Memory | None, test: _Images, tick: Callable[[], None] | None
    ) -> tuple[float, float]:
        """Steps, then the evaluation of a set."""
        if tick is not None:
            tick()
        job = launches.job_for(self._layout, self._team)
        found = self._gpu.allocate(4 * 2 * test.count)
        self._images.into(job["train"])
        test.into(job["test"])
        for name, memory in (("weights", self._weights), ("work", self._work), ("losses", self._losses)):
            job[name] = memory.address
        job["order"], job["found"] = samples.address if samples else 0, found.address
        job["steps"] = steps
        end = steps + -(-test.count // self._layout.rows)
        self._launches.run(launches.Task(job, end, (self, samples, test, found)), tick)
        if tick is not None:
            tick()
        figures = numpy.empty((2, test.count), numpy.float32)
        found.get(figures)
        return evaluations.mean_of_batches(figures[0], self._recipe.batch_size), float(figures[1].sum()) / test.count
