"""Kills workers that train code of the user's own at random moments: every trial ends with the bits of a quiet run.

    python tests/whole/own_kills.py --kills 100 --seed 1 --data-dir data

The example `studies/own/cnn.py`, a convolutional network with AdamW and dropout, is searched twice: by one worker that
nobody disturbs, and by two that are killed (SIGKILL), whose process of the objective is killed, or that are asked to
stop (SIGTERM), each time in whatever the training does then. Values of all epochs and the checksum of the last weights
of each trial are compared; what a killed worker had started must be gone.
"""

import argparse
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import optuna
import psutil
import sqlalchemy
from optuna.trial import TrialState
from rich import progress

from search.storage import databases, schema

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = ROOT / "studies" / "own"
EPOCHS, IMAGES, WORKERS = 12, 1_500, 2
GONE_SECONDS = 10.0

Curves = dict[int, tuple[dict[int, float], str]]  # by trial: values by epoch, and the checksum of the weights


@dataclasses.dataclass
class Report:
    """What was done and found.

    Attributes:
        kills: of workers, of processes of the objective, and requests to stop, by name.
        resumed: trainings that went on from a checkpoint; `equal`: trials with the same bits.
        faults: what differs, a line each.
    """

    kills: dict[str, int]
    resumed: int
    equal: int
    faults: list[str]


def text(trials: int) -> str:
    """The example's study file, without a pruner, since those judge by what others have by then."""
    written = (
        (OWN / "cnn.toml").read_text().replace('pruner = "median"', "").replace("trials = 20", f"trials = {trials}")
    )
    return written.replace("[pruning]", '[sampler]\nname = "random"\n\n[pruning]')


class Search:
    """The example's study in a folder, worked on by processes of the command line."""

    def __init__(self, folder: pathlib.Path, data_dir: pathlib.Path, trials: int) -> None:
        self._trials = trials
        self.folder, self.url = folder, f"sqlite:///{folder}/search.db"
        settings = {"SEARCH_DATA": str(data_dir), "CNN_IMAGES": str(IMAGES), "CNN_EPOCHS": str(EPOCHS)}
        self._environment = {**os.environ, **settings, "SEARCH_STORAGE": self.url, "SEARCH_CHECKPOINT_SECONDS": "0"}
        (folder / "cnn.toml").write_text(text(trials))
        self.command("create", str(folder / "cnn.toml")).wait()

    def command(self, *words: str) -> "subprocess.Popen[bytes]":
        """A process of the command line, in the example's folder."""
        log = (self.folder / "log.txt").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-P", str(ROOT / "optuna_search_service.py"), *words],
                cwd=OWN,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def work(self) -> "subprocess.Popen[bytes]":
        """A worker."""
        return self.command("work", "cnn", "--grace", "3")

    @property
    def resumed(self) -> int:
        """How many trainings went on from a checkpoint."""
        return (self.folder / "log.txt").read_text().count("event=resumed")

    def is_finished(self, database: databases.Database) -> bool:
        """Whether all trials have ended."""
        ended = [TrialState.COMPLETE, TrialState.FAIL]
        query = sqlalchemy.select(sqlalchemy.func.count()).where(schema.trials.c.state.in_(ended))
        return database.read(lambda connection: connection.execute(query).scalar_one()) >= self._trials

    def curves(self) -> Curves:
        """What came of each complete trial."""
        trials = optuna.load_study(study_name="cnn", storage=self.url).trials
        ended = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        return {trial.number: (trial.intermediate_values, trial.user_attrs["weights"]) for trial in ended}


def disturb(search: Search, kills: int, chance: random.Random, on_kill: Callable[[], None]) -> dict[str, int]:
    """Works the study off with so many disturbances."""
    database, done = databases.Database(search.url), dict.fromkeys(("worker", "process", "stop"), 0)
    workers = [search.work() for _ in range(WORKERS)]
    try:
        while not search.is_finished(database):
            time.sleep(chance.uniform(0.05, 1.0))
            place = chance.randrange(WORKERS)
            found = list(children(workers[place]))
            if sum(done.values()) < kills and found and not any(stalls(database)):
                how = chance.choice(("worker", "worker", "worker", "stop", "process"))
                strike(workers[place], found, how)
                done[how] += 1
                on_kill()
            for number, worker in enumerate(workers):
                if worker.poll() is not None:
                    workers[number] = search.work()
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return done


def strike(worker: "subprocess.Popen[bytes]", found: list[psutil.Process], how: str) -> None:
    """Kills a worker, or the process of its objective, or asks it to stop.

    Raises:
        RuntimeError: something that it had started is still there.
    """
    if how == "process":
        os.killpg(found[0].pid, signal.SIGKILL)
        return
    worker.send_signal(signal.SIGKILL if how == "worker" else signal.SIGTERM)
    worker.wait()
    _, alive = psutil.wait_procs(found, GONE_SECONDS)
    if alive:
        raise RuntimeError(f"left behind by a worker: {[each.cmdline() for each in alive]}")


def children(worker: "subprocess.Popen[bytes]") -> Iterator[psutil.Process]:
    """The process of the objective, first, and what that has started."""
    try:
        yield from psutil.Process(worker.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return


def stalls(database: databases.Database) -> list[int]:
    """Owners in a row without progress, of each trial that is open: the third would end it."""
    c = schema.claims.c
    query = sqlalchemy.select(c.stalls).where(c.told.is_(False), sqlalchemy.or_(c.stalls > 0, c.faults > 1))
    return list(database.read(lambda connection: connection.execute(query).scalars().all()))


def run(kills: int, trials: int, seed: int, data_dir: pathlib.Path, on_kill: Callable[[], None]) -> Report:
    """Both searches, compared."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        quiet, struck = (Search(pathlib.Path(folder), data_dir, trials) for folder in (one, other))
        quiet.work().wait()
        done = disturb(struck, kills, random.Random(seed), on_kill)
        expected, found = quiet.curves(), struck.curves()
        faults = [f"trial {number}: {found.get(number)} for {expected[number]}" for number in expected]
        faults = [said for number, said in zip(expected, faults, strict=True) if found.get(number) != expected[number]]
        if len(expected) != trials or set(found) != set(expected):
            faults.append(f"trials {sorted(found)} ended well, for {trials}: {(struck.folder / 'log.txt').read_text()}")
        return Report(done, struck.resumed, len(expected) - len(faults), faults)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--trials", type=int, help="some two kills a trial where it is left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-dir", type=pathlib.Path, default=ROOT / "data")
    options = parser.parse_args()
    with progress.Progress() as shown:
        bar = shown.add_task("kills", total=options.kills)
        trials = options.trials or max(2, options.kills // 2)
        found = run(options.kills, trials, options.seed, options.data_dir.resolve(), lambda: shown.advance(bar))
    print(f"{found.kills}: {found.equal} of {trials} trials to the last bit, {found.resumed} times from a checkpoint")
    for fault in found.faults:
        print(fault)
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
