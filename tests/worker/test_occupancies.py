"""What workers that share a GPU are billed: together the seconds of the device, whoever they are."""

import os
import pathlib
import time

import gpus
import mine
import pytest
from conftest import Processes

import search
from search.worker import occupancies, threads

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
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancies, "LOOK_SECONDS", 0.0)


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
        found.begin()
        assert found.share() == 1.0
        found.end()
    assert caplog.text.count("event=unshared") == 2


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
