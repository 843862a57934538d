"""Exit codes of real processes: what a script, a queue and a supervisor learn from them; see docs/exit-codes.md."""

import pathlib
import signal

import pytest
from conftest import ROOT, Processes
from processes import until

import search
from search import errors
from search.ledger import orders, studies, summaries
from search.storage import databases

pytestmark = pytest.mark.slow

OWN = """objective = "theirs:{function}"
[study]
name = "{name}"
direction = "minimize"
[space]
x = {x}
[sampler]
name = "{sampler}"
[budget]
trials = {trials}
"""
THEIRS = """import pathlib, time
import optuna
def good(trial): return trial.params["x"]
def fails(trial): raise RuntimeError("no")
def pruned(trial): raise optuna.TrialPruned("bad")
def flaky(trial):
    if pathlib.Path("broken").exists(): raise RuntimeError("CUDA out of memory")
    return 1.0
def slow(trial):
    for step in range(100):
        time.sleep(0.2)
        yield 1.0
"""


@pytest.fixture
def own(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with objectives."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    return tmp_path


def write(
    folder: pathlib.Path, function: str, x: str = "{ low = 0.0, high = 1.0 }", sampler: str = "random", trials: int = 2
) -> str:
    name = function
    (folder / f"{name}.toml").write_text(OWN.format(name=name, function=function, x=x, sampler=sampler, trials=trials))
    return f"{name}.toml"


def last(output: str) -> str:
    return output.strip().splitlines()[-1]


def test_success_is_said_of_success_only(processes: Processes, own: pathlib.Path) -> None:
    """Nothing succeeded, all was pruned: 1 and why, each time that it is asked; with a best trial, 0."""
    for function, said in (
        ("fails", "0 of 1 trials done (1 failed): the one configuration of the space has been tried, and not all"),
        ("pruned", "1 of 1 trials done (1 pruned): no trial is complete, so there is no best one"),
    ):
        file = write(own, function, "[1.0]", "grid", trials=1)
        for _ in range(2):
            code, output = processes.run("run", file, "--workers", "1")
            assert code == 1
            assert last(output).startswith(f"search: study '{function}': {said}")
            assert output.count(said) == 1
        code, output = processes.run("work", function)
        assert (code, said in last(output)) == (1, True)
    assert processes.run("run", write(own, "good"), "--workers", "1")[0] == 0
    assert processes.run("run", write(own, "good", trials=99), "--workers", "1")[0] == 0  # noted: it keeps its budget
    assert processes.run("work", "good")[0] == 0


def test_what_is_put_back_mends_the_exit_code(processes: Processes, own: pathlib.Path) -> None:
    """A study that failed for a passing reason: 1, then `search retry`, then 0."""
    (own / "broken").touch()
    file = write(own, "flaky", "[1, 2]", "grid")
    code, output = processes.run("run", file, "--workers", "1")
    assert (code, "`search retry flaky` puts failed trials back" in last(output)) == (1, True)
    (own / "broken").unlink()
    assert processes.run("retry", "flaky")[0] == 0
    code, output = processes.run("run", file, "--workers", "1")
    assert code == 0
    assert "2 of 2 trials done (2 complete, 2 put back)" in output
    assert "2 failed and put back, RuntimeError" in processes.run("status", "flaky")[1]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=["TERM", "HUP", "INT"]
)
def test_a_signal_is_told_as_a_shell_does(
    processes: Processes, own: pathlib.Path, number: signal.Signals, code: int
) -> None:
    """128 and its number; the trial was handed over, and waits."""
    run = processes.start("run", write(own, "slow"), "--workers", "1")
    until(lambda: trials(processes.url))
    run.send_signal(number)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == code, output
    assert ("search: study 'slow': ended by SIG" in output) == (number is not signal.SIGINT)
    assert trials(processes.url) == 0


def trials(url: str) -> int:
    """How many run."""
    database = databases.Database(url)
    study = studies.find(database, "slow")
    if study is None:
        return 0
    return sum(
        trial.state.name == "RUNNING" and bool(trial.intermediate_values)
        for trial in summaries.whole(database, study).trials
    )


def test_a_stop_ends_a_run_with_1_and_a_worker_with_0(processes: Processes, own: pathlib.Path) -> None:
    """A script must not go on with half a study; a supervisor must not start again what somebody has stopped."""
    file = write(own, "slow")
    assert processes.run("create", file)[0] == 0
    for words, expected in ((["run", file, "--workers", "1"], 1), (["work", "slow"], 0)):
        process = processes.start(*words)
        until(lambda: trials(processes.url))
        assert processes.run("stop", "slow", "--now")[0] == 0
        output, _ = process.communicate(timeout=60)
        assert process.returncode == expected, output
        assert ("it was stopped; `search run slow` goes on" in output) == (expected == 1)
        assert processes.run("resume", "slow")[0] == 0
    worker = processes.start("work", "slow")
    until(lambda: trials(processes.url))
    worker.terminate()
    assert worker.wait(60) == 0


def test_python_is_told_the_same(
    opened: databases.Database, own: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`search.run` and `search.work` raise `WorkFailed` with the line and the code."""
    monkeypatch.chdir(own)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    file = write(own, "pruned", trials=1)
    with pytest.raises(errors.WorkFailed, match="study 'pruned': 1 of 1 trials done .1 pruned.: no trial") as failure:
        search.run(file, storage=opened, workers=1)
    assert failure.value.exit_code == 1
    with pytest.raises(errors.WorkFailed, match="study 'pruned': 1 of 1 trials done .1 pruned.: no trial"):
        search.work("pruned", storage=opened)
    study = studies.load(opened, "pruned")
    orders.extend(opened, study, add=1)
    orders.set_state(opened, study, orders.StudyState.STOPPED)
    assert search.work("pruned", storage=opened) is not None


def test_the_help_says_them(processes: Processes) -> None:
    """The first page, `run` and `work`."""
    for words in ([], ["run"], ["work"]):
        code, output = processes.run(*words, "--help")
        assert (code, "Exit code" in output) == (0, True)
