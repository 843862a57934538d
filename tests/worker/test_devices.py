"""GPUs as nvidia-smi has them, a stand-in here; which of them a word means, and what CUDA is told."""

import os
import pathlib
import re

import gpus
import pytest

from search import errors
from search.worker import devices

MIG_ROWS = [
    f"0, {gpus.uuid(0)}, Enabled, 5000, [N/A]",
    f"1, {gpus.uuid(1)}, Disabled, 100, 7",
]
MIG_LIST = [
    f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {gpus.uuid(0)})",
    "  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa-1)",
    "  MIG 1g.5gb      Device  1: (UUID: MIG-bbbb-2)",
    f"GPU 1: NVIDIA A100-SXM4-40GB (UUID: {gpus.uuid(1)})",
]


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> gpus.Machine:
    found = gpus.Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{found.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    return found


def names(words: str) -> list[str]:
    return [gpu.name for gpu in devices.named(words)]


def test_gpus_are_named_by_number_and_uuid(machine: gpus.Machine) -> None:
    """All, some by number, some by UUID or its beginning, each once."""
    machine.has(3, memory=(10, 20, 30), busy=(1, 2, 3))
    assert devices.named("all")[1] == devices.Gpu("1", gpus.uuid(1), 20, 2)
    assert names("all") == ["0", "1", "2"]
    assert names("2,0") == ["2", "0"]
    assert names(f"{gpus.uuid(1)},1,GPU-00000002") == ["1", "2"]


@pytest.mark.parametrize(
    ("within", "words", "shown"),
    [
        ("2,0", "all", ["2", "0"]),
        ("2,0", "2", ["2"]),
        (gpus.uuid(1), "all", ["1"]),
        ("GPU-00000002", "all", ["2"]),
        ("1,7,2", "all", ["1"]),  # CUDA hides what follows one that is none
        ("1,-1,2", "all", ["1"]),
    ],
)
def test_what_the_machine_s_scheduler_hides_is_hidden(
    machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch, within: str, words: str, shown: list[str]
) -> None:
    """CUDA_VISIBLE_DEVICES as Slurm and others set it: only those are `all`."""
    machine.has(3)
    monkeypatch.setenv(devices.VISIBLE, within)
    assert names(words) == shown


@pytest.mark.parametrize(
    ("within", "words", "rule"),
    [
        (None, "3", r"^--gpus must name GPUs that are there \(0, 1, 2\), got '3'$"),
        (None, "GPU-0000", r"got 'GPU-0000'$"),  # which of three
        ("2", "0", r"^--gpus must name GPUs that are there \(2 within CUDA_VISIBLE_DEVICES='2'\), got '0'$"),
        ("", "all", r"^--gpus all must find a GPU, and nvidia-smi shows none within CUDA_VISIBLE_DEVICES=''$"),
    ],
)
def test_gpus_that_are_not_there(
    machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch, within: str | None, words: str, rule: str
) -> None:
    """One line says which there are."""
    machine.has(3)
    if within is not None:
        monkeypatch.setenv(devices.VISIBLE, within)
    with pytest.raises(errors.InputError, match=rule):
        devices.named(words)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("", "got ''"),
        ("all,1", "got 'all,1'"),
        ("cuda:0", "--gpus must be all, none, or numbers and UUIDs as `nvidia-smi -L` has them"),
        ("1,", "got '1,'"),
        ("0;reboot", "got '0;reboot'"),
        ("0,0", "--gpus must name each GPU once, got '0,0'"),
    ],
)
def test_words_that_mean_no_gpu(words: str, rule: str) -> None:
    """Refused as they are given, before anything is asked."""
    with pytest.raises(errors.InputError, match=re.escape(rule)):
        devices.check(words)
    assert devices.check(" 0, 2 ") == "0,2"
    assert devices.check(None) is None


def test_gpus_that_are_cut_into_instances(machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each instance (MIG) is a device of its own in place of its GPU, by number or UUID."""
    machine.says(MIG_ROWS, MIG_LIST)
    assert names("all") == ["0:0", "0:1", "1"]
    assert names("0") == ["0:0", "0:1"]
    assert names("0:1,MIG-aaaa-1") == ["0:1", "0:0"]
    assert devices.named("0:1") == [devices.Gpu("0:1", "MIG-bbbb-2", 5000, 0)]
    monkeypatch.setenv(devices.VISIBLE, "MIG-bbbb-2")
    assert names("all") == ["0:1"]


def test_a_lost_gpu_leaves_the_others(machine: gpus.Machine) -> None:
    """nvidia-smi fails where one is lost; those that it still lists are there."""
    machine.has(3, lost=[1])
    assert names("all") == ["0", "2"]


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        (
            "echo 'NVIDIA-SMI has failed because'; exit 9",
            "which ended with exit code 9: NVIDIA-SMI has failed because$",
        ),
        ("exec sleep 600", "which did not answer within 0 s$"),
    ],
)
def test_without_an_answer(machine: gpus.Machine, monkeypatch: pytest.MonkeyPatch, script: str, rule: str) -> None:
    """One line says what nvidia-smi said, or that it hangs."""
    monkeypatch.setattr(devices, "ANSWER_SECONDS", 0.3)
    machine.answer(script)
    with pytest.raises(errors.InputError, match=rule):
        devices.named("all")


def test_without_nvidia_smi(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.InputError, match=r"^--gpus needs nvidia-smi, which is not on the PATH$"):
        devices.named("all")


def test_cuda_is_told_by_uuid_and_as_before_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a GPU changes where another is lost."""
    monkeypatch.setenv(devices.VISIBLE, "0,1,2")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    with devices.shown([devices.Gpu("2", gpus.uuid(2)), devices.Gpu("0", gpus.uuid(0))]):
        assert os.environ[devices.VISIBLE] == f"{gpus.uuid(2)},{gpus.uuid(0)}"
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ[devices.VISIBLE] == "0,1,2"
    assert "CUDA_DEVICE_ORDER" not in os.environ


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        (["2"], "gpu 2"),
        (["0", "2"], "gpu 0,2"),
        (["0", "1"], "gpu 0,1"),
        (["0", "1", "2", "3", "6"], "gpu 0-3,6"),
        (["0:0", "0:1"], "gpu 0:0,0:1"),
        ([str(2 * n) for n in range(16)], "gpu 0,2,4,6,8,10,12,14,16,18,20,22,24..."),
    ],
)
def test_labels_fit_the_roster(numbers: list[str], shown: str) -> None:
    """At most 40 characters."""
    text = devices.label([devices.Gpu(number, number) for number in numbers])
    assert text == shown
    assert len(text) <= 40
