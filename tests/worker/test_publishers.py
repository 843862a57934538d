"""A study published while workers are at it: whole at the end, and whatever the place does costs no trial."""

import json
import os
import pathlib
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator

import psutil
import pytest
from conftest import Processes, quick_text

from search import api
from search.ledger import studies
from search.storage import databases
from search.worker import publishers

SECRET = {"MLFLOW_TRACKING_TOKEN": "a-secret"}


def text(to: str, name: str = "quick", trials: int = 6, slow: bool = False, epochs: int = 3) -> str:
    more = f'[publish]\nto = "{to}"\nseconds = 1\n'
    return quick_text(name=name, trials=trials, epochs=epochs, hopeless="false", more=more, slow=slow)


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """Which database it is makes no difference here."""
    return f"sqlite:///{tmp_path}/search.db"


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


def publishing(folder: pathlib.Path) -> list[psutil.Process]:
    """The processes that publish for workers in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if "--attached" in process.cmdline() and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def wait_until(holds: object, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_without_publish_nothing_is_started(opened: databases.Database) -> None:
    """No thread, no process."""
    from search.study import specs

    study = studies.create(opened, specs.parse(quick_text(), "quick.toml"))
    with publishers.Publisher(study, opened.url) as publisher:
        assert not publisher.is_alive


@pytest.mark.slow
def test_workers_publish_all_that_they_find(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Of `run`, and of workers that come by themselves: what is published by hand then finds nothing to do."""
    (tmp_path / "quick.toml").write_text(text(f"tensorboard:{tmp_path}/board"))
    code, output = processes.run("run", "quick.toml", "--workers", "2", "--log-format", "json")
    assert code == 0, output
    told = [json.loads(line) for line in output.splitlines() if "event=published" in line]
    assert sum(each["new"] for each in told) == 6
    (done,) = api.publish("quick", storage=processes.url)
    assert (done.new, done.updated, done.unchanged) == (0, 0, 6)
    (tmp_path / "other.toml").write_text(text(f"tensorboard:{tmp_path}/board", "other"))
    assert processes.run("create", "other.toml")[0] == 0
    workers = [processes.start("work", "other") for _ in range(2)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    (done,) = api.publish("other", storage=processes.url)
    assert (done.new, done.updated, done.unchanged) == (0, 0, 6)
    assert publishing(tmp_path) == []


@pytest.mark.slow
def test_a_server_that_never_answers_holds_no_trial_up(
    processes: Processes, tmp_path: pathlib.Path, silent: int
) -> None:
    """The trials take their time, the end a bounded one, and it is said what is left to do."""
    (tmp_path / "quick.toml").write_text(text(f"mlflow:http://127.0.0.1:{silent}"))
    began = time.monotonic()
    code, output = processes.run("run", "quick.toml", "--workers", "1", **SECRET)
    assert code == 0, output
    assert time.monotonic() - began < 60
    connection = sqlite3.connect(tmp_path / "search.db")
    days = "julianday(max(datetime_complete)) - julianday(min(datetime_start))"
    ((took,),) = connection.execute(f"SELECT 86400 * ({days}) FROM trials")
    connection.close()
    assert took < 15
    assert "note='search publish quick sends the rest'" in output or "event=publish-waits" in output
    assert "a-secret" not in output
    assert publishing(tmp_path) == []


@pytest.mark.slow
def test_a_killed_worker_leaves_no_process(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Its publisher ends by itself, and there was one, whatever the number of workers."""
    (tmp_path / "quick.toml").write_text(text(f"tensorboard:{tmp_path}/board", trials=500, epochs=300, slow=True))
    assert processes.run("create", "quick.toml")[0] == 0
    workers = [processes.start("work", "quick") for _ in range(2)]
    wait_until(lambda: publishing(tmp_path))
    wait_until(lambda: list((tmp_path / "board").glob("quick/trial-*/events*")))
    assert len(publishing(tmp_path)) == 1
    for worker in workers:
        os.killpg(worker.pid, signal.SIGKILL)
    wait_until(lambda: not publishing(tmp_path))


@pytest.mark.slow
def test_a_library_that_is_missing_is_said_once(processes: Processes, tmp_path: pathlib.Path) -> None:
    """And the study is trained all the same."""
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "wandb.py").write_text("raise ImportError('none here')\n")
    (tmp_path / "quick.toml").write_text(text(f"wandb:{tmp_path}/runs"))
    python_path = f"{tmp_path}/without{os.pathsep}{pathlib.Path(__file__).parents[2]}"
    code, output = processes.run("run", "quick.toml", "--workers", "1", PYTHONPATH=python_path)
    assert code == 0, output
    assert output.count("pip install 'optuna-search-service[wandb]'") == 1, output
