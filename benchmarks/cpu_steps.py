"""How much faster a training step of the CPU engine became: two states of this folder in turn, on one core.

    git worktree add /tmp/before REVISION
    python benchmarks/cpu_steps.py /tmp/before . --rounds 5        # a Markdown table; the losses must be the same bits

In each round both states train in a new process, since how fast a small step is depends on where its memory happens to
lie: on FashionMNIST from the same weights, a part of an epoch at a time. CPU time of a step, medians over rounds of
those of three parts; ratios by round.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from rich import progress

Shape = tuple[int, int, int]  # batch size, depth, width
Answer = tuple[float, str]  # microseconds a step, and the loss of the last as bytes
SHAPES: tuple[Shape, ...] = (
    *((batch_size, 0, 0) for batch_size in (4, 16, 64, 128)),
    *((batch_size, 3, 128) for batch_size in (1, 2, 3, 4, 8, 64)),
    *((2, 6, 512), (128, 1, 32), (128, 6, 512)),
)
IMAGES, PARTS = 60_000, 3
PART_SECONDS = 0.1


def serve(data_dir: str) -> None:
    """Trains a part of an epoch for each line of a shape; answers with microseconds a step, and the last loss."""
    import numpy

    from models import blas, data, engines, recipes, weights
    from models.engines import cpu

    blas.use_one_thread()
    found = data.fashion_mnist_bytes(pathlib.Path(data_dir))
    engines.load("cpu").prepare(found)
    images, samples = cpu._Images(found.train_images, found.train_labels), data.order(0, 1, len(found.train_labels))
    for line in sys.stdin:
        batch_size, depth, width, steps = map(int, line.split())
        recipe = recipes.Recipe(0.01, batch_size, depth, width or None, "ReLU" if depth else None)
        run, losses = cpu._Run(recipe, images, weights.initial(recipe)), numpy.empty(len(samples), numpy.float32)
        taken = []
        for part in range(PARTS + 1):  # the first warms up
            began = time.thread_time()
            run._steps(samples, part * steps, (part + 1) * steps, losses)
            taken.append((time.thread_time() - began) / steps * 1e6)
        print(statistics.median(taken[1:]), losses[(PARTS + 1) * steps - 1].tobytes().hex(), flush=True)


def start(tree: pathlib.Path, data_dir: pathlib.Path) -> "subprocess.Popen[str]":
    """A process that trains with the sources of a folder."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    words = [sys.executable, __file__, "--serve", "--data-dir", str(data_dir.resolve())]
    return subprocess.Popen(words, cwd=tree, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: "subprocess.Popen[str]", shape: Shape, steps: int) -> Answer:
    """What it measures."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(*shape, steps, file=process.stdin, flush=True)
    taken, loss = process.stdout.readline().split()
    return float(taken), loss


def measure(trees: Sequence[pathlib.Path], data_dir: pathlib.Path, steps: dict[Shape, int]) -> list[list[Answer]]:
    """A round: what each state answers for each shape, [shape][state]."""
    processes = [start(tree, data_dir) for tree in trees]
    try:
        for shape in SHAPES:
            steps[shape] = steps.get(shape) or enough(processes[0], shape)
        return [[ask(each, shape, steps[shape]) for each in processes] for shape in SHAPES]
    finally:
        for each in processes:
            each.kill()
            each.wait()


def enough(process: "subprocess.Popen[str]", shape: Shape) -> int:
    """Steps for a part that takes long enough, of which an epoch has several."""
    return max(2, min(int(PART_SECONDS / ask(process, shape, 2)[0] * 1e6), IMAGES // shape[0] // (PARTS + 1)))


def row(shape: Shape, rounds: Sequence[Sequence[Answer]]) -> str:
    """A line of the table, from the answers of both states by round."""
    ratios = sorted(before / after for (before, _), (after, _) in rounds)
    medians = [statistics.median(answers[side][0] for answers in rounds) for side in range(2)]
    same = "yes" if all(before == after for (_, before), (_, after) in rounds) else "NO"
    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
    width = shape[2] or "-"
    return f"| {shape[0]}, {shape[1]}, {width} | {medians[0]:.1f} | {medians[1]:.1f} | {spread} | {same} |"


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=pathlib.Path, help="two folders: before, and after")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=pathlib.Path, default=pathlib.Path("data"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(str(options.data_dir))
        return 0
    if len(options.trees) != 2:
        parser.error(f"two folders are compared, got {len(options.trees)}")
    for tree in options.trees:
        if not (tree / "models" / "engines" / "cpu.py").is_file():
            parser.error(f"a state of this project's folder is compared, which {tree} is not")
    steps: dict[Shape, int] = {}
    rounds = [
        measure(options.trees, options.data_dir, steps)
        for _ in progress.track(range(options.rounds), description="rounds")
    ]
    print("| batch, depth, width | before, us | after, us | faster | same loss |\n|---|---|---|---|---|")
    for place, shape in enumerate(SHAPES):
        print(row(shape, [found[place] for found in rounds]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
