"""The workers of the chaos suite: started in their seats, killed, asked to stop, under a clock that steps."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import chaos_plans
import sqlalchemy
from conftest import ROOT

from search.ledger import adoptions, studies
from search.storage import databases, schema

STOP_SECONDS = 30.0
POLL_SECONDS = 0.05
CHECKPOINT_SECONDS = 0.1
PACE_SECONDS = 0.5
NAMESPACE = ("unshare", "--mount", "--propagation", "private")
BIND = 'mount --bind "$0" /proc/stat && exec "$@"'


class Clock:
    """What the workers read as /proc/stat, whose boot time every step of a real clock moves."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._file = folder / "stat"
        self._file.write_text(pathlib.Path("/proc/stat").read_text())
        try:
            tried = subprocess.run([*NAMESPACE, "sh", "-c", BIND, self._file, "true"], capture_output=True, check=False)
            self.can_step = tried.returncode == 0
        except OSError:
            self.can_step = False

    @property
    def prefix(self) -> list[str]:
        """What a worker's command begins with, so that it reads this clock; it stays the same process."""
        return [*NAMESPACE, "sh", "-c", BIND, str(self._file)] if self.can_step else []

    def step(self, seconds: int) -> None:
        """Moves the boot time, in place: no reader finds half of it."""
        text = self._file.read_text()
        line = next(line for line in text.splitlines() if line.startswith("btime "))
        moved = f"btime {int(line.split()[1]) + seconds}"
        with self._file.open("r+b") as stream:
            stream.seek(text.index(line))
            stream.write(moved.encode())


@dataclasses.dataclass
class Worker:
    """A process in its seat."""

    process: subprocess.Popen[bytes]
    seat: tuple[str, int]


class Crew:
    """All workers. Who is killed has a successor in his seat.

    Attributes:
        killed: numbers of the processes that were killed by `kill`, in or outside a trial.
        kills: how many of them were in the middle of a trial.
    """

    def __init__(
        self,
        database: databases.Database,
        found: dict[str, studies.Study],
        data_dir: pathlib.Path,
        folder: pathlib.Path,
        grace_seconds: int,
    ) -> None:
        self._database, self._studies, self._data_dir, self._folder = database, found, data_dir, folder
        self._grace_seconds = grace_seconds
        self._workers: list[Worker] = []
        self._started = 0
        self.clock = Clock(folder)
        self.killed: set[int] = set()
        self.kills, self.stops = 0, 0
        self.faults: list[str] = []

    def start(self, count: int) -> None:
        """The first of the seats are taken."""
        for seat in chaos_plans.SEATS[:count]:
            self._start(seat)

    def _start(self, seat: tuple[str, int]) -> None:
        self._started += 1
        name, slots = seat
        command = [*self.clock.prefix, sys.executable, "-m", "search", "work", name, "--stay"]
        command += ["--parent", str(os.getpid())]  # as of `search run`: it is started again where it ends
        command += ["--data-dir", str(self._data_dir), "--slots", str(slots), "--grace", str(self._grace_seconds)]
        command += ["--checkpoint-seconds", str(CHECKPOINT_SECONDS)]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SEARCH_STORAGE": self._database.url,
            "CHAOS_PACE_SECONDS": str(PACE_SECONDS),
            "CHAOS_HOLD_SECONDS": str(self._grace_seconds + 2),
        }
        with (self._folder / f"worker-{self._started}.log").open("wb") as log:
            here = pathlib.Path(__file__).parent
            process = subprocess.Popen(command, cwd=here, env=environment, stdout=log, stderr=log)
        self._workers.append(Worker(process, seat))

    def look_after(self) -> None:
        """Whoever is gone has a successor; that somebody ended by himself is a fault."""
        for worker in [each for each in self._workers if each.process.poll() is not None]:
            if worker.process.pid not in self.killed:
                code = worker.process.returncode
                self.faults.append(f"a worker of {worker.seat[0]} ended by itself with code {code}")
            self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._start(worker.seat)

    def strike(self, name: str, luck: float, seconds: float = 20.0) -> bool:
        """SIGKILL for a worker in the middle of a trial of a study; False where none is to be had in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if owners := self._owners(name):
                pid = chaos_plans.chosen(luck, sorted(owners))
                self.kill(pid)
                # it may have ended its trials in between
                if self._running(name, pid):
                    self.kills += 1
                    return True
            self.look_after()
            time.sleep(POLL_SECONDS)
        return False

    def hunt(self, name: str, luck: float) -> None:
        """One owner of a trial after the other is killed, until it fails for it or ends."""
        trial_id = None
        for _ in range(chaos_plans.KILLS_OF_A_LAST_TRY):
            deadline = time.monotonic() + STOP_SECONDS
            while time.monotonic() < deadline:
                owners = self._owners(name)
                if trial_id is None and owners:
                    trial_id = min(owners[chaos_plans.chosen(luck, sorted(owners))])
                owner = next((pid for pid, trials in owners.items() if trial_id in trials), None)
                if owner is not None:
                    self.kill(owner)
                    self.kills += trial_id in self._running(name, owner)
                    break
                time.sleep(POLL_SECONDS)

    def kill_any(self, luck: float) -> None:
        """SIGKILL for whoever it hits, without a look at the database; the successor may find it away."""
        self.kill(chaos_plans.chosen(luck, [worker.process.pid for worker in self._workers]))

    def kill(self, pid: int) -> None:
        """SIGKILL for one of the crew."""
        worker = next(worker for worker in self._workers if worker.process.pid == pid)
        self.killed.add(pid)
        worker.process.kill()
        worker.process.wait()
        self._replace(worker)

    def stop(self, name: str, luck: float) -> None:
        """SIGTERM for a worker of a study: it ends in time, and no trial is left with it."""
        mine = [worker.process.pid for worker in self._workers if worker.seat[0] == name]
        pid = chaos_plans.chosen(luck, mine)
        worker = next(worker for worker in self._workers if worker.process.pid == pid)
        self._end([worker])
        self.stops += 1
        if left := self._running(name, pid):
            self.faults.append(f"a worker of {name} that was asked to stop left {len(left)} trials running")
        self._replace(worker)

    def end(self) -> None:
        """SIGTERM for all."""
        self._end(self._workers)

    def _end(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            try:
                code = worker.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.faults.append(f"a worker of {worker.seat[0]} did not end within {STOP_SECONDS:.0f} s of SIGTERM")
                continue
            # the signal itself: it was starting, and had no handler yet
            if code not in (0, -signal.SIGTERM):
                self.faults.append(f"a worker of {worker.seat[0]} ended with code {code} on SIGTERM")

    def vanish(self) -> None:
        """SIGKILL for all, whatever happened."""
        for worker in self._workers:
            worker.process.kill()
            worker.process.wait()

    def _owners(self, name: str) -> dict[int, set[int]]:
        """Workers of a study with the trials that they run."""
        mine = {worker.process.pid for worker in self._workers if worker.process.poll() is None}
        found: dict[int, set[int]] = {}
        study_id = self._studies[name].study_id
        for seen in self._database.read(lambda connection: adoptions.running(connection, study_id)):
            if seen.worker.pid in mine:
                found.setdefault(seen.worker.pid, set()).add(seen.trial_id)
        return found

    def _running(self, name: str, pid: int) -> set[int]:
        """The trials that a process is the owner of."""
        study_id = self._studies[name].study_id
        seen = self._database.read(lambda connection: adoptions.running(connection, study_id))
        return {each.trial_id for each in seen if each.worker.pid == pid}


OWNERS = sqlalchemy.table("chaos_owners", *map(sqlalchemy.column, ("line", "trial_id", "generation", "pid", "reached")))
LINE = {"sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT", "postgresql": "BIGSERIAL PRIMARY KEY"}
NOTE = (
    f"INSERT INTO {OWNERS.name} (trial_id, generation, pid, reached) "
    "VALUES (NEW.trial_id, NEW.generation, NEW.pid, NEW.reached)"
)
CHANGES = {"inserted": "INSERT", "changed": "UPDATE OF generation"}


def note_owners(database: databases.Database) -> None:
    """Lets the database itself write down who owned which trial, one after the other, and how far it was then."""
    dialect, claims = database.engine.dialect.name, schema.claims.name
    columns = f"line {LINE[dialect]}, trial_id INTEGER, generation INTEGER, pid INTEGER, reached INTEGER"
    lines = [f"CREATE TABLE {OWNERS.name} ({columns})"]
    if dialect == "postgresql":
        body = f"$$ BEGIN {NOTE}; RETURN NULL; END $$"
        lines.append(f"CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS {body}")
    for name, change in CHANGES.items():
        begin = f"CREATE TRIGGER chaos_{name} AFTER {change} ON {claims} "
        end = "FOR EACH ROW EXECUTE FUNCTION chaos_note()" if dialect == "postgresql" else f"BEGIN {NOTE}; END"
        lines.append(begin + end)
    database.write(lambda connection: [connection.exec_driver_sql(line) for line in lines] and None)
