"""The rival: an epoch as one compiled `lax.scan` of JAX, as fast as a few lines in another framework get on a core.

The same weights at the start, order of samples, plain SGD and float32 as every engine's. Its thread pool has one
thread; weights are donated, so that each epoch's take the place of the last one's. No engine of the service: it takes
no checkpoints, and is there to be measured beside ours.
"""

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy

from models import data, engine, errors, evaluations, recipes, weights

EXTRA = 'pip install "optuna-search-service[jax]"'
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


class Scan:
    """Trains on one core of the CPU.

    Raises:
        errors.DeviceError: JAX is not installed.
    """

    name = "jax"

    def __init__(self) -> None:
        self._jax = jax = _one_threaded()
        self._kept: tuple[data.Dataset, Any] | None = None
        self._epoch = jax.jit(functools.partial(_epoch, jax), static_argnums=0, donate_argnums=1)
        self._evaluated = jax.jit(functools.partial(_each_loss, jax), static_argnums=0)

    def train(
        self, recipe: recipes.Recipe, images: data.Dataset, *, tick: Callable[[], None] | None = None
    ) -> Iterator[engine.Epoch]:
        """As `engine.Engine.train`, from the start; `tick` is called once an epoch."""
        place = self._jax.numpy.asarray
        held = self._held(images)
        net = [place(each.T) for each in weights.initial(recipe)]  # inputs by outputs: four times as fast as PyTorch's
        rate, size = numpy.float32(recipe.learning_rate), recipe.batch_size
        for number in range(1, recipe.epochs + 1):
            if tick is not None:
                tick()
            samples = data.order(recipe.seed, number, len(images.train_labels)).astype(numpy.int32)
            whole = len(samples) // size * size
            losses = []
            for part in (samples[:whole].reshape(-1, size), samples[whole:].reshape(1, -1)):
                if part.size:
                    net, found = self._epoch(recipe.activation, net, *held[:2], part, rate)
                    losses.append(found)
            each, right = self._evaluated(recipe.activation, net, *held[2:])
            loss = evaluations.mean_of_batches(numpy.asarray(each), size)

            def state(number: int = number, net: Any = net) -> engine.State:
                return engine.State(recipe, number, tuple(numpy.array(w.T) for w in net))

            yield engine.Epoch(number, numpy.concatenate(losses), loss, float(right) / len(each), state)

    def _held(self, images: data.Dataset) -> Any:
        """Images and labels where JAX has them, kept from call to call."""
        if self._kept is None or self._kept[0] is not images:
            parts = (images.train_images, images.train_labels, images.test_images, images.test_labels)
            self._kept = images, [self._jax.numpy.asarray(part) for part in parts]
        return self._kept[1]


def version() -> str | None:
    """Of the JAX that is installed, if one is."""
    try:
        return metadata.version("jax")
    except metadata.PackageNotFoundError:
        return None


def _one_threaded() -> Any:
    """JAX with one thread: how many it takes it decides once, by the cores that it may run on when it starts."""
    try:
        import jax
    except ImportError as error:
        raise errors.DeviceError(f"the rival needs JAX ({error}): {EXTRA}") from error
    if ONE_THREAD not in (flags := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{flags} {ONE_THREAD}".strip()
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.config.update("jax_default_matmul_precision", "highest")
    with _one_core():
        jax.devices()
    return jax


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """One core in sight; threads that begin meanwhile may run where all others may, afterwards."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    cores, before = os.sched_getaffinity(0), _threads()
    os.sched_setaffinity(0, {_core()})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for thread in _threads() - before:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(thread, cores)


def _core() -> int:
    """That this thread is on: any other may be busy."""
    return int(pathlib.Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])


def _threads() -> set[int]:
    """Of this process."""
    return {int(each.name) for each in pathlib.Path("/proc/self/task").iterdir()}


def _logits(jax: Any, activation: str | None, net: Any, images: Any) -> Any:
    kinds = {"ReLU": jax.nn.relu, "Sigmoid": jax.nn.sigmoid, "GELU": lambda x: jax.nn.gelu(x, approximate=False)}
    x = images.astype("float32") / 255 if images.dtype == "uint8" else images
    for number in range(0, len(net), 2):
        x = x @ net[number] + net[number + 1]
        if number < len(net) - 2:
            x = kinds[str(activation)](x)
    return x


def _losses(jax: Any, activation: str | None, net: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    scores = jax.nn.log_softmax(_logits(jax, activation, net, images))
    return -jax.numpy.take_along_axis(scores, labels[:, None], axis=1)[:, 0], scores


def _each_loss(jax: Any, activation: str | None, net: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    each, scores = _losses(jax, activation, net, images, labels)
    return each, (scores.argmax(axis=1) == labels).sum()


def _epoch(jax: Any, activation: str | None, net: Any, images: Any, labels: Any, order: Any, rate: Any) -> Any:
    def step(net: Any, batch: Any) -> Any:
        def mean(net: Any) -> Any:
            return _losses(jax, activation, net, images[batch], labels[batch])[0].mean()

        loss, slopes = jax.value_and_grad(mean)(net)
        return [w - rate * slope for w, slope in zip(net, slopes, strict=True)], loss

    return jax.lax.scan(step, net, order)
