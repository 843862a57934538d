"""People are told of a study whose workers are real processes, some of which are killed."""

import os
import pathlib
import signal
import subprocess

import mine
import pytest
import receivers
from conftest import Processes
from optuna.trial import TrialState
from processes import ends, until

from search.ledger import notices, rosters, studies, summaries
from search.storage import databases, outboxes

GRACE = ("--grace", "1.5")
CODE = """
import time
def objective(trial):
    time.sleep({seconds})
    return trial.suggest_float("x", 0.0, 1.0)
"""


def write(folder: pathlib.Path, receiver: receivers.Receiver, more: str, trials: int, seconds: float) -> None:
    """A study whose trials take so long, and its addresses: a webhook, and a service of apprise's at the same place."""
    receiver.file(folder, f"json://127.0.0.1:{receiver.port}/apprise")
    (folder / "mine.py").write_text(CODE.format(seconds=seconds))
    told = f'[notify]\nurls_file = "notify-urls"\nquiet_minutes = 0\n{more}\n'
    (folder / "own.toml").write_text(f"{mine.text(trials=trials)}{told}")


def start(processes: Processes, *arguments: str, number: int = 1) -> list[subprocess.Popen[str]]:
    return [processes.start(*arguments) for _ in range(number)]


def hooked(receiver: receivers.Receiver, event: str) -> int:
    return sum(each.get("event") == event for each in receiver.got)


def by_apprise(receiver: receivers.Receiver, event: str) -> int:
    return sum(each.get("title") == f"own: {event}" for each in receiver.got)


def running(database: databases.Database) -> int:
    return summaries.summary(database, studies.load(database, "own")).count(TrialState.RUNNING)


def busy(database: databases.Database) -> set[int]:
    """The processes that train a trial."""
    found = rosters.read(database, studies.load(database, "own").study_id)
    return {int(member.name.rpartition(":")[2]) for member in found.members if member.trials}


@pytest.mark.slow
def test_one_message_whatever_the_workers_do(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """Four workers, one killed: one message of the lost one, one of the end, at each address, from a shaky receiver."""
    write(tmp_path, receiver, 'on = ["finished", "lost"]', trials=8, seconds=3)
    code, output = processes.run("create", "own.toml")
    assert code == 0, output
    receiver.answers = [(500, {})]
    workers = start(processes, "work", "own", *GRACE, number=4)
    until(lambda: running(opened) >= 2)
    (victim, *_) = (worker for worker in workers if worker.pid in busy(opened))
    os.killpg(victim.pid, signal.SIGKILL)
    assert sorted(ends(workers)) == [-signal.SIGKILL, 0, 0, 0]
    study = studies.load(opened, "own")
    assert notices.read(opened, study) == notices.Standing(sent=2)
    assert receiver.refused == 1
    for event in ("lost", "finished"):
        assert (hooked(receiver, event), by_apprise(receiver, event)) == (1, 1)
    assert len(receiver.got) == 4


@pytest.mark.slow
def test_a_sender_that_is_killed_leaves_its_message_to_others(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """Between the sending and the note of it: then it is sent once more to all, under the same id."""
    write(tmp_path, receiver, 'on = ["finished"]', trials=1, seconds=0.1)
    processes.run("create", "own.toml")
    receiver.hang_seconds = 5
    (worker,) = start(processes, "work", "own")
    until(lambda: receiver.asked == 2)  # both addresses
    os.killpg(worker.pid, signal.SIGKILL)
    until(lambda: hooked(receiver, "finished") == 1)  # by who is dead
    receiver.hang_seconds = 0
    code, output = processes.run("notify", "own")
    assert (code, output) == (1, "0 messages delivered, 1 not: another process is at it\n")
    opened.write(
        lambda connection: connection.execute(outboxes.notices.update().values(due_at=0.0))
    )  # the lease is over
    code, output = processes.run("run", "own", "--workers", "1")
    assert code == 0, output
    assert (hooked(receiver, "finished"), by_apprise(receiver, "finished")) == (2, 2)
    assert len({each["id"] for each in receiver.got if "id" in each}) == 1
    code, output = processes.run("notify", "own")
    assert (code, output) == (0, "1 message delivered, 0 not\n")


@pytest.mark.slow
def test_the_dashboard_notices_that_nobody_is_left(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """All workers are killed: it tells of each, and once that the study has stalled."""
    write(tmp_path, receiver, "stalled_minutes = 0.05", trials=6, seconds=600)
    processes.run("create", "own.toml")
    start(processes, "dashboard", "--port", "0")
    workers = start(processes, "work", "own", *GRACE, number=2)
    until(lambda: running(opened) == 2)
    for worker in workers:
        os.killpg(worker.pid, signal.SIGKILL)
    until(lambda: (hooked(receiver, "lost"), hooked(receiver, "stalled")) == (2, 1), 60)
    (stalled,) = [each for each in receiver.got if each.get("event") == "stalled"]
    assert stalled["text"].endswith("no worker is alive, 2 running")
