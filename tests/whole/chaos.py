"""A weekend in minutes: real workers on the real dataset, killed and cut off from Postgres at seeded random moments.

    python tests/whole/chaos.py                 # 200 trials, 6 workers of 1 or 3 slots, 40 kills, 10 outages

Afterwards the study is counted: exactly the budget, every trial finished once, every value that of an undisturbed
training, no configuration twice, nothing left over.
"""

import argparse
import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import psycopg2
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState
from rich import progress

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from conftest import ROOT, Server

from models.data import fashion_mnist
from search.ledger import adoptions, counts, orders, studies, summaries
from search.storage import databases, schema
from search.study import specs
from search.training import networks, replays

STUDY = """
[study]
name = "chaos"
seed = {seed}

[training]
dataset = "fashion-mnist"
epochs = 3

[space]
learning_rate = [1e-4, 1e-2, 1e-1]
batch_size = {{ low = 8, high = 128 }}
depth = {{ low = 0, high = 6 }}
width = {{ choices = [32, 128], when = "depth > 0" }}
activation = {{ choices = ["ReLU", "Sigmoid", "GELU"], when = "depth > 0" }}

[sampler]
name = "random"

[budget]
trials = {trials}
"""
GRACE_SECONDS = 4.0
SLOTS = (1, 3)  # of one worker after the other
EVENT_SECONDS = (0.5, 3.0)
OUTAGE_SECONDS = (2.0, 8.0)
LIMIT_SECONDS = 3600.0
ALL_CONNECTIONS = 200


@dataclasses.dataclass
class Plan:
    """What is done to the study."""

    trials: int = 200
    workers: int = 6
    kills: int = 40
    outages: int = 10
    longest: int = 60  # seconds that the server is down in the last outage
    seed: int = 0


@dataclasses.dataclass
class Report:
    """What came of it; `faults` is empty where every promise was kept."""

    budget: int
    states: dict[str, int]
    kills: int
    outages: dict[str, int]
    adoptions: int
    resumed: int
    replayed: int
    seconds: float
    faults: list[str]


class Chaos:
    """One run against a server of its own."""

    def __init__(self, plan: Plan, server: Server, data_dir: pathlib.Path, folder: pathlib.Path) -> None:
        self._plan, self._server, self._data_dir, self._folder = plan, server, data_dir, folder
        self._random = random.Random(plan.seed)
        self._url = server.new_database()
        self._database = databases.Database(self._url)
        text = STUDY.format(seed=plan.seed, trials=plan.trials)
        self._study = studies.create(self._database, specs.parse(text, "chaos.toml"))
        self._workers: list[subprocess.Popen[bytes]] = []
        self._started = 0
        self._faults: list[str] = []
        self._kills, self._outages = 0, collections.Counter[str]()

    def run(self, tick: Callable[[int, int], None]) -> Report:
        """Works the study off under kills and outages; `tick` is told how many trials are done, of how many."""
        started = time.monotonic()
        try:
            for _ in range(self._plan.workers):
                self._start()
            while True:
                summary = summaries.summary(self._database, self._study)
                tick(summary.done, summary.budget)
                if summary.done >= summary.budget and self._is_enough:
                    break
                if summary.done > 0.9 * summary.budget and not self._is_enough:
                    orders.extend(self._database, self._study, add=max(5, self._plan.trials // 10))
                if time.monotonic() - started > LIMIT_SECONDS:
                    self._faults.append("it takes too long")
                    break
                self._look_after_workers()
                time.sleep(self._random.uniform(*EVENT_SECONDS))
                self._strike()
            self._join()
        finally:
            for worker in self._workers:
                worker.kill()
        return self._count(time.monotonic() - started)

    @property
    def _is_enough(self) -> bool:
        return self._kills >= self._plan.kills and self._outages.total() >= self._plan.outages

    def _start(self) -> None:
        self._started += 1
        command = [sys.executable, "-m", "search", "work", "chaos", "--data-dir", str(self._data_dir), "--stay"]
        command += ["--grace", str(GRACE_SECONDS), "--checkpoint-seconds", "0.2"]
        command += ["--slots", str(SLOTS[self._started % len(SLOTS)])]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": self._url}
        with (self._folder / f"worker-{self._started}.log").open("wb") as log:
            self._workers.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def _look_after_workers(self) -> None:
        for worker in [each for each in self._workers if each.poll() is not None]:
            self._workers.remove(worker)
            if worker.returncode != -signal.SIGKILL:
                self._faults.append(f"a worker ended by itself with code {worker.returncode}")
            self._start()

    def _strike(self) -> None:
        kinds = ["kill"] * max(0, self._plan.kills - self._kills)
        kinds += ["outage"] * max(0, self._plan.outages - self._outages.total())
        if kinds and self._random.choice(kinds) == "kill":
            self._kill()
        elif kinds:
            name, seconds = self._random.choice(sorted(OUTAGES)), self._random.uniform(*OUTAGE_SECONDS)
            if self._outages.total() == self._plan.outages - 1 and self._plan.longest:
                name, seconds = "stop", self._plan.longest
            with OUTAGES[name](self._server, self._url):
                time.sleep(seconds)
            self._outages[name] += 1

    def _kill(self) -> None:
        """SIGKILL for a worker in the middle of a trial."""
        mine = {worker.pid: worker for worker in self._workers}
        running = self._database.read(lambda connection: adoptions.running(connection, self._study.study_id))
        # once more, and the trial would rightly count as one that kills its workers
        doomed = sqlalchemy.select(schema.claims.c.trial_id).where(schema.claims.c.stalls >= adoptions.STALL_LIMIT - 1)
        last_try = set(self._database.read(lambda connection: connection.execute(doomed).scalars().all()))
        spared = {seen.worker.pid for seen in running if seen.trial_id in last_try}  # with all of their slots
        if victims := [seen for seen in running if seen.worker.pid in mine and seen.worker.pid not in spared]:
            victim = self._random.choice(victims)
            mine[victim.worker.pid].kill()
            mine[victim.worker.pid].wait()
            now = self._database.read(lambda connection: adoptions.running(connection, self._study.study_id))
            # it may have ended its trial in between
            self._kills += any((s.trial_id, s.owner) == (victim.trial_id, victim.owner) for s in now)

    def _join(self) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            try:
                code = worker.wait(30)
            except subprocess.TimeoutExpired:
                self._faults.append("a worker did not end within 30 s of SIGTERM")
                continue
            if code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                self._faults.append(f"a worker ended with code {code} on SIGTERM")

    def _count(self, seconds: float) -> Report:
        summary = summaries.summary(self._database, self._study)
        finished = [trial for trial in summary.trials if trial.state in counts.COUNTED]
        expect = self._expect
        expect(len(finished) == summary.budget, f"{len(finished)} trials finished, the budget is {summary.budget}")
        left = len(summary.trials) - len(finished)
        expect(left == 0, f"{left} trials are neither complete nor pruned")
        keys = [self._study.spec.space.key(trial.params) for trial in finished]
        expect(len(set(keys)) == len(keys), f"{len(keys) - len(set(keys))} configurations came twice")
        count = sqlalchemy.func.count()
        rows = self._database.read(
            lambda c: {t.name: c.execute(sqlalchemy.select(count).select_from(t)).scalar_one() for t in LEFT_OVER}
        )
        expect(rows["search_checkpoints"] == 0, f"{rows['search_checkpoints']} checkpoints are left")
        values = sum(trial.value is not None for trial in finished)
        expect(
            rows["trial_values"] == values, f"{rows['trial_values']} values stored for {values} trials that have one"
        )
        logs = "".join(path.read_text(errors="replace") for path in self._folder.glob("worker-*.log"))
        expect("Traceback" not in logs, "a worker's log has a traceback")
        expect(logs.count("event=adopted") > 0, "no trial was adopted")
        replayed = self._replay(finished)
        self._database.close()
        return Report(
            budget=summary.budget,
            states={state.name: summary.count(state) for state in TrialState},
            kills=self._kills,
            outages=dict(self._outages),
            adoptions=logs.count("event=adopted"),
            resumed=logs.count("event=resumed"),
            replayed=replayed,
            seconds=round(seconds, 1),
            faults=self._faults,
        )

    def _expect(self, kept: bool, fault: str) -> None:
        if not kept:
            self._faults.append(fault)

    def _replay(self, finished: list[FrozenTrial]) -> int:
        """Trains every trial again, undisturbed: its curve must be the same, bit for bit."""
        train = networks.NetworkObjective(self._study.spec, self._data_dir)
        for trial in progress.track(finished, "training every trial again", disable=not sys.stderr.isatty()):
            again = replays.ReplayedTrial(trial)
            result = train(again)
            same = (result.state, result.value, again.values) == (trial.state, trial.value, trial.intermediate_values)
            self._expect(same, f"trial {trial.number} is not the one of an undisturbed training")
        return len(finished)


LEFT_OVER = (schema.checkpoints, schema.values)


@contextlib.contextmanager
def crashed(server: Server, _: str) -> Iterator[None]:
    """The server crashes and comes back at once."""
    server.control("restart", "-m", "immediate")
    yield


@contextlib.contextmanager
def stopped(server: Server, _: str) -> Iterator[None]:
    """The server is down for a while."""
    server.control("stop", "-m", "fast")
    try:
        yield
    finally:
        server.control("start")


@contextlib.contextmanager
def cut(server: Server, _: str) -> Iterator[None]:
    """All connections are cut, again and again."""
    done = threading.Event()

    def cut_all() -> None:
        connection = _admin(server)
        while not done.wait(0.5):
            connection.cursor().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        connection.close()

    thread = threading.Thread(target=cut_all)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def full(server: Server, _: str) -> Iterator[None]:
    """Somebody else holds every connection that the server gives."""
    held = []
    with contextlib.suppress(psycopg2.OperationalError):
        while len(held) < ALL_CONNECTIONS:
            held.append(_admin(server))
    if held:  # those that hold none yet find none; the others lose theirs
        held[0].cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'search' AND pid <> pg_backend_pid()"
        )
    with contextlib.suppress(psycopg2.OperationalError):
        while len(held) < ALL_CONNECTIONS:
            held.append(_admin(server))
    try:
        yield
    finally:
        for connection in held:
            connection.close()


@contextlib.contextmanager
def read_only(server: Server, url: str) -> Iterator[None]:
    """The database takes no writes for a while."""
    name = sqlalchemy.make_url(url).database
    admin = _admin(server)
    admin.cursor().execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search'"
    admin.cursor().execute(terminate)  # it holds for new connections
    try:
        yield
    finally:
        admin.cursor().execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        admin.cursor().execute(terminate)
        admin.close()


OUTAGES = {"crash": crashed, "stop": stopped, "cut": cut, "full": full, "read-only": read_only}


def _admin(server: Server) -> "psycopg2.extensions.connection":
    connection = psycopg2.connect(server.url)
    connection.autocommit = True
    return connection


def main() -> int:
    """Prints what was done and what came of it; returns 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for field in dataclasses.fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, default=field.default)
    parser.add_argument("--data-dir", type=pathlib.Path, default=os.environ.get("SEARCH_DATA", "data"))
    options = vars(parser.parse_args())
    data_dir = pathlib.Path(options.pop("data_dir")).resolve()
    fashion_mnist(data_dir)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a Unix socket's path must be short
    server = Server(folder)
    logs = pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        columns = [progress.TextColumn("chaos"), progress.BarColumn(), progress.MofNCompleteColumn()]
        with progress.Progress(*columns, progress.TimeElapsedColumn(), disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("")
            chaos = Chaos(Plan(**options), server, data_dir, logs)
            report = chaos.run(lambda done, total: bar.update(task, completed=done, total=total))
    finally:
        server.stop()
    for name, value in dataclasses.asdict(report).items():
        print(f"{name}: {value}")
    print(f"logs: {logs}")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
