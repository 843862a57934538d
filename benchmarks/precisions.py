"""What narrower factors cost in accuracy: configurations of the lab's space, trained in float32 and in TF32 or bf16.

    python benchmarks/precisions.py --rounded tf32 bf16                         no GPU: plain PyTorch that rounds alike
    python benchmarks/precisions.py --engines cpu cpu-bf16 --seeds 3
    python benchmarks/precisions.py --engines cuda cuda-tf32 cuda-bf16 --device cuda --seeds 3
    python benchmarks/precisions.py --table                                     of what is there

The configurations are the same ones every time: of more than eight samples a batch, one after the other from strata of
learning rate, activation and depth, each the next by its hash; every fifth is one that the rule against hopeless
networks would not train. What has been trained is a line of `precisions_runs.jsonl` and is not trained again, cheap
ones come first, and Ctrl-C may come at any time.

The difference of a configuration is that of the accuracies after the last epoch, narrow less float32, over the same
seeds; the interval is Student's over configurations that learned in float32. Beside it, how far accuracies of two seeds
of one configuration lie apart.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import itertools
import json
import pathlib
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rich import progress
from scipy import stats

from models import backends, engine, engines
from models.data import Dataset, fashion_mnist_bytes
from models.recipes import Recipe
from search.study import specs
from search.training import hopeless

ROOT = pathlib.Path(__file__).parents[1]
RUNS = pathlib.Path(__file__).with_name("precisions_runs.jsonl")
LEARNED = 0.2  # the accuracy beyond which a network is no longer one that guesses
HOPELESS_EVERY = 5
CORE_FLOPS = 3e10  # a second, and what a layer's step takes beside: only for the order
LAYER_SECONDS = 1e-4

Configuration = tuple[float, int, int, int | None, str | None]
Key = tuple[Configuration, int, int, str]  # epochs, seed, side


def drawn(count: int, data: Dataset, epochs: int) -> list[Configuration]:
    """The first configurations of the draw, the cheapest first."""
    strata: dict[Any, list[Configuration]] = collections.defaultdict(list)
    for params in specs.load(ROOT / "studies" / "lab.toml").space.configurations():
        if params["batch_size"] <= backends.FEW:
            continue
        found: Any = tuple(params.get(name) for name in ("learning_rate", "batch_size", "depth", "width", "activation"))
        strata[found[0], found[4], min(1, found[2]) + found[2] // 4].append(found)
    ordered = [sorted(strata[key], key=_hash) for key in sorted(strata, key=_hash)]
    chances = [each for row in itertools.zip_longest(*ordered) for each in row if each is not None]
    pools = {True: iter(chances), False: iter(chances)}
    wanted = [number % HOPELESS_EVERY == HOPELESS_EVERY - 1 for number in range(count)]
    chosen = [next(each for each in pools[dead] if is_hopeless(each, data, epochs) == dead) for dead in wanted]
    return sorted(chosen, key=lambda each: _cost(Recipe(*each)))


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()


def is_hopeless(configuration: Configuration, data: Dataset, epochs: int) -> bool:
    """Whether a search would not begin it."""
    return hopeless.Hopeless(Recipe(*configuration, epochs=epochs), data).before() is not None


def _cost(recipe: Recipe) -> float:
    return (recipe.depth + 1) * LAYER_SECONDS / recipe.batch_size + 6 * recipe.weights / CORE_FLOPS


def load(side: str, device: str) -> engine.Engine:
    """An engine by its name, or the loop that rounds: "rounded tf32"."""
    rounding, _, precision = side.partition(" ")
    if rounding == "rounded":
        from models.engines import rounded

        return rounded.Rounded(precision)
    return engines.make(side, engines.check(side, device))


def read() -> dict[Key, float]:
    """Accuracies after the last epoch."""
    lines = RUNS.read_text(encoding="utf-8").splitlines() if RUNS.exists() else []
    runs: Iterator[Any] = map(json.loads, lines)
    return {(tuple(r["configuration"]), r["epochs"], r["seed"], r["side"]): r["accuracies"][-1] for r in runs}


class Stopped(Exception):
    """Ctrl-C, in the threads that train."""


def train(sides: Sequence[str], missing: Sequence[Key], data: Dataset, device: str, at_once: int | None) -> None:
    """Trains what is missing, side by side, and writes a line for each."""
    loaded, stop, lock = {side: load(side, device) for side in sides}, threading.Event(), threading.Lock()
    room = at_once or (1 if device == "cpu" else max(map(engine.capacity, loaded.values())))

    def tick() -> None:
        if stop.is_set():
            raise Stopped

    def one(key: Key) -> None:
        configuration, epochs, seed, side = key
        started = time.perf_counter()
        recipe = Recipe(*configuration, epochs=epochs, seed=seed)
        accuracies = [each.accuracy for each in loaded[side].train(recipe, data, tick=tick)]
        line = {"side": side, "device": device, "configuration": configuration, "epochs": epochs, "seed": seed}
        line |= {"accuracies": accuracies, "seconds": round(time.perf_counter() - started, 1)}
        with lock, RUNS.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    columns = [progress.MofNCompleteColumn(), progress.BarColumn(), progress.TimeElapsedColumn()]
    with progress.Progress(*columns) as bar, concurrent.futures.ThreadPoolExecutor(room) as pool:
        task = bar.add_task("", total=len(missing))
        trainings = [pool.submit(one, key) for key in missing]
        try:
            for done in concurrent.futures.as_completed(trainings):
                done.result()
                bar.advance(task)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def table(found: dict[Key, float], chosen: Sequence[Configuration], sides: Sequence[str], epochs: int) -> Iterator[str]:
    """A line of Markdown for each narrow side, and those that it takes."""
    base, *narrow = sides
    yield f"accuracy after {epochs} epochs less that of {base}, in percentage points"
    yield ""
    yield "| | configurations | trainings | mean | 95 % interval | worst | two seeds apart | no longer learn |"
    yield "|---|---|---|---|---|---|---|---|"
    for side in narrow:
        yield "| " + " | ".join([side, *_figures(found, chosen, base, side, epochs)]) + " |"


def _figures(
    found: dict[Key, float], chosen: Sequence[Configuration], base: str, side: str, epochs: int
) -> tuple[str, ...]:
    pairs: dict[Configuration, list[tuple[float, float]]] = {each: [] for each in chosen}  # in float32, and narrow
    for (configuration, ran, seed, by), accuracy in found.items():
        wide = found.get((configuration, epochs, seed, base))
        if (ran, by) == (epochs, side) and configuration in pairs and wide is not None and wide > LEARNED:
            pairs[configuration].append((wide, accuracy))
    learned = [each for each in pairs.values() if each]
    if not learned:
        return ("0", *["-"] * 6)
    means = [100 * statistics.fmean(narrow - wide for wide, narrow in each) for each in learned]
    both = [pair for each in learned for pair in each]
    apart = [abs(one - two) for each in learned for (one, _), (two, _) in itertools.combinations(each, 2)]
    lost = sum(narrow <= LEARNED for _, narrow in both)
    return (
        *(str(len(learned)), str(len(both)), f"{statistics.fmean(means):+.3f}", _interval(means)),
        *(f"{min(means):+.2f}", f"{100 * statistics.fmean(apart):.2f}" if apart else "-", f"{lost} of {len(both)}"),
    )


def _interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "-"
    half = statistics.stdev(values) / len(values) ** 0.5 * float(stats.t.ppf(0.975, len(values) - 1))
    return f"{statistics.fmean(values) - half:+.3f} to {statistics.fmean(values) + half:+.3f}"


def main() -> int:
    """Trains what is missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--engines", nargs="+", metavar="NAME", help="float32's first")
    what.add_argument("--rounded", nargs="+", choices=backends.PRECISIONS[1:], help="beside the engine cpu")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--configurations", type=int, default=30)
    parser.add_argument("--first", type=int, help="of the cheapest of them alone")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--at-once", type=int, help="trainings; as many as fill a GPU")
    parser.add_argument("--table", action="store_true", help="train nothing")
    parser.add_argument("--data-dir", type=pathlib.Path, default=pathlib.Path("data"))
    options = parser.parse_args()
    sides = options.engines or ["cpu", *(f"rounded {each}" for each in options.rounded or ("tf32", "bf16"))]
    data = fashion_mnist_bytes(options.data_dir)
    chosen = drawn(options.configurations, data, options.epochs)[: options.first]
    wanted = itertools.product(chosen, [options.epochs], range(options.seeds), sides)
    try:
        known = read()
        missing = [] if options.table else [key for key in wanted if key not in known]
        if missing:
            train(sides, missing, data, options.device, options.at_once)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on\n")
    sys.stdout.write("\n".join(table(read(), chosen, sides, options.epochs)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
