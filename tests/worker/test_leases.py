"""Places on GPUs: exact among processes that start at once, free in the moment in which one is killed."""

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

import gpus
import pytest
from conftest import ROOT

from search import errors
from search.worker import leases
from search.worker.devices import Gpu

TAKE = """
import pathlib, sys
sys.path.insert(0, {root!r})
from search.worker import leases
from search.worker.devices import Gpu
sys.stdin.readline()
gpus = [Gpu(str(n), f"GPU-{{n}}") for n in range({gpus})]
lease = leases.Places(pathlib.Path({folder!r}), {per_gpu}).take(gpus, {count})
print("" if lease is None else ",".join(gpu.name for gpu in lease.gpus), flush=True)
{then}
sys.stdin.readline()
"""


def three(memory: tuple[int, ...] = (0, 0, 0), busy: tuple[int, ...] = (0, 0, 0)) -> list[Gpu]:
    return [Gpu(str(n), gpus.uuid(n), memory[n], busy[n]) for n in range(3)]


def taken(lease: leases.Lease | None) -> str:
    assert lease is not None
    return ",".join(gpu.name for gpu in lease.gpus)


def taker(
    folder: pathlib.Path, *, gpus: int, per_gpu: int = 1, count: int = 1, then: str = ""
) -> subprocess.Popen[str]:
    """A process that takes a place at a word, and another word ends it."""
    text = TAKE.format(root=str(ROOT), folder=str(folder), gpus=gpus, per_gpu=per_gpu, count=count, then=then)
    return subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def word(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("per_gpu", "workers", "expected"), [(1, 4, [1, 1, 1, 0]), (2, 5, [2, 2, 1])])
def test_workers_that_start_at_once(tmp_path: pathlib.Path, per_gpu: int, workers: int, expected: list[int]) -> None:
    """No two get the same place; where GPUs are shared, no second one comes to any before each has one."""
    processes = [taker(tmp_path, gpus=3, per_gpu=per_gpu) for _ in range(workers)]
    for process in processes:
        word(process)
    found = [said(process) for process in processes]
    for process in processes:
        process.communicate("\n")
    counts = sorted((found.count(name) for name in "012"), reverse=True)
    assert [*counts, found.count("")][: len(expected)] == [*expected[:3], *([1] if per_gpu == 1 else [])]


def test_a_killed_one_s_place_is_free_at_once(tmp_path: pathlib.Path) -> None:
    """Though a program that it started lives on."""
    starts = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL).pid, flush=True)"
    process = taker(tmp_path, gpus=1, then=starts)
    places = leases.Places(tmp_path, 1)
    word(process)
    assert said(process) == "0"
    started = int(said(process))
    assert places.take([Gpu("0", "GPU-0")], 1) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    lease = places.take([Gpu("0", "GPU-0")], 1)
    assert taken(lease) == "0"
    os.kill(started, signal.SIGKILL)  # it was there
    process.communicate()


def test_the_least_busy_comes_first(tmp_path: pathlib.Path) -> None:
    """Fewest workers of ours, then least memory taken, then least at work."""
    places = leases.Places(tmp_path, 2)
    kept = [places.take(three(memory=(500, 20, 20), busy=(0, 90, 5)), 1) for _ in range(4)]
    assert [taken(each) for each in kept] == ["2", "1", "0", "2"]
    assert [each.beside for each in kept if each] == [0, 0, 0, 1]


def test_several_each(tmp_path: pathlib.Path) -> None:
    """All of them or none; given back together."""
    places = leases.Places(tmp_path, 1)
    assert places.room(three(), 2) == 1
    lease = places.take(three(memory=(9, 0, 1)), 2)
    assert taken(lease) == "1,2"
    assert places.room(three(), 2) == 0
    assert places.room(three(), 1) == 1
    assert places.take(three(), 2) is None
    assert lease is not None
    lease.close()
    assert places.room(three(), 3) == 1
    assert leases.Places(tmp_path, 2).room(three(), 2) == 3


def test_who_wants_to_be_alone_is_left_alone(tmp_path: pathlib.Path) -> None:
    """Where studies on one machine disagree, the lowest --per-gpu on a GPU counts there."""
    alone, sharing = leases.Places(tmp_path, 1), leases.Places(tmp_path, 3)
    first = alone.take(three()[:2], 1)
    assert taken(first) == "0"
    assert sharing.room(three()[:2], 1) == 3
    second = sharing.take(three()[:2], 1)
    assert taken(second) == "1"
    assert alone.take(three()[:2], 1) is None
    assert first is not None
    first.close()
    assert sharing.room(three()[:2], 1) == 5


def test_a_file_that_is_deleted_is_no_lock(tmp_path: pathlib.Path) -> None:
    """Whoever empties the folder while a place is chosen has it chosen again."""
    places = leases.Places(tmp_path, 1)
    lease = places.take(three(), 3)
    assert lease is not None
    lease.close()
    for path in tmp_path.iterdir():
        path.unlink()
    assert places.room(three(), 1) == 3


@pytest.mark.parametrize("mode", [0o500, None])
def test_a_folder_that_cannot_be_used(tmp_path: pathlib.Path, mode: int | None) -> None:
    """One line names it."""
    folder = tmp_path / "locks"
    if mode is None:
        folder.write_text("")
    else:
        folder.mkdir(mode)
        if os.access(folder / "x", os.W_OK) or os.getuid() == 0:  # root writes anywhere
            folder.rmdir()
            folder.symlink_to("/proc/self")
    with pytest.raises(errors.InputError, match=r"^--gpu-locks must be a folder that can be (made|written): "):
        leases.Places(folder, 1).room(three(), 1)


def test_the_user_s_own_folder_is_nobody_else_s(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else may write there could hold or free our places."""
    mine = tmp_path / "mine"
    monkeypatch.setattr(leases, "OWN_FOLDER", str(tmp_path / "mine"))
    assert leases.Places(None, 1).room(three(), 1) == 3
    assert mine.stat().st_mode & 0o777 == 0o700
    mine.chmod(0o777)
    with pytest.raises(errors.InputError, match=r"must be a folder that is yours alone"):
        leases.Places(None, 1)


def test_taking_is_quick(tmp_path: pathlib.Path) -> None:
    """Sixteen GPUs with sixty-four places each are no matter of seconds."""
    places = leases.Places(tmp_path, 64)
    many = [Gpu(str(n), f"GPU-{n}") for n in range(4)]
    started = time.process_time()
    kept = [places.take(many, 1) for _ in range(64)]
    assert time.process_time() - started < 2.0
    assert all(kept)


def test_only_what_is_held_is_held(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks left, as NFS may say, is no neighbour."""
    file = leases.first_free(tmp_path, "training-a")
    assert leases.is_held(tmp_path / "training-a.0")

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as without:
        without.setattr(fcntl, "flock", refuse)
        assert not leases.is_held(tmp_path / "training-a.0")
    leases.let_go(file)
    assert not leases.is_held(tmp_path / "training-a.0")
