"""Trials per second of one worker with many slots, whose trials take no time: what its claims can feed a device with.

    python benchmarks/slot_claims.py                                    both databases, grid, random and tpe
    python benchmarks/slot_claims.py --slots 1 32 --samplers random --seconds 0.5       a trial of half a second

Where the time of the worker goes is beside it, in seconds of all threads together: claims, configurations, results.
SEARCH_STORAGE names another Postgres; by default one of the tests' kind is started.
"""

import argparse
import collections
import contextlib
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import trials_per_second  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from search.ledger import allocations, claims, configurations, studies  # noqa: E402
from search.storage import databases  # noqa: E402
from search.training.objectives import Result, Trial  # noqa: E402
from search.worker import loops  # noqa: E402
from search.worker.settings import Settings  # noqa: E402

SPENT: collections.Counter[str] = collections.Counter()


def timed(module: Any, name: str) -> None:
    """Adds up what a function takes."""
    inner: Callable[..., Any] = getattr(module, name)

    def outer(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(*given, **named)
        finally:
            SPENT[name] += time.perf_counter() - began  # type: ignore[assignment]

    setattr(module, name, outer)


def measure(url: str, sampler: str, slots: int, trials: int, seconds: float) -> float:
    """Trials per second."""

    def objective(trial: Trial) -> Result:
        time.sleep(seconds)
        trial.report(1, 0.5 + 0.001 * (trial.number % 97), {})
        return Result(TrialState.COMPLETE, 0.5 + 0.001 * (trial.number % 97), {})

    database = databases.Database(url)
    study = studies.load(database, trials_per_second.new_study(url, trials, sampler))
    SPENT.clear()
    began = time.perf_counter()
    loops.Worker(database, study, objective, threading.Event(), Settings(slots=slots)).run()
    taken = time.perf_counter() - began
    database.close()
    return trials / taken


@contextlib.contextmanager
def storages(which: list[str]) -> Iterator[dict[str, str]]:
    """An address of each kind."""
    with contextlib.ExitStack() as life:
        found = {}
        if "sqlite" in which:
            found["sqlite"] = f"sqlite:///{life.enter_context(tempfile.TemporaryDirectory())}/search.db"
        if "postgres" in which:
            found["postgres"] = life.enter_context(trials_per_second.a_postgres())
        yield found


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storages", nargs="+", default=["sqlite", "postgres"])
    parser.add_argument("--samplers", nargs="+", default=["random", "grid", "tpe"])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a trial takes")
    options = parser.parse_args()
    for module, name in ((allocations, "take"), (configurations, "configure"), (claims, "tell")):
        timed(module, name)
    with storages(options.storages) as found:
        for kind, url in found.items():
            for sampler in options.samplers:
                for slots in options.slots:
                    pace = measure(url, sampler, slots, options.trials, options.seconds)
                    spent = ", ".join(f"{name} {SPENT[name]:.1f} s" for name in ("take", "configure", "tell"))
                    print(f"{kind:8} {sampler:6} {slots:3} slots: {pace:6.1f} trials/s   {spent}", flush=True)


if __name__ == "__main__":
    main()
