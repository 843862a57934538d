"""A program of the user's own is run as it is: its values, failures, what it leaves behind, its checkpoints."""

import contextlib
import json
import os
import pathlib
import sys
import threading
import time
from typing import Any

import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState
from processes import until

from search.ledger import logs, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import functions
from search.worker import loops
from search.worker.settings import Settings

PROGRAM = """
import json, os, pathlib, signal, subprocess, sys, time
how, x, folder = sys.argv[1], float(sys.argv[2]), pathlib.Path(sys.argv[3])
kept = pathlib.Path(os.environ["SEARCH_CHECKPOINT_DIR"], "state.json")

def say(step, value):
    print(f"step {step} acc={value}", flush=True)

def train(first, last=6, seconds=0.0):
    for epoch in range(first, last + 1):
        kept.with_suffix(".tmp").write_text(json.dumps(epoch))
        kept.with_suffix(".tmp").rename(kept)
        say(epoch, x * epoch)
        time.sleep(seconds)

if how == "well":
    assert json.load(open(os.environ["SEARCH_PARAMS_FILE"])) == {"x": x}
    assert float(os.environ["SEARCH_PARAM_X"]) == x and os.getcwd() == os.environ["HERE"]
    train(1)
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "model.bin").write_bytes(b"weights")
elif how == "fails":
    say(1, x)
    print("no such layer: 7", file=sys.stderr, flush=True)
    sys.exit(3)
elif how == "says nothing":
    print("hello")
elif how == "is killed":
    say(1, x)
    os.kill(os.getpid(), signal.SIGSEGV)
elif how == "diverges":
    say(1, x)
    say(2, "nan")
    time.sleep(60)
elif how == "hangs":
    say(1, x)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path("children").write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
elif how == "goes on":
    done = json.loads(kept.read_text()) if kept.exists() else 0
    print("from", done, flush=True)
    pathlib.Path("begun").touch()
    train(done + 1, seconds=0.0 if done else 0.6)
elif how == "writes lines":
    with (folder / "metrics.jsonl").open("w") as stream:
        for epoch in range(1, 4):
            stream.write(json.dumps({"loss": x / epoch, "epoch": 10 * epoch}) + "\\n")
        stream.write('{"loss": 0.125')
"""
TEXT = """
command = [{python}, "program.py", "{how}", "{{x}}", "{{trial_dir}}"]
metric = {{ {metric} }}
[study]
name = "own"
[space]
x = [0.5]
[trial]
{limits}
[pruning]
{pruning}
[budget]
trials = 1
max_failures = 0
"""
STDOUT = """from = "stdout", pattern = 'step (?P<step>\\d+) acc=(?P<value>\\S+)'"""
FILE = 'from = "file", path = "{{trial_dir}}/metrics.jsonl", value = "loss", step = "epoch"'.replace("{{", "{").replace(
    "}}", "}"
)


@pytest.fixture(autouse=True)
def _folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HERE", str(tmp_path.resolve()))
    pathlib.Path("program.py").write_text(PROGRAM)


def create(database: databases.Database, how: str, metric: str = STDOUT, limits: str = "", pruning: str = "") -> Any:
    python = json.dumps(sys.executable)
    written = TEXT.format(python=python, how=how, metric=metric, limits=limits, pruning=pruning)
    return studies.create(database, specs.parse(written, "own.toml"))


def work(
    database: databases.Database, study: studies.Study, stop: threading.Event | None = None, seconds: float = 20.0
) -> tuple[FrozenTrial, logs.Excerpt | None]:
    """What came of its one trial, and what that printed."""
    objective = functions.FunctionObjective(study.spec, pathlib.Path("trials"), seconds)
    with contextlib.closing(objective), contextlib.suppress(Exception):
        settings = Settings(save_seconds=seconds, store=str(pathlib.Path("store").absolute()))
        loops.Worker(database, study, objective, stop or threading.Event(), settings).run()
    trial = summaries.whole(database, study).trials[0]
    return trial, database.read(lambda c: logs.find(c, trial._trial_id))


def test_a_program_that_ends_well(opened: databases.Database) -> None:
    """Its steps and last value; it found its configuration in arguments, environment and file; its files are kept."""
    study = create(opened, "well")
    trial, said = work(opened, study)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 3.0)
    assert trial.intermediate_values == {epoch: 0.5 * epoch for epoch in range(1, 7)}
    assert said is not None
    assert said.tail.splitlines()[-1] == "step 6 acc=3.0"
    place = pathlib.Path("trials", "own", "0")
    assert sorted(each.name for each in place.iterdir()) == ["artifacts", "log.txt"]
    assert any(key.startswith("artifacts:") for key in trial.system_attrs)


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ("fails", TrialState.FAIL, "Failed: the program ended with exit code 3: no such layer: 7"),
        ("says nothing", TrialState.FAIL, "Failed: the program ended without a value: see metric in the study file"),
        ("is killed", TrialState.FAIL, "Failed: the program ended by SIGSEGV: step 1 acc=0.5"),
        ("diverges", TrialState.PRUNED, "the value of step 2 is nan"),
    ],
)
def test_a_program_that_ends_otherwise(opened: databases.Database, how: str, state: TrialState, reason: str) -> None:
    """By an exit code, a signal, without a value or with nan: the trial says so, and what was printed last."""
    trial, said = work(opened, create(opened, how))
    assert trial.state == state
    assert trial.user_attrs["search:reason"].removeprefix("Failed: ").startswith(reason.removeprefix("Failed: "))
    assert said is not None
    if how == "fails":
        assert trial.user_attrs["search:traceback"].splitlines()[-1] == "no such layer: 7"


def test_a_program_that_is_not_there(opened: databases.Database) -> None:
    """What cannot be started fails the trial with the system's word for it."""
    study = studies.create(
        opened,
        specs.parse(TEXT.replace("{python}", '"./nothing"').format(how="", metric=STDOUT, limits="", pruning=""), "x"),
    )
    trial, _ = work(opened, study)
    assert "./nothing could not be started: No such file or directory" in trial.user_attrs["search:reason"]


@pytest.mark.parametrize("limit", ["silent_seconds", "max_seconds"])
def test_a_program_that_hangs_is_ended_with_all_that_it_started(opened: databases.Database, limit: str) -> None:
    """Beyond a limit of the study file, though it ignores SIGTERM; the reason names the limit."""
    began = time.monotonic()
    trial, _ = work(opened, create(opened, "hangs", limits=f"{limit} = 2"))
    assert trial.state == TrialState.FAIL
    assert f"trial.{limit} = 2" in trial.user_attrs["search:reason"]
    assert time.monotonic() - began < 60
    started = int(pathlib.Path("children").read_text())
    until(lambda: not [each for each in psutil.process_iter() if _group(each.pid) == _group(started) != 0], 10)
    assert not psutil.pid_exists(started)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def test_values_from_a_file(opened: databases.Database) -> None:
    """Each whole line of a JSON-lines file, with its own step; half a line at the end is none."""
    trial, _ = work(opened, create(opened, "writes lines", FILE))
    assert (trial.state, trial.value) == (TrialState.COMPLETE, pytest.approx(0.5 / 3))
    assert trial.intermediate_values == pytest.approx({10: 0.5, 20: 0.25, 30: 0.5 / 3})


def test_a_program_goes_on_from_its_folder(opened: databases.Database) -> None:
    """Handed over in the middle: the next worker puts the folder back, and steps go on where they were."""
    study, stop = create(opened, "goes on"), threading.Event()
    worker = threading.Thread(target=work, args=(opened, study, stop, 0.0))
    worker.start()
    until(lambda: [t for t in summaries.whole(opened, study).trials if len(t.intermediate_values) >= 3], 60)
    stop.set()
    worker.join()
    (waiting,) = summaries.whole(opened, study).trials
    assert waiting.state == TrialState.WAITING
    trial, said = work(opened, study)
    assert trial.intermediate_values == {epoch: 0.5 * epoch for epoch in range(1, 7)}
    assert said is not None
    assert int(said.tail.split()[1]) >= 2, "it began from its start"
    assert not pathlib.Path("trials", "own", "0", "checkpoint").exists()
