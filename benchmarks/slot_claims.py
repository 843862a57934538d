"""Trials per second of one worker with many slots, whose trials take no time: what its claims can feed a device with.

    python benchmarks/slot_claims.py                                    both databases, grid, random and tpe
    python benchmarks/slot_claims.py --slots 1 32 --samplers random --seconds 0.5       a trial of half a second

Where the time of the worker goes is beside it, in seconds of all threads together: claims, configurations, results;
what of the configurations is the sampler's own CPU time, which is all that a proposal ahead could save; the CPU time of
the process for a trial; and what share of the slots' time was idle while there were trials for all of them.
SEARCH_STORAGE names another Postgres; by default one of the tests' kind is started.
"""

import argparse
import collections
import contextlib
import dataclasses
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


@dataclasses.dataclass(frozen=True)
class Found:
    """Of one worker: trials a second, CPU seconds of a trial and of the sampler for it, idle share of its slots."""

    pace: float
    cpu: float
    proposal: float
    idle: float


def measure(url: str, sampler: str, slots: int, trials: int, seconds: float) -> Found:
    """One worker trains a fresh study."""
    spans: list[tuple[float, float]] = []

    def objective(trial: Trial) -> Result:
        began = time.perf_counter()
        time.sleep(seconds)
        spans.append((began, time.perf_counter()))
        trial.report(1, 0.5 + 0.001 * (trial.number % 97), {})
        return Result(TrialState.COMPLETE, 0.5 + 0.001 * (trial.number % 97), {})

    database = databases.Database(url)
    study = studies.load(database, trials_per_second.new_study(url, trials, sampler))
    SPENT.clear()
    worker = loops.Worker(database, study, objective, threading.Event(), Settings(slots=slots))
    began, cpu = time.perf_counter(), time.process_time()
    worker.run()
    taken, cpu = time.perf_counter() - began, time.process_time() - cpu
    proposals = configurations.memory_of(worker._history).seconds
    database.close()
    return Found(trials / taken, cpu / trials, proposals / trials, 1 - slots_in_use(spans) / slots)


def slots_in_use(spans: list[tuple[float, float]]) -> float:
    """On average, from the first end to the last begin."""
    first, last = min(end for _, end in spans), max(begin for begin, _ in spans)
    return sum(max(0.0, min(end, last) - max(begin, first)) for begin, end in spans) / max(last - first, 1e-9)


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
                    found = measure(url, sampler, slots, options.trials, options.seconds)
                    spent = ", ".join(f"{name} {SPENT[name]:.1f} s" for name in ("take", "configure", "tell"))
                    own = f"CPU {1e3 * found.cpu:.1f} ms a trial, {1e3 * found.proposal:.1f} of it the sampler's"
                    idle = f"idle {found.idle:.1%}" if options.seconds else ""
                    print(f"{kind:8} {sampler:6} {slots:3} slots: {found.pace:6.1f} trials/s   {spent}; {own}  {idle}")


if __name__ == "__main__":
    main()
