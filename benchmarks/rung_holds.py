"""How long a worker whose trials pause holds its study's lock: at a claim, at a rung, and where a trial pauses.

    python benchmarks/rung_holds.py                        this checkout, weights of 7 MB, the lab's rungs
    python benchmarks/rung_holds.py --trees ../before .    two checkouts in turn

One worker, a Postgres of its own, and the network's delay of `delays.py`: the trainings take no time at all, their
values are a formula, their checkpoints as large as is said.
"""

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import many_workers_servers as servers

ROOT = pathlib.Path(__file__).resolve().parent.parent
EPOCHS = 10
LOCK = "FROM studies"  # what waits for the study's row says so


def text() -> str:
    """The lab's study, of a sampler that costs nothing, without an end."""
    found = (
        (ROOT / "studies" / "lab.toml").read_text().replace('name = "lab"', f'name = "rungs-{uuid.uuid4().hex[:8]}"')
    )
    return found.replace('name = "gp-cost"', 'name = "random"').replace("trials = 10", "trials = 20000")


class Holds:
    """Seconds that this process has held a study's lock, by what they were for."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}
        self._what, self._locked = "", 0.0

    def listen(self, engine: Any) -> None:
        """From the statement that waits for the lock until the connection is given back."""
        import sqlalchemy

        sqlalchemy.event.listen(engine, "after_cursor_execute", self._executed)
        sqlalchemy.event.listen(engine, "checkin", self._returned)

    def name(self, what: str, module: Any, call: str) -> None:
        """What this function of the module does under the lock is called so."""
        former = getattr(module, call)

        def run(*given: Any, **more: Any) -> Any:
            self._what = what
            found = former(*given, **more)
            if getattr(found, "how", "") == "promoted":
                self.found.setdefault(f"{what} of a paused trial", []).append(self.found[what].pop())
            return found

        setattr(module, call, run)

    def _executed(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FOR UPDATE" in statement and LOCK in statement:
            self._locked = time.monotonic()

    def _returned(self, *_: Any) -> None:
        if self._locked:
            self.found.setdefault(self._what, []).append(time.monotonic() - self._locked)
            self._locked = 0.0


def work(url: str, trials: int, megabytes: float) -> dict[str, list[float]]:
    """A worker's seconds under the lock."""
    import numpy
    from optuna.trial import TrialState

    from search.ledger import allocations, pauses, studies
    from search.storage import databases
    from search.study import specs
    from search.training import objectives
    from search.worker import loops

    database, stop, holds = databases.Database(url), threading.Event(), Holds()
    study = studies.create(database, specs.parse(text(), "x"))
    weights, begun = (numpy.zeros(int(megabytes * 2**18), numpy.float32),), itertools.count(1)

    def objective(trial: objectives.Trial) -> objectives.Result:
        if next(begun) == trials:
            stop.set()
        value = (trial.number * 7919 % 1000) / 1000
        for epoch in range(trial.saved.epoch + 1 if trial.saved else 1, EPOCHS + 1):
            trial.report(epoch, value, {}, objectives.Checkpoint(epoch, weights, [value] * epoch, {}))
            trial.should_prune()
        return objectives.Result(TrialState.COMPLETE, value, {})

    holds.listen(database.engine)
    for what, module, call in (
        ("a claim", allocations, "take"),
        ("a rung", pauses, "report"),
        ("a pause or none", pauses, "settle"),
    ):
        holds.name(what, module, call)
    loops.Worker(database, study, objective, stop).run()
    holds.found.pop("", None)  # signing in
    return holds.found


def row(tree: str, round_trip: float, what: str, seconds: list[float]) -> str:
    """A line of the table."""
    name = pathlib.Path(tree).resolve().name
    shown = f"{1000 * statistics.median(seconds):.1f} ({1000 * min(seconds):.1f}-{1000 * max(seconds):.1f})"
    return f"| {round_trip:g} | {what} | {name} | {shown} | {len(seconds)} |"


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trees", nargs="+", default=[str(ROOT)], help="checkouts")
    parser.add_argument("--round-trips", type=float, nargs="+", default=[0.5, 20.0], help="ms")
    parser.add_argument("--trials", type=int, default=60, help="that are begun or gone on with")
    parser.add_argument("--megabytes", type=float, default=7.0, help="of a checkpoint")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work, options.trials, options.megabytes)))
        return 0
    print("| round trip, ms | lock for | checkout | ms held, median (range) | of |")
    print("|---|---|---|---|---|")
    with servers.Server(100) as server:
        for round_trip in options.round_trips:
            for tree in options.trees:
                with server.reached(round_trip / 1000, 1, False) as urls:
                    more = ["--trials", str(options.trials), "--megabytes", str(options.megabytes)]
                    run = subprocess.run(
                        [sys.executable, __file__, "--work", urls[0], *more],
                        env={**os.environ, "PYTHONPATH": tree},
                        capture_output=True,
                        text=True,
                        check=True,
                    )
                for what, seconds in json.loads(run.stdout.splitlines()[-1]).items():
                    print(row(tree, round_trip, what, seconds), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
