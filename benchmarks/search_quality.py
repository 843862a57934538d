"""The best accuracy after 10, 30 and 100 trials of the lab's search, and its CPU time, beside plain Optuna.

    python benchmarks/search_quality.py --seeds 5 --trials 100 --epochs 3 --workers 2

Both sides train with the same engine, for the same few epochs, with the same training seed; `plain` is
`study.optimize` with Optuna's defaults, as in the lab's notebook. Runs are kept in search_quality_runs.jsonl and
taken up again; `--table` prints what is there.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

import optuna
from rich import progress

from models import blas, engines
from models.data import fashion_mnist
from models.recipes import ACTIVATIONS, Recipe

RUNS = pathlib.Path(__file__).with_name("search_quality_runs.jsonl")
LAB = pathlib.Path(__file__).parent.parent / "studies" / "lab.toml"
MARKS = (10, 30, 100)


def ours(seed: int, trials: int, epochs: int, data_dir: pathlib.Path) -> list[tuple[float, float]]:
    """`(accuracy, CPU seconds so far)` of each trial of one worker on SQLite, in the order they ended."""
    from search.ledger import studies
    from search.storage import databases
    from search.study import specs
    from search.training import networks, objectives
    from search.worker import loops

    text = LAB.read_text().replace("seed = 0", f"seed = {seed}").replace("epochs = 10", f"epochs = {epochs}")
    spec = specs.parse(text.replace("trials = 10", f"trials = {trials}"), "lab.toml")
    train = networks.NetworkObjective(spec, data_dir, engine="auto")
    ends = []
    started = time.process_time()

    def timed(trial: objectives.Trial) -> objectives.Result:
        result = train(trial)
        ends.append((result.value or 0.0, time.process_time() - started))
        return result

    with tempfile.TemporaryDirectory() as folder:
        database = databases.Database(f"sqlite:///{folder}/search.db")
        loops.Worker(database, studies.create(database, spec), timed, threading.Event()).run()
        database.close()
    return ends


def plain(seed: int, trials: int, epochs: int, data_dir: pathlib.Path) -> list[tuple[float, float]]:
    """The same of `study.optimize`, the study in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data, engine = fashion_mnist(data_dir), engines.load("auto")
    ends = []
    started = time.process_time()

    def objective(trial: optuna.Trial) -> float:
        recipe = Recipe(
            learning_rate=trial.suggest_categorical("learning_rate", [1e-4, 1e-2, 1e-1]),
            batch_size=trial.suggest_int("batch_size", 1, 128),
            depth=trial.suggest_int("depth", 0, 6),
            width=trial.suggest_categorical("width", [32, 128, 512]),
            activation=trial.suggest_categorical("activation", ACTIVATIONS),
            epochs=epochs,
            seed=seed,
        )
        *_, last = engine.train(recipe, data)
        ends.append((last.accuracy, time.process_time() - started))
        return last.accuracy

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=trials)
    return ends


SIDES = {"ours": ours, "plain": plain}


def _run(job: tuple[str, int, int, int, str]) -> dict[str, Any]:
    side, seed, trials, epochs, data_dir = job
    blas.use_one_thread()
    ends = SIDES[side](seed, trials, epochs, pathlib.Path(data_dir))
    return {
        "side": side,
        "seed": seed,
        "epochs": epochs,
        "accuracies": [round(value, 4) for value, _ in ends],
        "cpu_seconds": [round(seconds, 1) for _, seconds in ends],
    }


def report(runs: list[dict[str, Any]]) -> None:
    """Prints the best accuracy and the CPU time at each mark, as median and range over the seeds."""
    print("| trials | side | best accuracy, median (range) | CPU seconds, median (range) | seeds |")
    print("|---|---|---|---|---|")
    for mark in MARKS:
        for side in SIDES:
            chosen = [run for run in runs if run["side"] == side and len(run["accuracies"]) >= mark]
            if not chosen:
                continue
            best = sorted(max(run["accuracies"][:mark]) for run in chosen)
            cpu = sorted(run["cpu_seconds"][mark - 1] for run in chosen)
            print(
                f"| {mark} | {side} | {statistics.median(best):.4f} ({best[0]:.4f} to {best[-1]:.4f}) | "
                f"{statistics.median(cpu):.0f} ({cpu[0]:.0f} to {cpu[-1]:.0f}) | {len(chosen)} |"
            )


def main() -> int:
    """Runs what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--table", action="store_true", help="print what has been run")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"))
    options = parser.parse_args()
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []
    if not options.table:
        done = {(run["side"], run["seed"]) for run in runs if len(run["accuracies"]) >= options.trials}
        jobs = [
            (side, seed, options.trials, options.epochs, options.data_dir)
            for seed in range(options.seeds)
            for side in SIDES
            if (side, seed) not in done
        ]
        pool = multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=1)
        with pool, RUNS.open("a") as out:
            for run in progress.track(pool.imap_unordered(_run, jobs), total=len(jobs), description="searching"):
                print(json.dumps(run), file=out, flush=True)
                runs.append(run)
    report(runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
