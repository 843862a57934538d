"""What `growth.py` measures in processes of their own, in whichever checkout PYTHONPATH names: one JSON line each.

    PYTHONPATH=CHECKOUT python benchmarks/growth_sides.py worker sqlite:///big.db growth 10

A worker's parts are timed in the real loop of workers, whose objective reports once, asks the pruner and returns.
"""

import json
import pathlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

OURS = " by multivariate grouped TPE, which ours is"
SKIPPED = 4  # of the first trials: they take up what waits, and fill caches

Found = dict[str, list[float]]


def memory() -> float:
    """Resident memory of this process, MB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("VmRSS")


class Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.found: Found = {}

    def add(self, part: str, value: float) -> None:
        """Notes one."""
        self.found.setdefault(part, []).append(value)

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that is timed whenever it is called."""

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.add(part, time.perf_counter() - started)

        return wrapped


def worker(url: str, name: str, count: int) -> Found:
    """A worker of ours: its start until the first trial could train, then the parts of so many trials."""
    from optuna.trial import TrialState

    from search.ledger import allocations, claims, configurations, studies
    from search.storage import databases
    from search.training.objectives import Result, Trial
    from search.worker import loops

    clock, stop, hows = Clock(), threading.Event(), []

    def take(*args: Any, **kwargs: Any) -> Any:
        claim = clock.timed("claim", original)(*args, **kwargs)
        hows.append(getattr(claim, "how", ""))
        return claim

    original, allocations.take = allocations.take, take
    configurations.configure = clock.timed("propose", configurations.configure)  # type: ignore[assignment]
    claims.tell = clock.timed("tell", claims.tell)  # type: ignore[assignment]
    before, begun = memory(), time.perf_counter()
    ended = begun

    def objective(trial: Trial) -> Result:
        nonlocal ended
        clock.add("between", time.perf_counter() - ended)
        if "start" not in clock.found and hows[-1] == "created":  # others need no sampler
            clock.add("start", time.perf_counter() - begun)
            clock.add("memory", memory() - before)
        trial.report(1, 0.5, {})
        clock.timed("prune", trial.should_prune)()
        if len(clock.found["between"]) >= count + SKIPPED:
            stop.set()
        ended = time.perf_counter()
        return Result(TrialState.COMPLETE, 0.5, {})

    database = databases.Database(url)
    study = studies.find(database, name)
    if study is None:
        raise LookupError(name)
    loops.Worker(database, study, objective, stop).run()
    parts = {part: values[SKIPPED:] for part, values in clock.found.items()}
    return {
        "start of a worker, s": clock.found["start"],
        "start of a worker, MB more": clock.found["memory"],
        "claim, ms": _ms(parts["claim"]),
        "ask, ms": _ms(map(sum, zip(parts["claim"], parts["propose"], strict=False))),
        "pruner's look, ms": _ms(parts["prune"]),
        "tell, ms": _ms(parts["tell"]),
        "tell to the next start, ms": _ms(parts["between"]),
    }


def plain(url: str, name: str, count: int) -> Found:
    """The same of plain Optuna, with its default TPE and with the one that ours is."""
    import optuna
    from optuna import samplers

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {
        "learning_rate": optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True),
        "batch_size": optuna.distributions.IntDistribution(1, 128),
        "depth": optuna.distributions.IntDistribution(0, 6),
        "width": optuna.distributions.CategoricalDistribution([32, 128, 512]),
        "activation": optuna.distributions.CategoricalDistribution(["ReLU", "Sigmoid", "GELU"]),
    }
    clock, before, started = Clock(), memory(), time.perf_counter()
    study = optuna.load_study(study_name=name, storage=url, sampler=samplers.TPESampler())
    asked = study.ask(space)  # type: ignore[arg-type]
    clock.add("start of a worker, s", time.perf_counter() - started)
    clock.add("start of a worker, MB more", memory() - before)
    study.tell(asked, 0.5)
    for sampler, word in ((samplers.TPESampler(), ""), (samplers.TPESampler(multivariate=True, group=True), OURS)):
        study.sampler = sampler
        study.tell(study.ask(space), 0.5)  # type: ignore[arg-type]  # what is cached then, is
        for _ in range(count):
            started = time.perf_counter()
            asked = study.ask(space)  # type: ignore[arg-type]
            asked_at = time.perf_counter()
            study.tell(asked, 0.5)
            told_at = time.perf_counter()
            clock.add(f"ask{word}, ms", 1000 * (asked_at - started))
            clock.add("tell, ms", 1000 * (told_at - asked_at))
            clock.add(f"tell to the next start{word}, ms", 1000 * (told_at - started))
    study.sampler = samplers.RandomSampler()
    for _ in range(count):
        started = time.perf_counter()
        asked = study.ask()
        clock.add("claim, ms", 1000 * (time.perf_counter() - started))
        study.tell(asked, 0.5)
    study.pruner, asked = optuna.pruners.MedianPruner(), study.ask(space)  # type: ignore[arg-type]
    asked.report(0.5, 1)
    for _ in range(count):
        started = time.perf_counter()
        asked.should_prune()
        clock.add("pruner's look, ms", 1000 * (time.perf_counter() - started))
    study.tell(asked, 0.5)
    return clock.found


def scrapes(url: str, name: str, count: int) -> Found:
    """The dashboard's /metrics, twice."""
    from search.dashboard import servers
    from search.storage import databases

    before, database = memory(), databases.open_to_read(url)
    door, found = servers.Door(database), {}
    for word in ("first", "second"):
        started = time.perf_counter()
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/metrics",
            "wsgi.errors": sys.stderr,
            "HTTP_HOST": "localhost",
        }
        text = b"".join(door(environ, lambda *_: None)).decode()
        found[f"{word} scrape of /metrics, s"] = [time.perf_counter() - started]
        if f'search_trials{{state="complete",study="{name}"}}' not in text and f'study="{name}"' not in text:
            raise LookupError(text[:500])
    return {**found, "scrapes, MB more": [memory() - before]}


def _ms(seconds: Any) -> list[float]:
    return [1000 * each for each in seconds]


if __name__ == "__main__":
    what, url, name, count = sys.argv[1:]
    print(json.dumps({"worker": worker, "plain": plain, "scrapes": scrapes}[what](url, name, int(count))))
