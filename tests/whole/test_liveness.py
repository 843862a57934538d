"""Nobody living is called dead: real workers under steps of the clock, held locks, mixed graces, and their own ends."""

import pathlib
import shutil
import subprocess
import sys

import mine
import pytest
from conftest import ROOT, Processes
from optuna.trial import TrialState
from processes import until
from trials import state

from search.ledger import adoptions, studies, summaries
from search.storage import databases, schema

pytestmark = pytest.mark.slow

MINE = """
import ctypes, os, time
import numpy

def sleeps(trial):
    for _ in range(4):
        time.sleep(1.5)
        yield trial.params["x"]

def holds_the_lock(trial):
    yield 0.1
    ctypes.PyDLL(None).sleep(6)  # as many a C extension does
    yield trial.params["x"]

def exits(trial):
    yield 0.1
    if trial.number == 1:
        os._exit(0)

def crashes(trial):
    yield 0.1
    if trial.number == 1:
        ctypes.string_at(0)

def leaves(trial):
    yield 0.1
    if trial.number == 1:
        raise SystemExit(3)

def notes(trial):
    trial.set_user_attr("score", numpy.float32(0.5))
    trial.set_user_attr("row", numpy.arange(3))
    yield 0.1
    time.sleep(2.5)
    yield 0.2

def notes_what_cannot_be(trial):
    trial.set_user_attr("model", object())
    yield 0.1
"""


def ended(url: str) -> summaries.Summary:
    database = databases.Database(url)
    found = summaries.whole(database, studies.load(database, "own"))
    database.close()
    return found


STEPS = """
cp /proc/stat stat && mount --bind stat /proc/stat && ({command}) & work=$!
until [ "$(grep -c event=created out.log)" -ge 2 ]; do sleep 0.2; done
for step in 3600 -7200 60; do
    sleep 1.5
    now=$(awk '/^btime/{{print $2}}' /proc/stat)
    sed "s/^btime .*/btime $((now + step))/" stat > stat.new; cat stat.new > stat
done
wait $work
"""


def test_a_step_of_the_clock_makes_nobody_dead(url: str, tmp_path: pathlib.Path) -> None:
    """By an hour forth, two back, a minute forth, under two workers: no trial is adopted, none fails."""
    mine.write(tmp_path, MINE, "sleeps", trials=4, failures=0)
    command = f"cd {tmp_path}; {sys.executable} -m search run own.toml --workers 2 --grace 3 > out.log 2>&1"
    script = "touch out.log\n" + STEPS.format(command=command).replace("&& (", "&& true; (")
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(ROOT),
        "SEARCH_STORAGE": url,
        "HOME": "/tmp",
    }
    shell = ["unshare", "--mount", "--propagation", "private", "bash", "-c", script]
    if shutil.which("unshare") is None or subprocess.run([*shell[:4], "true"], check=False).returncode:
        pytest.skip("no mount namespace here")
    subprocess.run(shell, cwd=tmp_path, env=environment, check=True, timeout=120)
    log = (tmp_path / "out.log").read_text()
    assert [trial.state for trial in ended(url).trials] == [TrialState.COMPLETE] * 4, log
    assert "adopted" not in log


def test_code_that_holds_the_interpreter_keeps_its_trial(
    processes: Processes, url: str, tmp_path: pathlib.Path
) -> None:
    """Six graces without a beat, on a host where the process is known to live: the other worker waits."""
    mine.write(tmp_path, MINE, "holds_the_lock", trials=1, failures=0)
    code, log = processes.run("run", "own.toml", "--workers", "2", "--grace", "1")
    (trial,) = ended(url).trials
    assert (code, trial.state, len(trial.intermediate_values)) == (0, TrialState.COMPLETE, 2), log
    assert "adopted" not in log


def test_graces_may_differ(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """An owner that beats every 20 s beside an observer of 1 s: the owner's own grace is the one that counts."""
    mine.write(tmp_path, MINE, "sleeps", trials=1, failures=0)
    assert processes.run("create", "own.toml")[0] == 0
    slow = processes.start("work", "own", "--grace", "60")
    database = databases.Database(url)
    study = studies.load(database, "own")
    until(lambda: database.read(lambda c: adoptions.running(c, study.study_id)))
    code, log = processes.run("work", "own", "--grace", "1")
    assert (code, slow.wait(60)) == (0, 0), log
    assert "adopted" not in log
    assert state(database, study, 0).state == TrialState.COMPLETE
    database.close()


OPTIMIZE = """
import sys, time
import optuna

def objective(trial):
    x = trial.suggest_float("x", 0.0, 1.0)
    time.sleep(4)
    return x

optuna.load_study(study_name="own", storage=sys.argv[1]).optimize(objective, n_trials=2)
"""


def test_optuna_s_own_optimize_works_beside_ours(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """Its trials last four graces and never beat: none is taken from it, and together they keep the budget."""
    mine.write(tmp_path, MINE, "sleeps", trials=4, failures=0)
    assert processes.run("create", "own.toml")[0] == 0
    plain = subprocess.Popen([sys.executable, "-c", OPTIMIZE, url], stderr=subprocess.PIPE, text=True)
    database = databases.Database(url)
    study = studies.load(database, "own")
    until(lambda: database.read(lambda c: adoptions.running(c, study.study_id)))
    code, log = processes.run("work", "own", "--grace", "1")
    _, said = plain.communicate(timeout=60)
    summary = summaries.whole(database, study)
    assert (code, plain.returncode, summary.done) == (0, 0, 4), log + said
    assert [trial.state for trial in summary.trials] == [TrialState.COMPLETE] * 4
    assert "adopted" not in log
    theirs = schema.added.select().where(schema.added.c.study_id == study.study_id, schema.added.c.ran)
    assert len(database.read(lambda c: c.execute(theirs).all())) == 2
    database.close()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("exits", "its process was ended with exit code 0 inside the objective"),
        ("crashes", "its process was ended by SIGSEGV inside the objective"),
        ("leaves", "SystemExit: 3"),
    ],
)
def test_what_an_objective_does_to_its_process_is_its_trial_s(
    processes: Processes, url: str, tmp_path: pathlib.Path, function: str, reason: str
) -> None:
    """It fails that trial alone: the worker lives, its next trials are complete, and `run` ends well."""
    mine.write(tmp_path, MINE, function, trials=3)
    code, log = processes.run("run", "own.toml", "--workers", "1")
    assert "Traceback" not in log
    assert (code, "worker-killed" in log) == (0, False), log
    summary = ended(url)
    assert [trial.state for trial in summary.trials] == [TrialState.COMPLETE, TrialState.FAIL] + [
        TrialState.COMPLETE
    ] * 2
    assert summary.trials[1].user_attrs["search:reason"] == reason


def test_attributes_of_any_kind_do_no_harm(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """NumPy's numbers are stored; what is not JSON fails its trial where it is set, and the worker goes on."""
    mine.write(tmp_path, MINE, "notes", trials=2, failures=0)
    code, log = processes.run("run", "own.toml", "--workers", "1", "--grace", "1")
    assert (code, "Traceback" in log) == (0, False), log
    for trial in ended(url).trials:
        assert (trial.user_attrs["score"], trial.user_attrs["row"]) == (0.5, [0, 1, 2])


def test_an_attribute_that_is_not_json_is_named(processes: Processes, url: str, tmp_path: pathlib.Path) -> None:
    """The same error three times at the start stops the study early, with that error and what to type."""
    mine.write(tmp_path, MINE, "notes_what_cannot_be", trials=50, failures=10)
    code, log = processes.run("run", "own.toml", "--workers", "1")
    said = "set_user_attr('model'): a value must survive JSON, got one of type object"
    assert code == 1
    assert said in log
    assert len(ended(url).trials) == 3
    code, shown = processes.run("status", "own")
    assert code == 0
    assert "stopped by itself: its last 3 trials failed with the same error" in shown
    assert "`search retry own`" in shown
