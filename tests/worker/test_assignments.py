"""Which GPUs workers get, what their objectives see of them, and what becomes of one that is gone."""

import os
import pathlib
import sys
import threading
from typing import Any

import gpus
import mine
import pytest
from conftest import quick_text
from optuna.trial import TrialState

import search
from search import cli, errors
from search.study import specs
from search.training.objectives import Result, Trial
from search.worker import assignments, devices, leases, processes
from search.worker.settings import Settings

SHOWS = """
import os, sqlite3

def objective(trial):
    with sqlite3.connect("search.db") as connection:
        trial.set_user_attr("device", connection.execute("SELECT device FROM search_workers").fetchone()[0])
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        trial.set_user_attr(name, os.environ.get(name))
    return 0.5
"""
RAISES = """
import os, pathlib

def objective(trial):
    trial.set_user_attr("pid", os.getpid())
    if not pathlib.Path("raised").exists():
        pathlib.Path("raised").touch()
        {first}
        raise RuntimeError("CUDA error: {error}")
    return 0.5
"""
PROGRAM = """
import os, pathlib, sys

print("value=0.5", os.environ["CUDA_VISIBLE_DEVICES"])
if not pathlib.Path("raised").exists():
    pathlib.Path("raised").touch()
    print("E0 cuda_dnn.cc: a word in passing", file=sys.stderr)
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
"""
STUDY = """
command = [{python!r}, "train.py"]
metric = {{ from = "stdout", pattern = "value=(\\\\S+)" }}
[study]
name = "own"
[space]
x = [1, 2]
[sampler]
name = "random"
[budget]
trials = 1
"""
LOST = "uncorrectable ECC error encountered"


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, own_folder: None) -> gpus.Machine:
    found = gpus.Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SEARCH_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return found


def worked(code: str, trials: int = 1, more: str = "", **settings: Any) -> list[Any]:
    """The trials of a study whose one worker is this process."""
    mine.write(pathlib.Path(), code, trials=trials)
    with pathlib.Path("own.toml").open("a") as file:
        file.write(more)
    search.create("own.toml", storage="sqlite:///search.db")
    search.work("own", storage="sqlite:///search.db", **settings)
    return ended()


def ended() -> list[Any]:
    return search.load("own", storage="sqlite:///search.db").trials


@pytest.mark.parametrize(
    ("given", "more", "numbers", "label"),
    [
        ({"gpus": "all"}, "", [1], "gpu 1"),
        ({"gpus": "0,2"}, "", [2], "gpu 2"),
        ({"gpus": "all"}, "[trial]\ngpus = 2\n", [1, 2], "gpu 1,2"),
    ],
)
def test_own_code_sees_the_gpus_of_its_worker(
    machine: gpus.Machine, given: dict[str, Any], more: str, numbers: list[int], label: str
) -> None:
    """The least busy of those that are named, by UUID; the roster has them; afterwards they are free."""
    machine.has(3, memory=(900, 10, 20))
    (trial,) = worked(SHOWS, more=more, **given)
    assert trial.user_attrs["CUDA_VISIBLE_DEVICES"] == ",".join(map(gpus.uuid, numbers))
    assert trial.user_attrs["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert trial.user_attrs["device"] == label
    assert devices.VISIBLE not in os.environ
    assert leases.Places(pathlib.Path("locks"), 1).room(devices.named("all"), 1) == 3


def test_no_gpu_is_no_gpu(machine: gpus.Machine) -> None:
    """`none` hides them all; nvidia-smi is not asked."""
    machine.has(3)
    (trial,) = worked(SHOWS, gpus="none")
    assert (trial.user_attrs["CUDA_VISIBLE_DEVICES"], trial.user_attrs["device"]) == ("", "cpu")
    assert machine.asked == 0


def test_without_a_word_all_is_as_before(machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked, nothing hidden."""
    monkeypatch.setenv(devices.VISIBLE, "7")
    (trial,) = worked(SHOWS)
    assert (trial.user_attrs["CUDA_VISIBLE_DEVICES"], trial.user_attrs["device"]) == ("7", "cpu")
    assert machine.asked == 0


def test_a_worker_whose_gpu_is_gone_takes_itself_out(machine: gpus.Machine) -> None:
    """Its trial waits, for nothing that the objective did, and another worker's GPU finishes it."""
    machine.has(2)
    loses = "for name in ('rows', 'code'): pathlib.Path('gpus', name).write_text(pathlib.Path(name).read_text())"
    pathlib.Path("rows").write_text(f"1, {gpus.uuid(1)}, [N/A], 5, 0\n")
    pathlib.Path("code").write_text("15\n")
    with pytest.raises(errors.TookItselfOut, match=rf"^gpu 0 is gone \(nvidia-smi does not list {gpus.uuid(0)}\)"):
        worked(RAISES.format(first=loses, error=LOST), gpus="all")
    assert [trial.state for trial in ended()] == [TrialState.WAITING]
    search.work("own", storage="sqlite:///search.db", gpus="all")
    (trial,) = ended()
    assert trial.state == TrialState.COMPLETE


def test_a_gpu_that_failed_and_is_there_has_another_try(machine: gpus.Machine) -> None:
    """The same trial again, in a new process: CUDA is spoiled in the old one."""
    machine.has(1)
    (trial,) = worked(RAISES.format(first="pathlib.Path('first').write_text(str(os.getpid()))", error=LOST), gpus="all")
    assert trial.state == TrialState.COMPLETE
    assert trial.user_attrs["pid"] != int(pathlib.Path("first").read_text())


def test_a_program_has_another_try_too(machine: gpus.Machine, caplog: pytest.LogCaptureFixture) -> None:
    """What it says at its end tells whose doing its failure was; it sees the GPU of its worker."""
    machine.has(2)
    pathlib.Path("train.py").write_text(PROGRAM)
    pathlib.Path("own.toml").write_text(STUDY.format(python=sys.executable))
    search.create("own.toml", storage="sqlite:///search.db")
    with caplog.at_level("INFO", "search"):
        search.work("own", storage="sqlite:///search.db", gpus="1")
    (trial,) = ended()
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)
    assert caplog.text.count("event=fault") == 1
    (log,) = pathlib.Path("search.trials").rglob("log.txt")
    assert log.read_text().count(gpus.uuid(1)) >= 1


def test_what_the_objective_did_on_a_gpu_is_its_own(machine: gpus.Machine) -> None:
    """A device-side assert fails its trial; the next one has a process in which CUDA works."""
    machine.has(1)
    failed, next_one, _ = worked(RAISES.format(first="", error="device-side assert triggered"), trials=2, gpus="all")
    assert (failed.state, next_one.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert failed.user_attrs["pid"] != next_one.user_attrs["pid"]


def spec(gpus_each: int = 1) -> specs.StudySpec:
    return specs.parse(mine.text() + f"[trial]\ngpus = {gpus_each}\n", "own.toml")


@pytest.mark.parametrize(
    ("each", "given", "workers"),
    [
        (1, {}, 4),
        (1, {"workers": 2}, 2),
        (1, {"per_gpu": 3}, 12),
        (1, {"per_gpu": 3, "workers": 5}, 5),
        (2, {}, 2),
        (3, {}, 1),
        (3, {"per_gpu": 2}, 2),
        (1, {"gpus": "1,3"}, 2),
    ],
)
def test_as_many_workers_as_there_is_room_for(
    machine: gpus.Machine, each: int, given: dict[str, Any], workers: int
) -> None:
    """One on each GPU, or K, or one on N of them; fewer where fewer are asked for."""
    machine.has(4)
    assert assignments.staffed(spec(each), Settings(**{"gpus": "all", **given})).count == workers


def test_gpus_of_other_workers_are_theirs(machine: gpus.Machine) -> None:
    """Only what is free is counted; where nothing is, that is said."""
    machine.has(2)
    places, settings = leases.Places(pathlib.Path("locks"), 1), Settings.from_environment(gpus="all")
    kept = [places.take(devices.named("all"), 1)]
    assert assignments.staffed(spec(), settings).count == 1
    kept.append(places.take(devices.named("all"), 1))
    assert all(kept)
    with pytest.raises(errors.InputError, match=r"^--gpus must name GPUs with a free place, got 'all': gpu 0,1 with"):
        assignments.staffed(spec(), settings)


def test_a_worker_waits_for_the_last_one_to_go(machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that becomes free is taken; where none does, that is said in the end; a signal ends the wait."""
    machine.has(1)
    lease = leases.Places(pathlib.Path("locks"), 1).take(devices.named("all"), 1)
    assert lease is not None
    settings, stop = Settings.from_environment(gpus="all"), threading.Event()
    threading.Timer(0.3, lease.close).start()
    with assignments.equipped(spec(), settings, stop) as found:
        assert found is not None
        assert found.label == "gpu 0"
        monkeypatch.setattr(assignments, "WAIT_SECONDS", 0.1)
        with pytest.raises(errors.InputError, match="free place"), assignments.equipped(spec(), settings, stop):
            pass
        monkeypatch.setattr(assignments, "WAIT_SECONDS", 20.0)
        stop.set()
        with pytest.raises(errors.Interrupted), assignments.equipped(spec(), settings, stop):
            pass


@pytest.mark.parametrize(
    ("each", "given", "rule"),
    [
        (
            1,
            {"gpus": "all", "workers": 3},
            "--workers must be at most 2, what is free of gpu 0,1 with --per-gpu 1, got 3",
        ),
        (3, {"gpus": "all"}, "study 'own': trial.gpus must be at most as many as --gpus means, 2, got 3"),
        (1, {"per_gpu": 2}, "--per-gpu must have --gpus beside it, got 2 alone"),
        (1, {"gpus": "all", "device": "cuda:1"}, "--device must be cpu or cuda beside --gpus, which chooses one, got"),
        (1, {"gpus": "none", "device": "cuda"}, "--device must be cpu beside --gpus none, got 'cuda'"),
        (1, {"gpus": "all", "slots": 2}, "--slots must be 1 beside --gpus, got 2: --per-gpu gives each GPU several"),
        (1, {"gpus": "5"}, "--gpus must name GPUs that are there (0, 1), got '5'"),
    ],
)
def test_what_does_not_go_together(machine: gpus.Machine, each: int, given: dict[str, Any], rule: str) -> None:
    """One line, before anything starts."""
    machine.has(2)
    with pytest.raises(errors.InputError) as refused:
        assignments.staffed(spec(each), Settings(**given))
    assert rule in str(refused.value)


def test_a_worker_of_any_study_has_one(machine: gpus.Machine) -> None:
    """A study whose trials take several is refused by it, in one line."""
    machine.has(2)
    with assignments.equipped(None, Settings.from_environment(gpus="all"), threading.Event()) as found:
        assert found is not None
        assert found.label == "gpu 0"
        with pytest.raises(errors.InputError, match="trial.gpus must be at most 1 for a worker of any study, got 2"):
            found.watch(spec(2), lambda trial: pytest.fail("not called"))


def test_a_network_s_worker_ends_where_cuda_is_spoiled(machine: gpus.Machine) -> None:
    """It has CUDA in its own process; whoever watches over it starts it again."""
    machine.has(1)
    training, stop = specs.parse(quick_text(), "quick.toml"), threading.Event()

    def fails(trial: Trial) -> Result:
        raise RuntimeError("CUDA error: unspecified launch failure")

    with assignments.equipped(training, Settings.from_environment(gpus="all"), stop) as found:
        assert found is not None
        with pytest.raises(RuntimeError, match="launch failure"):
            found.watch(training, fails)(None)  # type: ignore[arg-type]
        assert stop.is_set()
        assert isinstance(found.ending, errors.WorkFailed)
        assert found.ending.exit_code not in processes.FINAL_CODES


def test_instances_are_no_team(machine: gpus.Machine) -> None:
    """CUDA shows a process one instance of a GPU that is cut (MIG)."""
    machine.says(
        [f"0, {gpus.uuid(0)}, Enabled, 1, 1"],
        [f"GPU 0: A100 (UUID: {gpus.uuid(0)})", *(f"  MIG 1g.5gb Device  {n}: (UUID: MIG-{n})" for n in (0, 1))],
    )
    assert assignments.staffed(spec(), Settings(gpus="all")).count == 2
    with pytest.raises(errors.InputError, match="trial.gpus must be 1 where GPUs are cut into instances"):
        assignments.staffed(spec(2), Settings(gpus="all"))


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--gpus", "all", "--workers", "3"), "search: --workers must be at most 2, what is free of gpu 0,1 with"),
        (("--gpus", "cuda"), "search: --gpus must be all, none, or numbers and UUIDs as `nvidia-smi -L` has them"),
        (("--gpus", "7"), "search: --gpus must name GPUs that are there (0, 1), got '7'"),
        (("--per-gpu", "2"), "search: --per-gpu must have --gpus beside it, got 2 alone"),
    ],
)
def test_a_run_that_cannot_have_them(
    machine: gpus.Machine, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], rule: str
) -> None:
    """One line, exit code 2, before anything is made."""
    machine.has(2)
    mine.write(pathlib.Path(), SHOWS)
    assert cli.main(["run", "own.toml", "--storage", "sqlite:///search.db", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(rule)
    assert not pathlib.Path("search.db").exists()
