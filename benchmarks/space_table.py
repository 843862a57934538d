"""Records the lab's space as a table: what every configuration comes to, epoch by epoch, and what it costs.

    python benchmarks/space_table.py --workers 2              # what is missing, cheap ones first; taken up again
    python benchmarks/space_table.py --import OLDER.jsonl     # rows of an earlier format
    python benchmarks/space_table.py --pack                   # the table, its checksum, and what is missing

Batch sizes 1, 2, 4 ... 128, all else as in the lab: 1,320 configurations. Each is trained for ten epochs on 50,000
images with the training seed 0; the best 150 and a sample drawn by hash with 1 and 2 as well. What the rule against
hopeless networks ends before its first epoch is trained only where the sample has it. docs/simulation.md has the
format.
"""

import argparse
import gzip
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import pathlib
import platform
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy
from rich import progress
from scipy import special

from models import blas, data, engines, weights
from models.recipes import ACTIVATIONS, Recipe
from search.training import hopeless

HOUSE = pathlib.Path(__file__).parent.parent
ROWS, PACKED = HOUSE / "runs" / "space_table.jsonl", HOUSE / "studies" / "lab.table.jsonl.gz"
RATES, BATCHES, WIDTHS, DEPTHS = (1e-4, 1e-2, 1e-1), tuple(2**n for n in range(8)), (32, 128, 512), range(1, 7)
EPOCHS, BEST, SHARE = 10, 150, 9  # one in nine of all configurations is in the sample
SEEDS = (1, 2)

Params = dict[str, Any]


def space() -> list[Params]:
    """All configurations, the cheap ones first."""
    linear = [
        {"learning_rate": rate, "batch_size": size, "depth": 0} for rate, size in itertools.product(RATES, BATCHES)
    ]
    names = ("learning_rate", "batch_size", "depth", "width", "activation")
    deep = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(RATES, BATCHES, DEPTHS, WIDTHS, ACTIVATIONS)
    ]
    return sorted(linear + deep, key=_cost)


def _cost(params: Params) -> float:
    """Of an epoch, in arbitrary units: arithmetic, and what a step costs whatever its size."""
    recipe = Recipe(**params)
    size = int(params["batch_size"])
    return recipe.weights * (50_000 + 200_000 / size) + 5e9 / size


def is_in_sample(params: Params) -> bool:
    """Drawn by hash over all strata, the same on every machine."""
    return int(hashlib.sha256(name(params).encode()).hexdigest(), 16) % SHARE == 0


def name(params: Params) -> str:
    """A configuration as a key."""
    return json.dumps(params, sort_keys=True)


def jobs(rows: list[dict[str, Any]]) -> list[tuple[Params, int, bool]]:
    """What is missing, cheap ones first: a configuration, its training seed, whether to train it though hopeless."""
    return sorted(_missing(rows), key=lambda job: _cost(job[0]))


def _missing(rows: list[dict[str, Any]]) -> Iterator[tuple[Params, int, bool]]:
    done = {(name(row["params"]), row["seed"]): row for row in rows}
    every = space()
    for params in every:
        found = done.get((name(params), 0))
        if found is None or (not found["values"] and is_in_sample(params)):
            yield params, 0, is_in_sample(params)
    known = [row for row in rows if row["seed"] == 0 and len(row["values"]) == EPOCHS]
    best = sorted(known, key=lambda row: -numpy.mean(row["values"][-3:]))[:BEST]
    chosen = {name(row["params"]) for row in best}
    for params in every:
        if name(params) in chosen or is_in_sample(params):
            yield from ((params, seed, True) for seed in SEEDS if (name(params), seed) not in done)


_AT: dict[str, Any] = {}


def _begin(folder: str) -> None:
    blas.use_one_thread()
    os.nice(10)
    whole = data.fashion_mnist_bytes(folder)
    _AT.update(whole=whole, kept=whole.holdout(), engine=engines.load("cpu"))
    _AT["engine"].prepare(_AT["kept"])


def record(job: tuple[Params, int, bool]) -> dict[str, Any]:
    """The row of one training."""
    params, seed, even_hopeless = job
    recipe, kept, whole = Recipe(**params, epochs=EPOCHS, seed=seed), _AT["kept"], _AT["whole"]
    started = time.thread_time()
    judge = hopeless.Hopeless(recipe, kept)
    reason = judge.before()
    row = {"params": params, "seed": seed, "setup_seconds": round(time.thread_time() - started, 4)}
    row |= {"stop": None, "reason": None, "values": [], "seconds": [], "loss": [], "test": [], "train_loss": []}
    if reason is not None:
        row |= {"stop": 0, "reason": reason}
    if reason is None or even_hopeless:
        _train(recipe, judge, kept, whole, row)
    return row


def _train(
    recipe: Recipe, judge: hopeless.Hopeless, kept: data.Dataset, whole: data.Dataset, row: dict[str, Any]
) -> None:
    epochs = _AT["engine"].train(recipe, kept)
    while True:
        started = time.thread_time()
        epoch = next(epochs, None)
        if epoch is None:
            return
        if row["stop"] is None and (reason := judge.after(epoch)) is not None:
            row |= {"stop": epoch.number, "reason": reason}
        row["seconds"].append(round(time.thread_time() - started, 4))
        row["values"].append(round(epoch.accuracy, 5))
        row["loss"].append(_rounded(epoch.loss))
        row["train_loss"].append(_rounded(float(epoch.batch_losses.mean())))
        row["test"].append(round(_accuracy(recipe, epoch.state().weights, whole.test_images, whole.test_labels), 5))
        if not math.isfinite(epoch.loss):  # it stays so
            return


def _rounded(loss: float) -> float | None:
    return round(loss, 5) if math.isfinite(loss) else None


def _accuracy(recipe: Recipe, at: weights.Weights, images: numpy.ndarray, labels: numpy.ndarray) -> float:
    signal = data.pixels(images)
    for number in range(recipe.depth + 1):
        signal = signal @ at[2 * number].T + at[2 * number + 1]
        if number < recipe.depth:
            signal = _activated(recipe.activation, signal)
    return float((signal.argmax(axis=1) == labels).mean())


def _activated(activation: str | None, z: numpy.ndarray) -> numpy.ndarray:
    with numpy.errstate(all="ignore"):
        match activation:
            case "ReLU":
                return numpy.asarray(numpy.maximum(z, 0))
            case "Sigmoid":
                return numpy.asarray(special.expit(z))
            case _:
                return numpy.asarray(0.5 * z * (1 + special.erf(z * numpy.float32(math.sqrt(0.5)))))


def load(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows recorded so far; where there is no such file, those of the packed table."""
    if not path.exists() and PACKED.exists():
        path.parent.mkdir(exist_ok=True)
        packed = gzip.decompress(PACKED.read_bytes()).decode().splitlines()
        path.write_text("".join(f"{line}\n" for line in packed[1:]))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def imported(path: pathlib.Path) -> list[dict[str, Any]]:
    """Rows of the format before this one."""
    found = []
    for line in path.read_text().splitlines():
        old = json.loads(line)
        params = {"learning_rate": old["lr"], "batch_size": old["b"], "depth": old["d"]}
        if old["d"]:
            params |= {"width": old["w"], "activation": old["a"]}
        lists = {
            "values": old.get("val"),
            "seconds": old.get("cpu"),
            "loss": old.get("loss"),
            "test": old.get("test"),
            "train_loss": old.get("train_loss"),
        }
        stop = old.get("diverged") or old.get("stop") if old.get("stop") != 0 else 0
        found.append(
            {
                "params": params,
                "seed": old["seed"],
                "setup_seconds": old["probe_s"],
                "stop": stop,
                "reason": old.get("why"),
            }
            | {key: values or [] for key, values in lists.items()}
        )
    return found


def pack(rows: list[dict[str, Any]]) -> str:
    """Writes the table compressed, with a header; returns its checksum."""
    header = {
        "table": "the lab's space at batch sizes 1, 2, 4 ... 128",
        "steps": EPOCHS,
        "direction": "maximize",
        "machine": f"{platform.machine()}, {_processor()}, one core a training",
        "command": "python benchmarks/space_table.py",
    }
    order = {name(params): place for place, params in enumerate(space())}
    last = {(row["seed"], name(row["params"])): row for row in rows if name(row["params"]) in order}
    rows = sorted(last.values(), key=lambda row: (row["seed"], order[name(row["params"])]))
    text = "".join(json.dumps(each) + "\n" for each in (header, *rows))
    PACKED.write_bytes(gzip.compress(text.encode(), mtime=0))
    return hashlib.sha256(PACKED.read_bytes()).hexdigest()


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main() -> int:
    """Records what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit", type=int, help="trainings at most")
    parser.add_argument("--import", dest="older", type=pathlib.Path)
    parser.add_argument("--pack", action="store_true")
    parser.add_argument("--rows", type=pathlib.Path, default=ROWS)
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"))
    options = parser.parse_args()
    rows = load(options.rows)
    options.rows.parent.mkdir(exist_ok=True)
    if options.older:
        done = {(name(row["params"]), row["seed"]) for row in rows}
        fresh = [row for row in imported(options.older) if (name(row["params"]), row["seed"]) not in done]
        with options.rows.open("a") as out:
            out.writelines(json.dumps(row) + "\n" for row in fresh)
        print(f"{len(fresh)} rows imported")
        return 0
    todo = jobs(rows)[: options.limit]
    if options.pack:
        print(f"{pack(rows)}  {PACKED.name}, {len(rows)} rows, {len(todo)} missing")
        return 0
    pool = multiprocessing.get_context("spawn").Pool(options.workers, _begin, (options.data_dir,))
    with pool, options.rows.open("a") as out:
        found = pool.imap_unordered(record, todo)
        for row in progress.track(found, total=len(todo), description="recording"):
            print(json.dumps(row), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
