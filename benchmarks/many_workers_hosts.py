"""A machine full of workers that do everything but train, forked from one process: they share what it has loaded.

The process of `many_workers.py` starts it, for one study: `PYTHONPATH=CHECKOUT python benchmarks/many_workers_hosts.py
'{...}'`. It says "ready" when all workers have opened the database, ends at a line on stdin, and prints what they saw.
"""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import sys
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event, Semaphore
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search import errors
from search.api import studies as api
from search.ledger import allocations, claims, studies
from search.storage import databases
from search.training.objectives import Result, Trial
from search.worker import loops, settings

LOCK = "FROM studies"  # a claim's first statement of these words waits for the study's row
END_SECONDS = 90.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the workers of a host do.

    Attributes:
        urls: of the database, one worker after another.
        slots: trials at once in each.
        trial_seconds: how long a trial sleeps; the first one a part of it, so that the workers are out of step.
        reports: of each trial, evenly over its time.
    """

    urls: list[str]
    study: str
    workers: int
    slots: int
    trial_seconds: float
    reports: int


class Stopwatch:
    """Times of a worker's claims: when it ended, how long it took, how long of that it held the study's lock."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float, float]] = []
        self._local = threading.local()

    def watch(self, database: databases.Database) -> None:
        """From now on."""
        take = allocations.take

        def timed(*given: Any, **named: Any) -> Any:
            began, self._local.locked = time.monotonic(), None
            found = take(*given, **named)
            ended = time.monotonic()
            if isinstance(found, claims.Claim):
                self.times.append((ended, ended - began, ended - (self._local.locked or ended)))
            return found

        allocations.take = timed  # type: ignore[assignment]

        def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "FOR UPDATE" in statement and LOCK in statement:
                self._local.locked = time.monotonic()

        sqlalchemy.event.listen(database.engine, "after_cursor_execute", executed)


def work(plan: Plan, index: int, opened: Semaphore, begun: Event, ended: Event, answer: Connection) -> None:
    """One worker, from its first connection to its last line."""
    stop, stopwatch, first = threading.Event(), Stopwatch(), [True] * plan.slots
    random.seed(index)
    how = settings.Settings(slots=plan.slots)
    database = api._open(plan.urls[index % len(plan.urls)], how, stop, None)
    study = studies.load(database, plan.study)
    stopwatch.watch(database)

    def objective(trial: Trial) -> Result:
        length = plan.trial_seconds * (random.random() if first else 1.0)
        del first[:1]
        for step in range(1, plan.reports + 1):
            if ended.wait(length / plan.reports) and plan.trial_seconds:
                stop.set()
                raise errors.HandOver
            trial.report(step, 0.5, {})
        if ended.is_set():
            stop.set()
        return Result(TrialState.COMPLETE, 0.5, {})

    opened.release()
    begun.wait()
    with contextlib.suppress(errors.SearchError):
        loops.Worker(database, study, objective, stop, how).run()
    answer.send(stopwatch.times)
    answer.close()
    os._exit(0)


def unshared_mib(pid: int) -> float:
    """What a process would give back, its part of shared pages included."""
    rolled = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rolled.splitlines() if line.startswith("Pss:")).split()[1]) / 1024


def main() -> int:
    """Prints `ready`, then one JSON object: the times of all claims and the memory of a worker."""
    plan = Plan(**json.loads(sys.argv[1]))
    context = multiprocessing.get_context("fork")
    opened, begun, ended = context.Semaphore(0), context.Event(), context.Event()
    ends = [context.Pipe(duplex=False) for _ in range(plan.workers)]
    processes = []
    for index, (_, answer) in enumerate(ends):
        processes.append(context.Process(target=work, args=(plan, index, opened, begun, ended, answer), daemon=True))
        processes[-1].start()
        answer.close()
    for _ in processes:
        opened.acquire()
    print("ready", flush=True)
    begun.set()
    sys.stdin.readline()
    memory = [unshared_mib(process.pid) for process in processes[:20] if process.pid is not None]
    ended.set()
    times, deadline = [], time.monotonic() + END_SECONDS
    for receiving, _ in ends:
        with contextlib.suppress(EOFError):
            if receiving.poll(max(0.0, deadline - time.monotonic())):
                times += receiving.recv()
    for process in processes:
        process.kill()
    print(json.dumps({"times": times, "memory_mib": sum(memory) / len(memory)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
