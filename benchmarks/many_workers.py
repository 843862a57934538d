"""What binds first where many workers share a Postgres over a network: claims, connections or the server's processor.

    python benchmarks/many_workers.py                                   this checkout, all of docs/scaling.md's table
    python benchmarks/many_workers.py --trees ../before . --pgbouncer   two checkouts in turn, and through PgBouncer

Workers are the real ones, but sleep instead of training; the delay is `delays.py`'s, which is measured first. Three
loads for each round trip: one worker alone, whose claims say how many round trips a claim takes and holds the study's
lock; as many as keep the lock busy; and many that train long trials. The model is fitted to some of it, and its
prediction for a point that it was not fitted to is printed beside what was measured there.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import database_load
import many_workers_models as models
import many_workers_servers as servers

ROOT = pathlib.Path(__file__).resolve().parent.parent
# of all, of each worker and of each trial: at first all claim at once
SETTLE_SECONDS, BEGIN_SECONDS, CLAIM_SECONDS = 6.0, 0.35, 0.12
PER_PROXY, REPORT_SECONDS = 40, 10.0


@dataclasses.dataclass(frozen=True)
class Load:
    """What a host's workers do, how long they are watched, and over which network.

    Attributes:
        round_trip: ms that the network adds; 0 for a Unix socket.
        workers: trials at once.
        pooled: through PgBouncer, which is near the database.
        slots: how many of them share a process.
    """

    tree: str
    round_trip: float
    workers: int
    trial_seconds: float
    seconds: float
    pooled: bool = False
    sampler: str = "random"
    slots: int = 1

    @property
    def processes(self) -> int:
        """Those that train."""
        return self.workers // self.slots


@dataclasses.dataclass(frozen=True)
class Seen:
    """What came of it.

    Attributes:
        claims: a second.
        waits, holds: of each claim, seconds: all of it, and with the study's lock.
        server: share of one core that the server took.
        pooler: the same of PgBouncer.
        connections: of clients at the server, at the end.
        transactions: a second.
        memory_mib: of a process, its part of shared pages included.
    """

    claims: float
    waits: list[float]
    holds: list[float]
    server: float
    pooler: float
    connections: int
    transactions: float
    memory_mib: float


def new_study(url: str, load: Load) -> str:
    """A study that does not end, made by the checkout that works on it."""
    command = (
        "import sys; sys.path.insert(0, 'benchmarks'); import database_load; "
        f"print(database_load.new_study({url!r}, {load.sampler!r}))"
    )
    run = subprocess.run([sys.executable, "-c", command], cwd=load.tree, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@contextlib.contextmanager
def host(load: Load, urls: list[str], study: str) -> Iterator[subprocess.Popen[str]]:
    """A host all of whose workers are at work; it is gone with the context."""
    reports = round(load.trial_seconds / REPORT_SECONDS)
    plan = {"urls": urls, "study": study, "workers": load.processes, "slots": load.slots}
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "many_workers_hosts.py"),
        json.dumps(plan | {"trial_seconds": load.trial_seconds, "reports": reports}),
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": load.tree},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"no host for {load}")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.communicate()


def watch(server: servers.Server, load: Load) -> Seen:
    """Runs a load on a fresh study."""
    study = new_study(server.url, load)
    count = -(-load.processes // PER_PROXY)
    with server.reached(load.round_trip / 1000, count, load.pooled) as urls, host(load, urls, study) as process:
        time.sleep(SETTLE_SECONDS + BEGIN_SECONDS * load.processes + CLAIM_SECONDS * load.workers)
        before, began = server.spent(), time.monotonic()
        time.sleep(load.seconds)
        after, ended = server.spent(), time.monotonic()
        found = json.loads(process.communicate("\n", timeout=120)[0])
    took = ended - began
    times = [each for each in found["times"] if began <= each[0] <= ended]
    return Seen(
        claims=len(times) / took,
        waits=[wait for _, wait, _ in times],
        holds=[hold for _, _, hold in times],
        server=(after.server - before.server) / took,
        pooler=(after.pooler - before.pooler) / took,
        connections=after.connections,
        transactions=(after.transactions - before.transactions) / took,
        memory_mib=found["memory_mib"],
    )


def spread(seconds: list[float]) -> str:
    """Median and 95th percentile in ms."""
    if len(seconds) < 2:
        return "-"
    return f"{1000 * statistics.median(seconds):.1f} / {1000 * statistics.quantiles(seconds, n=20)[-1]:.1f}"


HEAD = (
    f"{'checkout':>10} {'rtt ms':>6} {'workers':>7} {'slots':>5} {'trial s':>7} {'pooler':>6} {'claims/s':>8} "
    f"{'claim ms, median / p95':>22} {'lock held ms':>15} {'server %':>8} {'pooler %':>8} {'conns':>5} {'tx/s':>7} "
    f"{'MiB':>4}"
)


def row(load: Load, seen: Seen) -> str:
    """A line of the table."""
    name, pooled = pathlib.Path(load.tree).resolve().name, "yes" if load.pooled else "no"
    run = f"{name:>10} {load.round_trip:>6g} {load.workers:>7} {load.slots:>5} {load.trial_seconds:>7g} {pooled:>6}"
    times = f"{seen.claims:>8.2f} {spread(seen.waits):>22} {spread(seen.holds):>15}"
    spent = f"{100 * seen.server:>8.1f} {100 * seen.pooler:>8.1f}"
    return f"{run} {times} {spent} {seen.connections:>5} {seen.transactions:>7.0f} {seen.memory_mib:>4.0f}"


def loads(options: argparse.Namespace) -> Iterator[Load]:
    """All that is run, the checkouts in turn."""
    sides = [(tree, pooled) for pooled in ([False, True] if options.pgbouncer else [False]) for tree in options.trees]
    for round_trip in [*options.round_trips, *([options.check_round_trip] if options.round_trips else [])]:
        for tree, pooled in sides:
            yield Load(tree, round_trip, 1, 0.0, options.seconds / 2, pooled)
            yield Load(tree, round_trip, options.busy, 0.0, options.seconds / 2, pooled)
    for workers in options.workers:
        for tree, pooled in sides:
            yield Load(tree, options.far, workers, options.trial_seconds, options.seconds, pooled)
    for workers, slots in options.shared:
        for tree, pooled in sides:
            yield Load(tree, options.far, workers, options.trial_seconds, options.seconds, pooled, slots=slots)


def pair(text: str) -> tuple[int, int]:
    """Of `NxK`."""
    workers, slots = map(int, text.split("x"))
    if not 1 <= slots <= workers:
        raise ValueError
    return workers // slots * slots, slots


def lookers(tree: str) -> float:
    """How many of a checkout's workers look at all others with each beat."""
    command = "import math; from search.ledger import presence; print(getattr(presence, 'LOOKERS', math.inf))"
    run = subprocess.run([sys.executable, "-c", command], cwd=tree, capture_output=True, text=True, check=True)
    return float(run.stdout)


def read(path: pathlib.Path) -> Iterator[tuple[Load, Seen]]:
    """What a run before this one has seen."""
    for line in path.read_text().splitlines():
        found = json.loads(line)
        of_load, of_seen = (
            {field.name: found[field.name] for field in dataclasses.fields(kind) if field.name in found}
            for kind in (Load, Seen)
        )
        yield Load(**of_load), Seen(**of_seen)


def main() -> int:
    """Prints the delays, the table, the model with its check, and what it says of more workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trees", nargs="+", default=[str(ROOT)], help="checkouts")
    parser.add_argument("--round-trips", type=float, nargs="*", default=[0.0, 0.5, 2.0, 20.0], help="ms")
    parser.add_argument("--check-round-trip", type=float, default=8.0, help="ms; of the point that is predicted")
    parser.add_argument("--far", type=float, default=20.0, help="ms; of the workers that train")
    parser.add_argument("--busy", type=int, default=24, help="workers that keep the lock busy")
    parser.add_argument("--workers", type=int, nargs="*", default=[40, 80, 120], help="that train")
    parser.add_argument("--shared", type=pair, nargs="*", default=[(120, 8)], help="NxK: N that train, K to a process")
    parser.add_argument("--trial-seconds", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each load is watched")
    parser.add_argument("--pgbouncer", action="store_true", help="each load once more through it")
    parser.add_argument("--output", type=pathlib.Path, help="a file to which all is added, as JSON lines")
    parser.add_argument("--earlier", type=pathlib.Path, nargs="*", default=[], help="such files, for the model")
    options = parser.parse_args()
    options.trees = [str(pathlib.Path(tree).resolve()) for tree in options.trees]
    seen = dict(found for path in options.earlier for found in read(path))
    most = max([*options.workers, *(workers for workers, _ in options.shared)], default=0)
    with servers.Server(2 * most + 100) as server:
        for line in server.prove(options.round_trips):
            print(line, flush=True)
        look = servers.look_seconds(server.url, database_load.new_study(server.url, "random"))
        print(f"a look: {1e6 * look:.2f} us of the server for each running trial")
        print(HEAD)
        for load in loads(options):
            seen[load] = watch(server, load)
            print(row(load, seen[load]), flush=True)
            if options.output is not None:
                with options.output.open("a") as file:
                    file.write(json.dumps(dataclasses.asdict(load) | dataclasses.asdict(seen[load])) + "\n")
    found = {load.tree: lookers(load.tree) for load in seen}
    for line in models.report(seen, options.check_round_trip, look, found):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
