"""Trains configurations that the rule against hopeless trials has not seen, to their end, and judges the rule by them.

    python benchmarks/hopeless_validation.py --table      # the verdict on the runs in hopeless_runs.jsonl
    python benchmarks/hopeless_validation.py --table --every --pruners
    python benchmarks/hopeless_validation.py --workers 2  # trains what is missing there (all of it: 2 hours of a core)

Sets of the lab's space and of its border between dead and slow. The rule was made with the first ones in sight, made
more careful after the second, and left as it is after the third.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import sys
import time
from typing import Any

import numpy
from optuna.trial import TrialState
from rich import progress
from scipy import stats

from models import blas, engines, weights
from models.data import fashion_mnist
from models.recipes import ACTIVATIONS, Recipe
from search.study import pruners
from search.training import hopeless

RUNS = pathlib.Path(__file__).with_name("hopeless_runs.jsonl")
EPOCHS = 10
DEAD, LIVING = 0.115, 0.20  # a trial that ends at or below the one is dead, above the other it lives

Configuration = tuple[float, int, int, int | None, str | None]
SEEN: set[Configuration] = {  # the published trials, and those that the first rule was fitted to by name
    (0.01, 127, 0, None, None),
    (0.1, 41, 3, 128, "ReLU"),
    (0.01, 104, 6, 128, "Sigmoid"),
    (1e-4, 35, 3, 512, "Sigmoid"),
    (0.01, 65, 1, 128, "Sigmoid"),
    (1e-4, 33, 6, 32, "ReLU"),
    (0.1, 72, 0, None, None),
    (1e-4, 1, 6, 512, "Sigmoid"),
    (0.01, 78, 2, 32, "ReLU"),
    (0.1, 76, 1, 32, "Sigmoid"),
    (1e-3, 64, 3, 128, "ReLU"),
    (0.01, 78, 5, 128, "GELU"),
}
# learning rate, activation: (batch size, depth, width)
BORDER: dict[tuple[float, str], list[tuple[int, int, int]]] = {
    (0.1, "Sigmoid"): [
        *((128, 2, 128), (16, 3, 32), (64, 3, 128), (100, 3, 512), (8, 4, 128), (32, 4, 64), (64, 4, 256)),
        *((8, 5, 128), (48, 5, 64), (8, 6, 128)),
    ],
    (0.01, "Sigmoid"): [(4, 2, 128), (16, 2, 64), (4, 3, 128), (32, 2, 256)],
    (0.01, "GELU"): [
        *((16, 4, 128), (64, 4, 128), (120, 4, 32), (16, 5, 64), (48, 5, 128), (100, 5, 256), (16, 6, 128)),
        *((32, 6, 128), (64, 6, 64), (48, 6, 256), (110, 6, 128)),
    ],
    (0.01, "ReLU"): [(100, 6, 32), (128, 5, 16), (128, 6, 128), (96, 6, 16)],
    (1e-3, "ReLU"): [(8, 4, 128), (2, 5, 64)],
    (1e-3, "GELU"): [(4, 4, 64), (3, 4, 32)],
    (1e-3, "Sigmoid"): [(4, 2, 128)],
    (1e-4, "ReLU"): [(2, 2, 64), (3, 3, 128), (2, 3, 32), (1, 3, 64), (1, 4, 32), (1, 5, 64)],
    (1e-4, "GELU"): [(4, 2, 128), (3, 2, 64), (1, 2, 128), (1, 3, 64)],
    (1e-4, "Sigmoid"): [(2, 1, 128), (1, 1, 64), (1, 2, 32)],
}
# drawn from at random for the second border: learning rate, activation, depths
FAMILIES = [(0.1, "Sigmoid", (3, 6)), (0.01, "GELU", (4, 6)), (0.01, "ReLU", (5, 6)), (1e-3, "GELU", (3, 5))]
WIDTHS = (16, 32, 64, 128, 256)


def configurations() -> dict[Configuration, str]:
    """All to be trained, with the name of their set."""
    found: dict[Configuration, str] = {}
    _draw(found, "first", 60, numpy.random.default_rng(0), _from_the_lab)
    for (rate, activation), rest in BORDER.items():
        for size, depth, width in rest:
            found[(rate, size, depth, width, activation)] = "border"
    _draw(found, "second", 40, numpy.random.default_rng(1), _from_the_lab)
    _draw(found, "second-border", 24, numpy.random.default_rng(2), _from_the_border)
    _draw(found, "third", 40, numpy.random.default_rng(3), _from_the_lab)
    _draw(found, "third-border", 16, numpy.random.default_rng(4), _from_the_border)
    return found


def _draw(found: dict[Configuration, str], name: str, count: int, rng: numpy.random.Generator, draw: Any) -> None:
    wanted = len(found) + count
    while len(found) < wanted:
        if (one := draw(rng)) not in SEEN:
            found.setdefault(one, name)


def _from_the_lab(rng: numpy.random.Generator) -> Configuration:
    rate, size, depth = float(rng.choice([1e-4, 1e-2, 1e-1])), int(rng.integers(1, 129)), int(rng.integers(0, 7))
    width, activation = int(rng.choice([32, 128, 512])), str(rng.choice(ACTIVATIONS))
    return (rate, size, depth, width, activation) if depth else (rate, size, 0, None, None)


def _from_the_border(rng: numpy.random.Generator) -> Configuration:
    rate, activation, (low, high) = FAMILIES[rng.integers(len(FAMILIES))]
    size = round(numpy.exp(rng.uniform(numpy.log(4), numpy.log(128))))
    return (rate, size, int(rng.integers(low, high + 1)), int(rng.choice(WIDTHS)), activation)


def _start(data_dir: str) -> None:
    global DATA
    os.nice(10)
    blas.use_one_thread()
    DATA = fashion_mnist(data_dir)


def _train(job: tuple[Configuration, str]) -> dict[str, Any]:
    """One configuration to its end, with what the rule may look at."""
    configuration, name = job
    recipe = Recipe(*configuration, epochs=EPOCHS, seed=0)  # type: ignore[arg-type]
    images, labels = (t[: hopeless.PROBE_IMAGES] for t in (DATA.train_images, DATA.train_labels))
    started = time.process_time()
    start = weights.initial(recipe)
    gain, _ = hopeless.growth(recipe, start, images, labels)
    rate = recipe.learning_rate * recipe.steps_per_epoch(len(DATA.train_images)) * gain
    spreads, accuracies = [hopeless.spread(recipe, start, images)], []
    for epoch in engines.load("auto").train(recipe, DATA):
        spreads.append(hopeless.spread(recipe, epoch.state().weights, images))
        accuracies.append(epoch.accuracy)
    return {
        "set": name,
        "configuration": configuration,
        "rate": rate,
        "spreads": [spread for spread, _ in spreads],
        "classes": [classes for _, classes in spreads],
        "accuracies": accuracies,
        "seconds": round(time.process_time() - started, 1),
    }


def pruned_after(run: dict[str, Any]) -> int | None:
    """The epoch after which the rule stops a run; 0 for before training, None for not at all."""
    spreads, depth = run["spreads"], run["configuration"][2]
    if hopeless.reason_before(run["rate"], EPOCHS):
        return 0
    rates: list[float] = []
    for number in range(1, EPOCHS // 2 + 1):
        if depth < hopeless.PLATEAU_DEPTH or run["classes"][number] > 1:
            return None
        if number > 1:
            rates.append(hopeless.log_growth(spreads[number - 1], spreads[number]))
        if hopeless.reason_after(rates, number, EPOCHS):
            return number
    return None


def report(runs: list[dict[str, Any]], every: bool) -> None:
    """Prints the verdict for each set, and the runs."""
    sets = {name: [run for run in runs if run["set"] == name] for name in dict.fromkeys(run["set"] for run in runs)}
    sets["all"] = runs
    print(
        "| set | trained | dead | stopped before | after 2 | later | living | killed (95 % interval) | epochs saved |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, chosen in sets.items():
        stops = [pruned_after(run) for run in chosen]
        ends = [run["accuracies"][-1] for run in chosen]
        dead = [stop for stop, end in zip(stops, ends, strict=True) if end <= DEAD]
        living = [stop for stop, end in zip(stops, ends, strict=True) if end > LIVING]
        killed = sum(stop is not None for stop in living)
        interval = stats.binomtest(killed, len(living)).proportion_ci(0.95, "exact")
        saved = sum(EPOCHS - stop for stop in stops if stop is not None)
        when = [sum(stop == 0 for stop in dead), sum(stop == 2 for stop in dead)]
        when.append(sum(stop is not None for stop in dead) - sum(when))
        print(
            f"| {name} | {len(chosen)} | {len(dead)} | {' | '.join(map(str, when))} | {len(living)} | "
            f"{killed} ({100 * interval.low:.1f} to {100 * interval.high:.1f} %) | "
            f"{saved} of {EPOCHS * len(chosen)} ({100 * saved / EPOCHS / len(chosen):.0f} %) |"
        )
    if every:
        print(
            "\n| set | lr | batch | depth | width | activation | bound | growth in epochs 1-5 | accuracy after", end=""
        )
        print(" 1, 2, 5, 10 | stopped |\n|---|---|---|---|---|---|---|---|---|---|")
        for run in sorted(runs, key=lambda run: run["rate"]):
            rates = numpy.diff(numpy.log(run["spreads"]))[:5]
            accuracies = [run["accuracies"][k - 1] for k in (1, 2, 5, 10)]
            stop = pruned_after(run)
            print(
                f"| {run['set']} | {' | '.join(str(v or '-') for v in run['configuration'])} | {run['rate']:.3g} | "
                f"{' '.join(f'{rate:+.3f}' for rate in rates)} | {' '.join(f'{a:.3f}' for a in accuracies)} | "
                f"{'-' if stop is None else 'before' if stop == 0 else f'after {stop}'} |"
            )


def pruned_by(name: str, runs: list[dict[str, Any]]) -> list[int | None]:
    """After which epoch a population pruner stops each run, were they the trials of one worker in this order."""
    others: list[tuple[TrialState, list[float]]] = []
    stops: list[int | None] = []
    for run in runs:
        curve, stop = run["accuracies"], None
        for step in range(1, EPOCHS + 1):
            question = pruners.Standing(
                study_name="lab",
                maximize=True,
                number=len(others),
                values={number: curve[number - 1] for number in range(1, step + 1)},
                others=pruners.Others.of(
                    [
                        pruners.Other(number, state, values[step - 1])
                        for number, (state, values) in enumerate(others)
                        if len(values) >= step
                    ]
                ),
                epochs=EPOCHS,
                settings={},
            )
            if pruners.reason(name, question):
                stop = step
                break
        others.append((TrialState.PRUNED, curve[:stop]) if stop else (TrialState.COMPLETE, curve))
        stops.append(stop)
    return stops


def compare(runs: list[dict[str, Any]]) -> None:
    """Prints what each pruner does to the configurations that were drawn from the lab's space."""
    drawn = [run for name in ("first", "second", "third") for run in runs if run["set"] == name]
    order = {configuration: place for place, configuration in enumerate(configurations())}
    drawn.sort(key=lambda run: order[tuple(run["configuration"])])
    ends = [run["accuracies"][-1] for run in drawn]
    late = [max(run["accuracies"][:2]) <= DEAD for run in drawn]
    print("| pruner | epochs saved | dead stopped | living stopped | late bloomers stopped | best of the stopped |")
    print("|---" * 6 + "|")
    for name in ("hopeless", *pruners.PRUNERS):
        stops = [pruned_after(run) for run in drawn] if name == "hopeless" else pruned_by(name, drawn)
        saved = sum(EPOCHS - stop for stop in stops if stop is not None)
        stopped = [(end, slow) for end, slow, stop in zip(ends, late, stops, strict=True) if stop not in (None, EPOCHS)]
        living = [end for end, _ in stopped if end > LIVING]
        print(
            f"| {name} | {100 * saved / EPOCHS / len(drawn):.0f} % | "
            f"{sum(end <= DEAD for end, _ in stopped)} of {sum(end <= DEAD for end in ends)} | "
            f"{len(living)} of {sum(end > LIVING for end in ends)} | "
            f"{sum(slow and end > LIVING for end, slow in stopped)} of "
            f"{sum(slow and end > LIVING for end, slow in zip(ends, late, strict=True))} | "
            f"{max(living, default=0):.3f} |"
        )


def main() -> int:
    """Trains what is missing, or prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--table", action="store_true", help="print the verdict on what has been trained")
    parser.add_argument("--every", action="store_true", help="and every run")
    parser.add_argument("--pruners", action="store_true", help="print what population pruners do to the same runs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"))
    options = parser.parse_args()
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []
    if not options.table:
        done = {tuple(run["configuration"]) for run in runs}
        missing = [job for job in configurations().items() if job[0] not in done]
        missing.sort(key=lambda job: -job[0][1])  # the smallest batches last: they take longest
        pool = multiprocessing.get_context("spawn").Pool(options.workers, _start, (options.data_dir,))
        with pool, RUNS.open("a") as out:
            found = pool.imap_unordered(_train, missing)
            for run in progress.track(found, total=len(missing), description="training"):
                print(json.dumps(run), file=out, flush=True)
                runs.append(run)
    report(runs, options.every)
    if options.pruners:
        compare(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
