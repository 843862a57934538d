"""What workers that share a GPU are billed: together the seconds of the device, whoever they are."""

import os
import pathlib
import threading
import time
from collections.abc import Callable

import gpus
import mine
import pytest
from conftest import Processes
from optuna.trial import TrialState

import search
from search.ledger import studies, summaries
from search.storage import databases
from search.training import objectives
from search.worker import loops, occupancies, threads
from search.worker.settings import Settings

SLEEPS = """
import time

def objective(trial):
    began = time.time()
    time.sleep(2)
    trial.set_user_attr("span", [began, time.time()])
    return 0.5
"""


def of(folder: pathlib.Path, *uuids: str) -> occupancies.Occupancy:
    return occupancies.Occupancy(folder, lambda: uuids)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancies, "LOOK_SECONDS", 0.02)


def test_a_second_is_shared_by_those_who_train(tmp_path: pathlib.Path) -> None:
    """Idle ones and those of another GPU have no part in it; of two GPUs it is the mean."""
    both, first, second, third = (of(tmp_path, *names) for names in (("a", "b"), ("a",), ("b",), ("c",)))
    assert first.share() == 1.0
    for each in (both, first, third):
        each.begin()
        each.begin()
    assert [each.share() for each in (both, first, second, third)] == [0.75, 0.5, 1.0, 1.0]
    second.begin()
    assert both.share() == 0.5
    first.end()
    assert [each.share() for each in (both, second)] == [0.75, 0.5]
    both.end()
    assert second.share() == 1.0


def test_no_folder_is_no_reason_to_stop(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nobody can be seen a second is a second, and the log says so; the same where PyTorch knows no GPU."""
    (tmp_path / "file").touch()
    for found in (of(tmp_path / "file", "a"), occupancies.Occupancy(tmp_path, occupancies.of_torch("cuda:99"))):
        for _ in range(3):  # trainings, of which the first says it
            found.begin()
            assert found.share() == 1.0
            found.end()
    assert caplog.text.count("event=unshared") == 2


def test_a_gpu_that_cannot_be_locked_keeps_no_other(tmp_path: pathlib.Path) -> None:
    """Where the lock of the second one fails, the neighbours of the first have it to themselves."""
    (tmp_path / "training-b.0").symlink_to("/nowhere")
    both, first = of(tmp_path, "a", "b"), of(tmp_path, "a")
    first.begin()
    for _ in range(3):
        both.begin()
        assert [both.share(), first.share()] == [1.0, 1.0]
        both.end()


def test_a_fork_keeps_nothing(tmp_path: pathlib.Path) -> None:
    """What a process forked while it trained may live on: the training has ended all the same."""
    here, there = of(tmp_path, "a"), of(tmp_path, "a")
    here.begin()
    there.begin()
    assert there.share() == 0.5
    ending, living = os.pipe()
    if (fork := os.fork()) == 0:
        os.close(living)
        os.read(ending, 1)
        os._exit(0)
    try:
        here.end()
        assert there.share() == 1.0
    finally:
        os.close(living)
        os.close(ending)
        os.waitpid(fork, 0)


def test_time_is_billed_by_who_was_there(tmp_path: pathlib.Path) -> None:
    """A neighbour that comes at the end of a long silence takes nothing of it, whenever either is asked."""
    here, there = (threads.Admission(8, lambda _: 100, of(tmp_path, "a")) for _ in range(2))
    mine, other = (each.clock("cuda") for each in (here, there))
    with here.enter(1, lambda: None, device="cuda"):
        since, began = mine(), time.perf_counter()
        time.sleep(0.6)
        alone = time.perf_counter() - began
        with there.enter(1, lambda: None, device="cuda"):
            others, came = other(), time.perf_counter()
            time.sleep(0.05)
            assert alone <= mine() - since <= time.perf_counter() - began + 0.01
            since, began = mine(), time.perf_counter()
            time.sleep(0.5)
            shared = time.perf_counter() - began
            assert other() - others == pytest.approx((time.perf_counter() - came) / 2, abs=0.02)
        time.sleep(0.05)
        after = time.perf_counter() - began - shared
        assert shared / 2 <= mine() - since < shared / 2 + after + 0.1


def test_who_comes_is_seen(
    opened: databases.Database,
    make_study: Callable[..., studies.Study],
    tmp_path: pathlib.Path,
) -> None:
    """Of a training that asks nothing for long, too: a neighbour in the midst of it has its half."""
    neighbour, beside = of(tmp_path, "a"), [0.0]

    def silent(trial: objectives.Trial) -> objectives.Result:
        time.sleep(0.3)
        neighbour.begin()
        began = time.perf_counter()
        time.sleep(1.0)
        beside[0] = time.perf_counter() - began
        neighbour.end()
        time.sleep(0.3)
        return objectives.Result(TrialState.COMPLETE, 0.5, {})

    study, settings = make_study(trials=1), Settings(device="cuda", gpus="all")
    loops.Worker(opened, study, silent, threading.Event(), settings, occupied=of(tmp_path, "a")).run()
    seconds = summaries.whole(opened, study).trials[0].user_attrs["search:seconds"]
    assert seconds == pytest.approx(0.6 + beside[0] / 2, abs=0.15)


def test_two_processes_of_slots_are_billed_one_device(tmp_path: pathlib.Path) -> None:
    """Each has its part of a second, and each of its trainings a part of that; the CPU has nothing to do with it."""
    here, there = (threads.Admission(8, lambda _: 100, of(tmp_path, "a")) for _ in range(2))
    clocks, began = [each.clock("cuda") for each in (here, there)], time.perf_counter()

    def spent(*trainings: int) -> float:
        before = [clock() for clock in clocks]
        time.sleep(0.3)
        return sum(count * (clock() - since) for clock, since, count in zip(clocks, before, trainings, strict=True))

    with here.enter(1, lambda: None, device="cuda"), here.enter(1, lambda: None, device="cuda"):
        total = spent(2, 0)
        with there.enter(1, lambda: None):
            total += spent(2, 0)
        with there.enter(1, lambda: None, device="cuda"):
            total += spent(2, 1)
        total += spent(2, 0)
    assert total == pytest.approx(time.perf_counter() - began, rel=0.1)


@pytest.mark.slow
def test_two_workers_of_a_gpu_are_billed_its_seconds(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real ones, with `--per-gpu 2`: what their trials cost adds up to the time in which the GPU had any."""
    machine = gpus.Machine(tmp_path)
    machine.has(1)
    monkeypatch.setenv("PATH", f"{machine.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SEARCH_GPU_LOCKS", str(tmp_path / "locks"))
    mine.write(tmp_path, SLEEPS, trials=6)
    started = Processes(f"sqlite:///{tmp_path}/search.db", tmp_path)
    try:
        code, log = started.run("run", "own.toml", "--gpus", "all", "--per-gpu", "2")
    finally:
        started.end()
    assert code == 0, log
    trials = search.load("own", storage=started.url).trials
    spans = [trial.user_attrs["span"] for trial in trials]
    rows = [[each.timestamp() for each in (trial.datetime_start, trial.datetime_complete)] for trial in trials]
    cost = sum(trial.user_attrs["search:seconds"] for trial in trials)
    assert sum(end - begin for begin, end in spans) > 1.5 * together(spans)
    assert 0.9 * together(spans) < cost < 1.1 * together(rows) + 1


def together(spans: list[list[float]]) -> float:
    """Seconds in which there was any."""
    total, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total, until = total + max(0.0, end - max(begin, until)), max(until, end)
    return total
