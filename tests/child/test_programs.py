"""A program of the user's own is run as it is: its values, failures, what it leaves behind, its checkpoints."""

import contextlib
import json
import os
import pathlib
import signal
import sys
import tarfile
import threading
import time
from typing import Any

import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState
from processes import until

from search.child import messages, programs
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


AHEAD = """
import json, os, pathlib, signal, subprocess, sys, time
how, log = sys.argv[1], sys.argv[2]
kept = pathlib.Path(os.environ["SEARCH_CHECKPOINT_DIR"], "state")

def say(step):
    kept.with_suffix(".tmp").write_text(str(step))
    kept.with_suffix(".tmp").rename(kept)
    if log:
        with open(log, "a") as stream:
            stream.write(json.dumps({"loss": 0.5, "epoch": step}) + "\\n")
    print(f"step {step} acc=0.5", flush=True)

def part(*_):
    say(7)
    say(8)
    sys.exit(0)

signal.signal(signal.SIGTERM, part)
say(1)
if how == "runs ahead":
    for step in range(2, 9):
        time.sleep(0.05)
        say(step)
    time.sleep(2)
    say(9)
elif how == "parts":
    time.sleep(60)
elif how == "is signalled":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
elif how == "leaves noise":
    pathlib.Path("noise").write_text(str(subprocess.Popen(["yes"]).pid))
"""


class Owner:
    """The worker's side of a program that is run in a thread; answers until the trial has ended."""

    def __init__(self, folder: pathlib.Path, how: str, log: str = "") -> None:
        pathlib.Path("ahead.py").write_text(AHEAD)
        (folder / "7").mkdir(exist_ok=True)
        ours, theirs = os.pipe(), os.pipe()
        self.channel = messages.Channel(theirs[0], ours[1])
        named = {"from": "file", "path": log, "value": "loss", "step": "epoch"}
        order = {
            "arguments": [sys.executable, "ahead.py", how, log],
            "environment": {"SEARCH_CHECKPOINT_DIR": str(folder / "7" / "checkpoint")},
            "folder": str(folder / "7"),
            "metric": named if log else {"from": "stdout", "pattern": r"step (?P<step>\d+) acc=(?P<value>\S+)"},
            "rungs": [],
            "save_seconds": 0.0,
            "saved": None,
        }
        program = programs.Trial(messages.Channel(ours[0], theirs[1]), order, str(folder))
        self.said: list[dict[str, Any]] = []
        self.kept: list[tuple[int, str]] = []  # step, and what the program had written
        self._thread = threading.Thread(target=lambda: self._ended.append(program.run()), daemon=True)
        self._ended: list[dict[str, Any]] = []
        self._thread.start()

    @property
    def steps(self) -> list[int]:
        """That were reported."""
        return [message["step"] for message in self.said if message["is"] == "report"]

    def hear(self) -> dict[str, Any]:
        """What it says next; a checkpoint is looked into."""
        message = self.channel.receive(20)
        assert message is not None
        self.said.append(message)
        if message["is"] == "checkpoint":
            with tarfile.open(message["path"]) as archive:
                stream = archive.extractfile("state")
                assert stream is not None
                self.kept.append((message["step"], stream.read().decode()))
        return message

    def end(self, reason: str | None = None, seconds: float = 20.0) -> dict[str, Any]:
        """Answers until it has ended; returns the message that it ends with."""
        deadline = time.monotonic() + seconds
        while not self._ended:
            assert time.monotonic() < deadline, "it does not end"
            if self.channel.is_spoken_to:
                asked = self.hear()["is"] == "prune?"
                self.channel.send({"do": "prune", "reason": reason} if asked else {"do": "go on"})
            time.sleep(0.002)
        self._thread.join()
        return self._ended[0]


@pytest.mark.parametrize("log", ["", "7/log.jsonl"])
def test_a_checkpoint_is_of_the_step_that_was_reported(tmp_path: pathlib.Path, log: str) -> None:
    """A program does not wait for its reports: while one takes long it is ahead, and its folder is of another step."""
    owner = Owner(tmp_path, "runs ahead", log)
    owner.hear()
    time.sleep(1.5)
    owner.channel.send({"do": "go on"})
    assert owner.end()["is"] == "complete"
    assert owner.steps == list(range(1, 10))
    assert (8, "8") in owner.kept
    assert [(step, state) for step, state in owner.kept if str(step) != state] == []


@pytest.mark.parametrize("log", ["", "7/log.jsonl"])
def test_what_it_says_in_parting_is_reported(tmp_path: pathlib.Path, log: str) -> None:
    """Before the folder that it leaves, which is of the last of these steps; whatever is answered."""
    owner = Owner(tmp_path, "parts", log)
    owner.hear()
    owner.channel.send({"do": "end"})
    assert owner.end() == {"is": "over"}
    assert owner.steps == [1, 7, 8]
    assert owner.kept == [(8, "8")]


@pytest.mark.parametrize("log", ["7/log.jsonl", "log.jsonl"])
def test_a_file_of_values_has_those_of_this_training_only(tmp_path: pathlib.Path, log: str) -> None:
    """What an earlier owner has left in the trial's folder, or the trial before elsewhere, is not read."""
    (tmp_path / "7").mkdir()
    pathlib.Path(log).write_text('{"loss": 0.25, "epoch": 3}\n')
    owner = Owner(tmp_path, "ends", log)
    assert owner.end()["value"] == 0.5
    assert owner.steps == [1]


def test_a_signal_that_all_processes_get_hands_the_trial_over(tmp_path: pathlib.Path) -> None:
    """The program is the first that it ends; the worker's word, which comes after it, counts."""
    owner = Owner(tmp_path, "is signalled")
    while owner.hear()["is"] != "prune?":
        owner.channel.send({"do": "go on"})
    owner.channel.send({"do": "prune", "reason": None})
    time.sleep(0.5)
    owner.channel.send({"do": "end"})
    assert owner.end() == {"is": "over"}


def test_what_it_leaves_behind_may_print_for_ever(tmp_path: pathlib.Path) -> None:
    """The trial is complete all the same."""
    owner = Owner(tmp_path, "leaves noise")
    try:
        assert owner.end() == {"is": "complete", "value": 0.5, "attrs": {}}
    finally:
        os.kill(int(pathlib.Path("noise").read_text()), signal.SIGKILL)


def test_a_program_that_is_pruned_may_end_by_itself(tmp_path: pathlib.Path) -> None:
    """It gets SIGTERM, and the time to answer it; what it says then is no value of the trial's."""
    owner = Owner(tmp_path, "parts")
    assert owner.end(reason="worse than others")["is"] == "pruned"
    assert (tmp_path / "7" / "checkpoint" / "state").read_text() == "8"
    assert owner.steps == [1]


def test_a_checkpoint_that_finds_no_room_is_told_of(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    """In the trial's log; the training goes on without it."""
    (tmp_path / "7" / ".search").mkdir(parents=True)
    (tmp_path / "7" / ".search" / "checkpoint-0").symlink_to("/dev/full")
    owner = Owner(tmp_path, "ends")
    assert owner.end()["is"] == "complete"
    assert owner.kept == []
    assert "the checkpoint of step 1 could not be kept: [Errno 28] No space left on device" in capfd.readouterr().out
