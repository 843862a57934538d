"""SIGKILL at every point of a trial's way, in real processes: the next worker ends it, and nothing is told twice."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, Processes, quick_text
from optuna.trial import TrialState

from search.ledger import checks, orders, studies, summaries
from search.storage import databases

pytestmark = pytest.mark.slow

# what the worker does until it kills itself, in the words of the issue
KILLER = """
import os, signal, sys
from search import cli
from search.ledger import checkpoints, claims, configurations
from search.worker import ownership

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(module, name, calls=1):
    whole, left = getattr(module, name), [calls]
    def wrapped(*arguments, **named):
        result = whole(*arguments, **named)
        left[0] -= 1
        if left[0] == 0:
            die()
        return result
    setattr(module, name, wrapped)

def before(module, name):
    setattr(module, name, die)

POINTS = {
    "between the claim and the first beat": lambda: before(configurations, "configure"),
    "while sampling": lambda: before(configurations, "assign"),
    "after its configuration is reserved": lambda: after(configurations, "assign"),
    "in the first epoch": lambda: after(ownership.OwnedTrial, "check_stop", 2),
    "while writing a checkpoint": lambda: after(checkpoints, "save", 2),
    "between a report and the next epoch": lambda: after(ownership.OwnedTrial, "report", 2),
    "before the tell": lambda: before(claims, "tell"),
    "between the tell and its acknowledgement": lambda: after(claims, "tell"),
}
POINTS[sys.argv[1]]()
sys.exit(cli.main(sys.argv[2:]))
"""
POINTS = [line.split('"')[1] for line in KILLER.splitlines() if line.endswith(",") and "lambda" in line]


def test_a_kill_at_any_point_costs_no_trial(
    opened: databases.Database, processes: Processes, tmp_path: pathlib.Path, url: str
) -> None:
    """Each point has its kill and its own trial; one more worker ends it as an undisturbed study would be."""
    assert len(POINTS) == 8
    text = quick_text(name="killed", trials=1, epochs=4, hopeless="false")
    (tmp_path / "killed.toml").write_text(text)
    assert processes.run("create", "killed.toml")[0] == 0
    study = studies.find(opened, "killed")
    assert study is not None
    common = ["work", "killed", "--checkpoint-seconds", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": url}
    for number, point in enumerate(POINTS):
        orders.extend(opened, study, to=number + 1)
        killer = [sys.executable, "-c", KILLER, point, *common]
        died = subprocess.run(killer, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert died.returncode == -signal.SIGKILL, (point, died.stderr)
        told = point.endswith("acknowledgement")
        assert (summaries.whole(opened, study).done == number + 1) == told
        code, log = processes.run(*common)
        assert code == 0, (point, log)
        assert ("event=adopted" in log) != told, (point, log)
        assert "Traceback" not in log
        resumes = {"while writing a checkpoint": 1, "between a report and the next epoch": 2, "before the tell": 4}
        assert (f"event=resumed epoch={resumes.get(point)}" in log) == (point in resumes), (point, log)
        trials = summaries.whole(opened, study).trials
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * (number + 1)
        assert sorted(trials[number].intermediate_values) == [1, 2, 3, 4]
    elsewhere = {"SEARCH_STORAGE": f"sqlite:///{tmp_path}/undisturbed.db"}
    (tmp_path / "killed.toml").write_text(text.replace("trials = 1", f"trials = {len(POINTS)}"))
    assert processes.run("run", "killed.toml", "--workers", "1", **elsewhere)[0] == 0
    undisturbed = databases.Database(elsewhere["SEARCH_STORAGE"])
    other = studies.find(undisturbed, "killed")
    assert other is not None
    pairs = zip(summaries.whole(opened, study).trials, summaries.whole(undisturbed, other).trials, strict=True)
    for one, two in pairs:
        assert (one.number, one.params, one.value) == (two.number, two.params, two.value)
        assert one.intermediate_values == two.intermediate_values
    undisturbed.close()


PAUSING = """
import os, signal, sys
from search import cli
from search.ledger import allocations, claims, closings, pauses

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def after(module, name, holds=lambda result: True):
    whole = getattr(module, name)
    def wrapped(*arguments, **named):
        result = whole(*arguments, **named)
        if holds(result):
            die()
        return result
    setattr(module, name, wrapped)

POINTS = {
    "after the report of a rung": lambda: after(pauses, "report"),
    "after a pause": lambda: after(pauses, "settle", lambda goes_on: not goes_on),
    "after a promotion": lambda: after(allocations, "take", lambda claim: getattr(claim, "how", "") == "promoted"),
    "in the transaction that ends the study": lambda: after(closings, "tell"),
}
POINTS[sys.argv[1]]()
sys.exit(cli.main(sys.argv[2:]))
"""


def test_a_kill_around_a_pause_costs_nothing(processes: Processes, tmp_path: pathlib.Path, url: str) -> None:
    """A study of trials that pause goes on as an undisturbed one would, and ends with the same trials."""
    text = quick_text(name="pausing", trials=8, epochs=4).replace(
        "hopeless = true", 'hopeless = false\npruner = "asha"\nreduction_factor = 2'
    )
    (tmp_path / "pausing.toml").write_text(text)
    found = []
    for storage in (url, f"sqlite:///{tmp_path}/undisturbed.db"):
        assert processes.run("create", "pausing.toml", SEARCH_STORAGE=storage)[0] == 0
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEARCH_STORAGE": storage}
        points = [line.split('"')[1] for line in PAUSING.splitlines() if line.startswith('    "')]
        assert len(points) == 4
        for point in points if storage == url else ():
            killer = [sys.executable, "-c", PAUSING, point, "work", "pausing"]
            died = subprocess.run(killer, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
            assert died.returncode == -signal.SIGKILL, (point, died.stderr)
        code, log = processes.run("work", "pausing", SEARCH_STORAGE=storage)
        assert (code, "Traceback" in log) == (0, False), log
        database = databases.Database(storage)
        assert all(each.holds for each in checks.look(database, studies.load(database, "pausing")))
        found.append(summaries.whole(database, studies.load(database, "pausing")).trials)
        database.close()
    for one, two in zip(*found, strict=True):
        assert (one.state, one.params, one.value) == (two.state, two.params, two.value)
        assert one.intermediate_values == two.intermediate_values
        assert one.user_attrs.get("search:reason") == two.user_attrs.get("search:reason")


def test_two_create_at_once(processes: Processes, tmp_path: pathlib.Path) -> None:
    """One makes the study, the other is told in one line that it is there; there is one study."""
    (tmp_path / "quick.toml").write_text(quick_text())
    both = [processes.start("create", "quick.toml") for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    (refused,) = [text for text, process in zip(said, both, strict=True) if process.returncode == 2]
    assert refused == "search: study 'quick' exists already; `search run quick` resumes it\n"
    assert processes.run("list", "--json")[1].count('"name": "quick"') == 1
