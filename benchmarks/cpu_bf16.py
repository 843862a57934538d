"""How much faster a training step is in bf16 than in float32, on one core; interleaved rounds of CPU time.

.venv/bin/python benchmarks/cpu_bf16.py --rounds 7          # a Markdown table; the processor needs avx512_bf16
"""

import argparse
import statistics
import time

import numpy

from models import benchmark, data, engines, weights
from models.engines import cpu, cpu_bf16
from models.recipes import Recipe

SHAPES = [*benchmark.SHAPES, (32, 6, 512), (16, 6, 512), (128, 3, 512), (128, 6, 128)]
SHAPES += [(2, 6, 512), (4, 6, 512), (8, 6, 512), (9, 6, 512), (9, 1, 32), (16, 1, 32), (128, 1, 8), (128, 1, 24)]
STEPS = 24


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--forced", action="store_true", help="bf16 where the engine is float32 too")
    rounds, forced = vars(parser.parse_args()).values()
    print("| batch, depth, width | float32, us | bf16, us | faster |\n|---|---|---|---|", flush=True)
    for batch_size, depth, width in SHAPES:
        recipe = benchmark.recipe_of(batch_size, depth, width)
        if cpu_bf16.is_paired(recipe) or (forced and depth and batch_size > 1):
            print(row(recipe, rounds), flush=True)


def row(recipe: Recipe, rounds: int) -> str:
    """A shape: medians, and the ratio with its range."""
    images = _images(STEPS * recipe.batch_size)
    for name in ("cpu", "cpu-bf16"):
        engines.load(name).prepare(data.Dataset("random", images.pixels, images.labels, images.pixels, images.labels))
    runs = [kind(recipe, images, weights.initial(recipe)) for kind in (cpu._Run, cpu_bf16._Run)]
    taken: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        for run, found in zip(runs, taken, strict=True):
            began = time.thread_time()
            run.epoch(1, None)
            found += [(time.thread_time() - began) / STEPS * 1e6] if number else []  # the first warms up
    ratios = sorted(one / other for one, other in zip(*taken, strict=True))
    shape = f"{recipe.batch_size}, {recipe.depth}, {recipe.width}"
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    return f"| {shape} | {statistics.median(taken[0]):.1f} | {statistics.median(taken[1]):.1f} | {spread} |"


def _images(count: int) -> cpu._Images:
    """Half of the pixels are zero, as FashionMNIST's."""
    random = numpy.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 784)) * (random.random((count, 784)) < 0.5)
    return cpu._Images(pixels.astype(numpy.uint8), random.integers(0, 10, count))


if __name__ == "__main__":
    main()
