"""People are told of a study whose workers are real processes, some of which are killed."""

import os
import pathlib
import signal
import subprocess

import pytest
import receivers
from conftest import Processes, quick_text
from optuna.trial import TrialState
from processes import ends, until

from search.ledger import notices, studies, summaries
from search.storage import databases, outboxes

GRACE = ("--grace", "1.5")


def write(folder: pathlib.Path, receiver: receivers.Receiver, more: str = "", **settings: int | str) -> None:
    """A study whose trials take seconds, and its addresses: a webhook, and a service of apprise's that is the same."""
    receiver.file(folder, f"json://127.0.0.1:{receiver.port}/apprise")
    told = f'[notify]\nurls_file = "notify-urls"\nquiet_minutes = 0\n{more}'
    (folder / "quick.toml").write_text(quick_text(hopeless="false", more=told, slow=True, **settings))  # type: ignore[arg-type]


def start(processes: Processes, *arguments: str, number: int = 1) -> list[subprocess.Popen[str]]:
    return [processes.start(*arguments) for _ in range(number)]


def hooked(receiver: receivers.Receiver, event: str) -> int:
    return sum(each.get("event") == event for each in receiver.got)


def by_apprise(receiver: receivers.Receiver, event: str) -> int:
    return sum(each.get("title") == f"quick: {event}" for each in receiver.got)


def running(database: databases.Database) -> int:
    return summaries.summary(database, studies.load(database, "quick")).count(TrialState.RUNNING)


@pytest.mark.slow
def test_one_message_whatever_the_workers_do(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """Four workers, one killed: one message of the lost one, one of the end, at each address, from a shaky receiver."""
    write(tmp_path, receiver, 'on = ["finished", "lost"]', trials=6, epochs=60)
    code, output = processes.run("create", "quick.toml")
    assert code == 0, output
    receiver.answers = [(500, {})]
    workers = start(processes, "work", "quick", *GRACE, number=4)
    until(lambda: running(opened) == 4)
    os.killpg(workers[0].pid, signal.SIGKILL)
    assert ends(workers) == [-signal.SIGKILL, 0, 0, 0]
    study = studies.load(opened, "quick")
    assert notices.read(opened, study) == notices.Standing(sent=2)
    assert receiver.refused == 1
    for event in ("lost", "finished"):
        assert (hooked(receiver, event), by_apprise(receiver, event)) == (1, 1)
    assert len(receiver.got) == 4


@pytest.mark.slow
def test_a_sender_that_is_killed_leaves_its_message_to_others(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """Between the sending and the note of it: then it is sent once more, under the same id."""
    write(tmp_path, receiver, 'on = ["finished"]', trials=1, epochs=2)
    processes.run("create", "quick.toml")
    receiver.hang_seconds = 5
    (worker,) = start(processes, "work", "quick")
    table = outboxes.notices
    until(lambda: opened.read(lambda connection: connection.execute(table.select().where(table.c.owner != "")).all()))
    os.killpg(worker.pid, signal.SIGKILL)
    until(lambda: hooked(receiver, "finished") == 1)  # by who is dead
    receiver.hang_seconds = 0
    code, output = processes.run("notify", "quick")
    assert (code, output) == (1, "0 messages delivered, 1 not: another process is at it\n")
    opened.write(lambda connection: connection.execute(table.update().values(due_at=0.0)))  # the lease is over
    code, output = processes.run("run", "quick", "--workers", "1")
    assert code == 0, output
    assert (hooked(receiver, "finished"), by_apprise(receiver, "finished")) == (2, 1)
    assert len({each["id"] for each in receiver.got if "id" in each}) == 1
    code, output = processes.run("notify", "quick")
    assert (code, output) == (0, "1 message delivered, 0 not\n")


@pytest.mark.slow
def test_the_dashboard_notices_that_nobody_is_left(
    processes: Processes, opened: databases.Database, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """All workers are killed: it tells of each, and once that the study has stalled."""
    write(tmp_path, receiver, "stalled_minutes = 0.05", trials=6, epochs=400)
    processes.run("create", "quick.toml")
    start(processes, "dashboard", "--port", "0")
    workers = start(processes, "work", "quick", *GRACE, number=2)
    until(lambda: running(opened) == 2)
    for worker in workers:
        os.killpg(worker.pid, signal.SIGKILL)
    until(lambda: (hooked(receiver, "lost"), hooked(receiver, "stalled")) == (2, 1), 60)
    (stalled,) = [each for each in receiver.got if each.get("event") == "stalled"]
    assert stalled["text"].endswith("no worker is alive, 2 running")
