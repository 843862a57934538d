"""A training step of the compiled CPU engine beside the reference and the notebook's loop, interleaved in one run.

    python benchmarks/engine_speed.py --rounds 5

One core, CPU time. `notebook`: DataLoader over torchvision with ToTensor, shuffled, autograd, `loss.item()` for every
batch. The baselines keep freed memory (models/engines/reference.py). A round of ours is a whole epoch, of a baseline
what it does in a second. GF/s counts the products of matrices; peak is torch's product of 1,024 x 1,024 matrices.
"""

import argparse
import contextlib
import dataclasses
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torchvision
from torch.nn import functional

from models import data as datasets
from models import engines, network
from models.engines import reference
from models.recipe import Recipe

SHAPES = [(1, 3, 128), (1, 6, 512), (4, 3, 128), (16, 3, 128), (41, 3, 128), (64, 3, 128)]
SHAPES += [(128, 0, 128), (128, 1, 32), (128, 6, 512)]
SECONDS = 1.0
WARM = 3  # steps of a baseline before the clock starts


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


def ours(recipe: Recipe, data: datasets.Dataset) -> float:
    """CPU seconds of a step, over an epoch."""
    started = time.process_time()
    next(iter(CPU.train(recipe, data)))
    return (time.process_time() - started) / recipe.steps_per_epoch(len(data.train_images))


def autograd(recipe: Recipe, data: datasets.Dataset) -> float:
    """The same of the reference."""
    clock = _Clock()
    with contextlib.suppress(_Enough):
        next(iter(engines.load("reference").train(recipe, data, tick=clock)))
    return clock.step_seconds


def notebook(recipe: Recipe, root: str) -> float:
    """The same of the lab's loop."""
    images = torchvision.datasets.FashionMNIST(root, transform=torchvision.transforms.ToTensor())
    loader = torch.utils.data.DataLoader(images, recipe.batch_size, shuffle=True)
    net = torch.nn.Sequential(torch.nn.Flatten(), *network.build(recipe))
    optimizer = torch.optim.SGD(net.parameters(), lr=recipe.learning_rate)
    clock, losses = _Clock(), []
    try:
        for x, y in loader:
            clock()
            loss = functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    except _Enough:
        pass
    return clock.step_seconds


def peak() -> float:
    """GF/s of one large product."""
    a = torch.rand(1024, 1024)
    times = []
    for _ in range(5):
        started = time.process_time()
        a @ a
        times.append(time.process_time() - started)
    return 2 * 1024**3 / min(times) / 1e9


def flops(recipe: Recipe) -> float:
    """Of a step: forward, weights, and slopes of every layer but the first."""
    sizes = recipe.layer_sizes
    each = [a * b for a, b in itertools.pairwise(sizes)]
    return 2.0 * recipe.batch_size * (2 * sum(each) + sum(each[1:]))


def main() -> int:
    """Prints a row a shape: medians in microseconds, ratios with their range over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference.keep_freed_memory()
    whole = datasets.fashion_mnist(options.data_dir)
    part = dataclasses.replace(whole, test_images=whole.test_images[:1], test_labels=whole.test_labels[:1])
    sides: dict[str, Callable[[Recipe], float]] = {
        "ours": lambda recipe: ours(recipe, part),
        "reference": lambda recipe: autograd(recipe, part),
        "notebook": lambda recipe: notebook(recipe, options.data_dir),
    }
    print("| batch, depth, width | ours, us | x reference | x notebook | GF/s | of the peak |")
    print("|---" * 6 + "|")
    for batch_size, depth, width in SHAPES:
        recipe = Recipe(0.01, batch_size, depth, width, "ReLU", epochs=1)
        rounds: dict[str, list[float]] = {side: [] for side in sides}
        peaks = []
        for number in range(options.rounds + 1):
            peaks.append(peak())
            for side, run in sides.items():
                taken = run(recipe)
                if number:  # the first round warms up
                    rounds[side].append(taken)
        shown = []
        for side in ("reference", "notebook"):
            ratios = sorted(b / a for a, b in zip(rounds["ours"], rounds[side], strict=True))
            shown.append(f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f})")
        step = statistics.median(rounds["ours"])
        rate = flops(recipe) / step / 1e9
        print(
            f"| {batch_size}, {depth}, {width} | {1e6 * step:.1f} | {' | '.join(shown)} | {rate:.0f} | "
            f"{100 * rate / max(peaks):.0f} % |",
            flush=True,
        )
    return 0


CPU = engines.load("cpu")

if __name__ == "__main__":
    sys.exit(main())
