"""The truth: PyTorch, autograd, cross-entropy and plain SGD, as the lab wrote it, on resident tensors."""

import ctypes
import dataclasses
import os
from collections.abc import Callable, Iterator

import numpy
import torch
from torch.nn import functional

from models import engine, errors, network, recipes, weights
from models.data import Dataset, order

# glibc's mallopt parameters (malloc.h); see keep_freed_memory
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MALLOC_THRESHOLD_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class _Placed:
    """A dataset's images and labels as tensors on a device."""

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]


class Reference:
    """Every other engine is judged against this one; it runs on the CPU and, unchanged, on CUDA."""

    name = "reference"

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        if device == "cpu":
            keep_freed_memory()
        else:
            # without it cuBLAS may pick another reduction order from run to run; read at CUDA's first use
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)  # the same numbers everywhere, and one worker per core
        self._placed: tuple[Dataset, _Placed] | None = None

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
        net = self.network(recipe, resume.weights if resume else None).to(self.device)
        placed = self._place(data)
        for number in range(resume.epoch + 1 if resume else 1, recipe.epochs + 1):
            losses = self._epoch(net, recipe, placed, number, tick)
            loss, accuracy = network.evaluate(net, *placed.test, recipe.batch_size)
            train = None
            if train_accuracy:
                train = network.evaluate(net, *placed.train, recipe.batch_size)[1]

            def state(number: int = number) -> engine.State:
                return engine.State(recipe, number, tuple(p.detach().cpu().numpy().copy() for p in net.parameters()))

            yield engine.Epoch(number, losses, loss, accuracy, state, train)

    def network(self, recipe: recipes.Recipe, start: weights.Weights | None) -> torch.nn.Module:
        """What is trained, from its initial weights or others."""
        return network.build(recipe, start)

    def prepare(self, data: Dataset) -> None:
        """See `engine.Engine.prepare`."""
        self._place(data)

    def footprint(self, recipe: recipes.Recipe) -> int:
        """See `engine.Engine.footprint`: weights, gradients and copies; activations and their gradients."""
        rows = max(recipe.batch_size, network.EVALUATION_ROWS)
        return 4 * (6 * recipe.weights + 4 * rows * sum(recipe.layer_sizes))

    def capacity(self) -> int:
        """See `engine.capacity`: Python lies between two steps, and one thread at a time is in it."""
        return 1

    def _place(self, data: Dataset) -> _Placed:
        if self._placed is None or self._placed[0] is not data:
            both = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
            tensors = [(network.tensor(images), torch.from_numpy(labels)) for images, labels in both]
            train, test = [(images.to(self.device), labels.to(self.device)) for images, labels in tensors]
            self._placed = data, _Placed(train, test)
        return self._placed[1]

    def _epoch(
        self,
        net: torch.nn.Module,
        recipe: recipes.Recipe,
        data: _Placed,
        number: int,
        tick: Callable[[], None] | None,
    ) -> numpy.ndarray:
        """One pass of SGD over the training images; returns the loss of every batch, (steps,) float32."""
        images, labels = data.train
        optimizer = torch.optim.SGD(net.parameters(), lr=recipe.learning_rate)
        samples = torch.from_numpy(order(recipe.seed, number, len(images))).to(self.device)
        losses = torch.empty(recipe.steps_per_epoch(len(images)), device=self.device)
        for step, batch in enumerate(samples.split(recipe.batch_size)):
            if tick is not None:
                tick()
            loss = functional.cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[step] = loss.detach()  # stays on the device: .item() here would wait for CUDA at every step
        return losses.cpu().numpy()


def keep_freed_memory() -> None:
    """Stops glibc from giving freed gradients back to the kernel at every step.

    Gradients of 1 MB (width 512) are otherwise mapped and unmapped each time. How much that costs is the kernel's
    affair: from nothing (transparent huge pages) to half of the speed. Other C libraries are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # of Windows
        return
    mallopt(M_MMAP_THRESHOLD, MALLOC_THRESHOLD_BYTES)
    mallopt(M_TRIM_THRESHOLD, MALLOC_THRESHOLD_BYTES)
