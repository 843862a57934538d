"""Real worker processes on both databases, killed, stopped, restarted, extended: the count stays exact."""

import collections
import json
import os
import pathlib
import re
import signal
import sqlite3
import time
from typing import Any

import pytest
import sqlalchemy
from conftest import Processes, Server, quick_text
from optuna.trial import TrialState
from processes import PATIENCE_SECONDS, ends, until
from trials import Make

from search import errors
from search.ledger import adoptions, counts, orders, presence, queues, studies, summaries
from search.storage import databases, schema
from search.study import specs

pytestmark = pytest.mark.slow


# what a study ends with; what was enqueued beyond its budget may wait still
ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)


def in_training(database: databases.Database, study: studies.Study) -> list[presence.Sighting]:
    """Running trials that have their configuration: an owner that is killed now is killed inside its trial."""
    running = database.read(lambda c: adoptions.running(c, study.study_id))
    begun = {trial._trial_id for trial in summaries.summary(database, study).running if trial.params}
    return [seen for seen in running if seen.trial_id in begun]


def adopted(database: databases.Database, study: studies.Study) -> int:
    rows = database.read(lambda c: c.execute(sqlalchemy.select(schema.claims.c.generation)).scalars().all())
    return sum(generation - 1 for generation in rows)


def finished(database: databases.Database, study: studies.Study) -> int:
    return summaries.summary(database, study).done


def test_eight_workers_with_kills_end_with_exactly_the_budget(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """40 trials by 8 workers, killed inside trials and joining late, end with 40; extended to 60, with 60.

    Enqueued and created trials together never exceed the budget, at any moment.
    """
    study = make_study(trials=40, epochs=50, hopeless="false", slow=True)
    deep = {"depth": 5, "width": 64, "activation": "ReLU"}
    for size in (3, 5, 7):
        queues.enqueue(opened, study, {"learning_rate": 0.1, "batch_size": size, **deep})
    workers = [processes.start("work", study.name) for _ in range(8)]
    killed: set[int] = set()
    hit: collections.Counter[int] = collections.Counter()  # a trial whose workers die three times in a row is FAIL

    def watch_and_kill(budget: int, kills: int) -> None:
        while finished(opened, study) < budget:
            summary = summaries.summary(opened, study)  # not all trials: it would take a core from the workers
            assert summary.done + summary.count(TrialState.RUNNING) <= budget
            victims = [seen for seen in in_training(opened, study) if seen.worker.pid not in killed]
            victims = [seen for seen in victims if hit[seen.trial_id] < adoptions.STALL_LIMIT - 1]
            if victims and len(killed) < kills:
                hit[victims[0].trial_id] += 1
                os.kill(victims[0].worker.pid, signal.SIGKILL)
                killed.add(victims[0].worker.pid)
                workers.append(processes.start("work", study.name))
                queues.enqueue(opened, study, {"learning_rate": 0.01, "batch_size": len(killed), **deep})
            # they end as soon as nothing is left, which may be in between
            assert any(worker.poll() is None for worker in workers) or finished(opened, study) == budget
            time.sleep(0.05)

    watch_and_kill(40, kills=7)
    codes = ends(workers)
    assert sorted(set(codes)) == [-signal.SIGKILL, 0]
    assert codes.count(-signal.SIGKILL) == len(killed) == 7
    summary = summaries.whole(opened, study)
    assert [summary.count(state) for state in ENDS] == [40, 0, 0, 0]
    assert adopted(opened, study) >= 5
    keys = [study.spec.space.key(t.params) for t in summary.trials if t.state in counts.COUNTED]
    assert len(set(keys)) == 40
    assert all(len(t.intermediate_values) == 50 for t in summary.trials if t.state == TrialState.COMPLETE)

    assert orders.extend(opened, study, to=60).trials == 60
    workers = [processes.start("work", study.name) for _ in range(8)]
    watch_and_kill(60, kills=7)
    assert set(ends(workers)) == {0}
    summary = summaries.whole(opened, study)
    assert [summary.count(state) for state in ENDS] == [60, 0, 0, 0]


def pause(database: databases.Database, pid: int) -> None:
    """SIGSTOP outside a write: a process that sleeps inside one keeps SQLite's lock, and everybody waits for it."""
    impatient = databases.Database(database.url, patience_seconds=1.5)
    for _ in range(50):
        os.kill(pid, signal.SIGSTOP)
        try:
            impatient.write(lambda connection: None)
        except errors.StorageError:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.03)
        else:
            return
    raise AssertionError("never outside a write")


def test_a_worker_stopped_past_the_grace_changes_nothing(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """SIGSTOP, adoption after 20 graces, SIGCONT: the late worker finds its trial lost and ends without an error."""
    study = make_study(trials=1, epochs=400, hopeless="false", slow=True)
    late = processes.start("work", study.name, SEARCH_GRACE_SECONDS="1")
    until(lambda: in_training(opened, study))
    pause(opened, late.pid)
    other = processes.start("work", study.name, SEARCH_GRACE_SECONDS="1")
    until(lambda: adopted(opened, study) == 1)
    os.kill(late.pid, signal.SIGCONT)
    assert ends([late, other]) == [0, 0]
    assert "event=lost" in (late.stdout.read() if late.stdout else "")
    assert "Traceback" not in (other.stdout.read() if other.stdout else "")
    (trial,) = summaries.whole(opened, study).trials
    assert trial.state == TrialState.COMPLETE
    assert len(trial.intermediate_values) == 400
    assert len(trial.user_attrs["search:avg_losses"]) == 400
    assert trial.user_attrs["search:worker"].endswith(f":{other.pid}")
    assert adopted(opened, study) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_asked_to_stop_hands_its_trial_over(
    opened: databases.Database, make_study: Make, processes: Processes, number: signal.Signals, code: int
) -> None:
    """The trial waits with its parameters, the worker is gone within 5 s, and the next one finishes the trial."""
    study = make_study(trials=1, epochs=500, hopeless="false", slow=True)
    first = processes.start("work", study.name)
    until(lambda: in_training(opened, study))
    params = summaries.whole(opened, study).trials[0].params
    asked = time.monotonic()
    os.kill(first.pid, number)
    assert ends([first]) == [code]
    assert time.monotonic() - asked < 5
    (waiting,) = summaries.whole(opened, study).trials
    assert (waiting.state, waiting.params) == (TrialState.WAITING, params)
    assert processes.run("work", study.name)[0] == 0
    (trial,) = summaries.whole(opened, study).trials
    assert (trial.state, trial.number, trial.params) == (TrialState.COMPLETE, 0, params)
    assert len(trial.intermediate_values) == 500


def test_a_restart_of_postgres_ends_no_worker(postgres: Server, tmp_path: pathlib.Path) -> None:
    """`restart -m immediate` and a stop of some seconds under four workers: all end well, the count is exact."""
    url = postgres.new_database()
    database = databases.Database(url)
    study = studies.create(database, specs.parse(quick_text(trials=24, epochs=150, hopeless="false", slow=True), "x"))
    processes = Processes(url, tmp_path)
    workers = [processes.start("work", study.name, SEARCH_GRACE_SECONDS="6") for _ in range(4)]
    try:
        until(lambda: len(in_training(database, study)) >= 2)
        postgres.control("restart", "-m", "immediate")
        until(lambda: finished(database, study) >= 6)
        postgres.control("stop", "-m", "fast")
        time.sleep(8)  # longer than the grace: a beat that could not arrive makes nobody an orphan
        postgres.control("start")
        assert ends(workers) == [0, 0, 0, 0]
    finally:
        processes.end()
    summary = summaries.whole(database, study)
    assert [summary.count(s) for s in (TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING)] == [24, 0, 0]
    assert adopted(database, study) == 0
    log = "".join(worker.stdout.read() for worker in workers if worker.stdout)
    assert "event=storage-away" in log
    assert "event=storage-back" in log
    assert "Traceback" not in log


def quick_file(folder: pathlib.Path, **settings: object) -> str:
    path = folder / "quick.toml"
    path.write_text(quick_text(**settings))  # type: ignore[arg-type]
    return str(path)


@pytest.mark.parametrize("workers", [1, 2])
def test_run_restarts_a_killed_worker(
    opened: databases.Database, processes: Processes, tmp_path: pathlib.Path, workers: int
) -> None:
    """`search run` starts a local worker again that was killed, the only one too, and ends with exactly the budget."""
    file = quick_file(tmp_path, trials=5, epochs=250, hopeless="false", slow=True)
    running = processes.start("run", file, "--workers", str(workers))
    until(lambda: studies.names(opened))
    study = studies.find(opened, "quick")
    assert study is not None
    until(lambda: in_training(opened, study))
    victim = in_training(opened, study)[0].worker.pid
    os.kill(victim, signal.SIGKILL)
    output, _ = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0
    assert f"event=worker-killed pid={victim} signal=SIGKILL" in output
    assert summaries.whole(opened, study).count(TrialState.COMPLETE) == 5
    assert adopted(opened, study) == 1
    pids = set(re.findall(r"worker='?[^\s:]+:(\d+)", output))
    assert len(pids) == workers + 1


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_on_run(opened: databases.Database, processes: Processes, tmp_path: pathlib.Path, twice: bool) -> None:
    """Ctrl-C hands the running trials over; Ctrl-C twice ends at once; either way the next run goes on with them."""
    file = quick_file(tmp_path, trials=4, epochs=250, hopeless="false", slow=True)  # seconds each: none ends unseen
    running = processes.start("run", file, "--workers", "2")
    until(lambda: studies.names(opened))
    study = studies.find(opened, "quick")
    assert study is not None
    until(lambda: len(in_training(opened, study)) == 2)
    asked = time.monotonic()
    workers = [seen.worker for seen in in_training(opened, study)]
    if twice:
        for seen in workers:
            os.kill(seen.pid, signal.SIGSTOP)  # so that the first Ctrl-C cannot be answered in time
    os.kill(running.pid, signal.SIGINT)
    if twice:
        time.sleep(0.5)
        os.kill(running.pid, signal.SIGINT)
    assert ends([running]) == [130]
    assert time.monotonic() - asked < 5
    until(lambda: all(worker.is_dead() for worker in workers), 5)
    summary = summaries.whole(opened, study)
    assert summary.count(TrialState.RUNNING if twice else TrialState.WAITING) == 2
    code, output = processes.run("run", file, "--workers", "2")
    assert code == 0, output
    summary = summaries.whole(opened, study)
    assert len(summary.trials) == summary.count(TrialState.COMPLETE) == 4
    assert ("event=adopted" in output) == twice


def test_workers_follow_their_parent(opened: databases.Database, processes: Processes, tmp_path: pathlib.Path) -> None:
    """Where `search run` itself is killed, its workers hand over and end: nothing trains on unseen."""
    running = processes.start(
        "run", quick_file(tmp_path, trials=2, epochs=1000, hopeless="false", slow=True), "--workers", "1"
    )
    until(lambda: studies.names(opened))
    study = studies.find(opened, "quick")
    assert study is not None
    until(lambda: in_training(opened, study))
    worker = in_training(opened, study)[0].worker
    os.kill(running.pid, signal.SIGKILL)
    until(worker.is_dead, 10)
    assert summaries.whole(opened, study).count(TrialState.WAITING) == 1


def state_of(processes: Processes, name: str) -> dict[str, Any]:
    """What `search status --json` says."""
    code, output = processes.run("status", name, "--json")
    assert code == 0, output
    return dict(json.loads(output))


def test_verbs_on_a_study_that_eight_workers_run(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """Pause, resume, enqueue, extend and stop reach eight workers; nothing is lost and the count is exact."""
    study = make_study(trials=400, epochs=100, hopeless="false", slow=True)
    workers = [processes.start("work", study.name, "--stay", SEARCH_GRACE_SECONDS="3") for _ in range(8)]
    until(lambda: len(in_training(opened, study)) == 8)
    seen = state_of(processes, study.name)
    assert (seen["state"], len(seen["workers"]), seen["orphans"]) == ("active", 8, [])
    # with the fast engine a worker is between two trials for much of its time
    until(lambda: sum(len(worker["trials"]) for worker in state_of(processes, study.name)["workers"]) >= 6)
    assert seen["forecast_seconds"] > 0
    assert seen["training_seconds"] > 0

    assert "is paused: " in processes.run("pause", study.name)[1]
    asked = ("depth=5", "batch_size=3", "learning_rate=0.1", "width=64", "activation=ReLU")
    until(lambda: not in_training(opened, study))
    paused = summaries.whole(opened, study)
    assert paused.count(TrialState.WAITING) == 0  # they were finished, not handed over
    code, output = processes.run("enqueue", study.name, *asked)
    assert (code, "it is paused: `search resume quick`" in output) == (0, True)
    time.sleep(3)  # longer than any idle wait
    assert summaries.whole(opened, study).done == paused.done
    assert all(worker.poll() is None for worker in workers)

    assert "is active: " in processes.run("resume", study.name)[1]
    until(lambda: finished(opened, study) > paused.done + 3)
    assert summaries.whole(opened, study).trials[len(paused.trials)].params["batch_size"] == 3

    processes.run("pause", study.name, "--now")
    until(lambda: summaries.summary(opened, study).count(TrialState.RUNNING) == 0, 10)
    handed = summaries.whole(opened, study)
    assert handed.count(TrialState.WAITING) >= 1
    budget = handed.done + handed.count(TrialState.WAITING) + 8
    code, output = processes.run("extend", study.name, "--to", str(budget))
    assert (code, f"budget {budget}" in output) == (0, True)
    processes.run("resume", study.name)
    until(lambda: finished(opened, study) == budget)
    assert "8 workers alive" in processes.run("extend", study.name, "--trials", "4")[1]
    until(lambda: finished(opened, study) == budget + 4)

    processes.run("extend", study.name, "--trials", "100")
    until(lambda: len(in_training(opened, study)) == 8)
    processes.run("stop", study.name, "--now")
    assert ends(workers, 20) == [0] * 8
    stopped = summaries.whole(opened, study)
    assert (stopped.count(TrialState.RUNNING), stopped.count(TrialState.FAIL)) == (0, 0)
    assert processes.run("work", study.name, "--stay")[0] == 0  # a stopped study takes no worker
    output = processes.run("extend", study.name, "--to", str(stopped.done + 1))[1]
    assert "it is stopped: `search resume quick` lets it go on" in output
    assert "no worker is alive" in processes.run("resume", study.name)[1]
    assert processes.run("work", study.name)[0] == 0
    summary = summaries.whole(opened, study)
    assert summary.done == stopped.done + 1
    curves = [len(t.intermediate_values) for t in summary.trials if t.state == TrialState.COMPLETE]
    assert curves == [100] * summary.done
    keys = [study.spec.space.key(t.params) for t in summary.trials]
    assert len(set(keys)) == len(keys)


def test_a_killed_workers_trial_is_shown_as_an_orphan(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """After SIGKILL `status` names the orphan and its worker, until the next worker takes it up."""
    study = make_study(trials=1, epochs=500, hopeless="false", slow=True)
    victim = processes.start("work", study.name)
    until(lambda: in_training(opened, study))
    os.kill(victim.pid, signal.SIGKILL)
    ends([victim])
    seen = state_of(processes, study.name)
    assert (seen["workers"], seen["orphans"]) == ([], [0])
    assert f":{victim.pid} is gone" in processes.run("status", study.name)[1]
    assert processes.run("work", study.name)[0] == 0
    assert state_of(processes, study.name)["orphans"] == []


def test_an_epoch_beyond_its_limit_fails_the_trial(
    opened: databases.Database, make_study: Make, processes: Processes
) -> None:
    """Beyond `epoch_seconds` a trial is FAIL with the reason, and the study goes on to its limit of failures."""
    study = make_study(trials=3, more="epoch_seconds = 1e-6\nmax_failures = 2", hopeless="false")
    code, output = processes.run("work", study.name)
    assert (code, "3 trials failed, more than max_failures = 2 allows" in output) == (1, True)
    trials = summaries.whole(opened, study).trials
    assert [trial.state for trial in trials] == [TrialState.FAIL] * 3
    reason = "EpochTimeout: epoch 1 took longer than budget.epoch_seconds = 1e-06"
    assert {trial.user_attrs["search:reason"] for trial in trials} == {reason}


def test_a_worker_gives_up_after_its_patience(tmp_path: pathlib.Path) -> None:
    """A database that stays locked ends a worker after `--patience`, with code 1 and one clear line."""
    url = f"sqlite:///{tmp_path}/search.db"
    database = databases.Database(url)
    studies.create(database, specs.parse(quick_text(), "quick.toml"))
    processes = Processes(url, tmp_path)
    locker = sqlite3.connect(tmp_path / "search.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        code, said = processes.run("work", "quick", "--patience", "3")
    finally:
        locker.close()
        processes.end()
    assert code == 1
    assert said.splitlines()[-1].startswith(
        f"search: storage {url} stayed away for 3 s: database is locked; check that"
    )
    assert "Traceback" not in said
    assert summaries.whole(database, studies.load(database, "quick")).trials == ()
    database.close()
