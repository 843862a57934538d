"""Engines that check themselves: agreement and disagreement, remembered once a device, whatever becomes of the file."""

import json
import logging
import pathlib
import threading

import emulators
import pytest

from models import engine, engines, errors
from models.backends import Backend
from models.engines import choices, cuda, selfchecks, verdicts

pytestmark = emulators.needed
ROUNDED = ("-DROUNDED",)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks, and batches that the emulated device takes in a moment."""
    monkeypatch.setattr(selfchecks, "NETWORKS", selfchecks.NETWORKS[:2])
    monkeypatch.setattr(selfchecks, "BATCH_SIZES", (1, 3, 41))
    monkeypatch.setattr(selfchecks, "SEEDS", range(2))


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The identities that were checked, in order."""
    done: list[str] = []
    check = selfchecks.check

    def noted(each: cuda.Cuda) -> list[selfchecks.Finding]:
        done.append(each.identity)
        return check(each)

    monkeypatch.setattr(selfchecks, "check", noted)
    return done


def test_it_is_checked_once_and_remembered(tmp_path: pathlib.Path, checks: list[str]) -> None:
    """The second time the file answers; another device, driver or version of the kernels is checked anew."""
    for _ in range(2):
        assert verdicts.trusted(emulators.engine(), tmp_path)
    assert len(checks) == 1
    other = emulators.engine()
    other.identity += ", driver 2"
    assert verdicts.trusted(other, tmp_path)
    assert len(set(checks)) == len(checks) == 2
    assert set(verdicts.remembered(tmp_path / verdicts.NAME)) == set(checks)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == [verdicts.NAME]


ODD = '{"IT": [{"depth": 0, "width": null, "activation": null, "losses": "1", "weights": 1.0}]}'


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"IT": 1}', '{"IT": []}', '{"IT": [{"depth": 1}]}', ODD, "\0"]
)
def test_a_broken_file_is_made_anew(tmp_path: pathlib.Path, checks: list[str], text: str) -> None:
    """Whatever the file holds, the engine is checked and the file is whole afterwards."""
    path = tmp_path / verdicts.NAME
    path.write_text(text.replace("IT", emulators.engine().identity))
    assert verdicts.trusted(emulators.engine(), tmp_path)
    assert list(json.loads(path.read_text())) == checks


def test_where_nothing_can_be_written_it_is_checked_each_time(tmp_path: pathlib.Path, checks: list[str]) -> None:
    """A file in place of the folder: nothing is remembered, and nothing fails."""
    path = tmp_path / "file"
    path.touch()
    for _ in range(2):
        assert verdicts.trusted(emulators.engine(), path)
    assert len(checks) == 2


def test_of_those_that_begin_together_one_checks(tmp_path: pathlib.Path, checks: list[str]) -> None:
    """The others wait for it."""
    threads = [threading.Thread(target=verdicts.trusted, args=(emulators.engine(), tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checks) == 1


@pytest.fixture
def cached(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder of caches of this user."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "optuna-search-service"


def on(monkeypatch: pytest.MonkeyPatch, made: cuda.Cuda | Exception) -> None:
    """Lets `cuda` be the device on which the engine is made, or fails."""

    def make(device: str) -> cuda.Cuda:
        if isinstance(made, Exception):
            raise made
        return made

    monkeypatch.setattr(engines, "check_device", lambda device: device)
    on_cpu = engines.ENGINES["reference"]
    monkeypatch.setitem(engines.ENGINES, "reference", lambda device: on_cpu("cpu"))
    monkeypatch.setattr(cuda, "Cuda", make)
    monkeypatch.setattr(cuda, "check", lambda device, name: None)


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_device_that_rounds_is_told_and_the_reference_trains(
    cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """One line says by how much it disagrees, now and at every later start; the engine that trains is the reference."""
    on(monkeypatch, emulators.engine(defined=ROUNDED))
    for _ in range(2):
        caplog.clear()
        (first, *_) = choices.Choices(name, "cuda").among
        assert first == Backend("reference", "cuda")
        (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert line.startswith('event=distrusted engine=cuda device=emulated reason="at depth ')
        assert "times as far from float64 as autograd's, 1.5 allowed\" note='the reference trains'" in line
    assert (cached / verdicts.NAME).exists()


def dressed(monkeypatch: pytest.MonkeyPatch, **engines_of: cuda.Cuda) -> None:
    """Lets each narrow engine be one that is made."""
    monkeypatch.setattr(engines, "check_device", lambda device: device)
    monkeypatch.setattr(cuda, "check", lambda device, name: None)
    for name, made in engines_of.items():
        monkeypatch.setitem(engines.ENGINES, f"cuda-{name}", lambda device, made=made: made)


@pytest.mark.parametrize(("said", "really"), [("tf32", "bf16"), ("float32", "tf32")])
def test_coarser_numbers_in_finer_clothes_are_told(
    cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, said: str, really: str
) -> None:
    """bf16 that calls itself TF32 is far beyond what TF32 comes to, TF32 beyond float32; the line says in which."""
    made = emulators.engine(said, made_for=really)
    monkeypatch.setattr(selfchecks, "NETWORKS", selfchecks.NETWORKS[1:2])
    assert not verdicts.trusted(made)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    measure = "autograd's" if said == "float32" else f"autograd's in {said}"
    assert line.startswith(f"event=distrusted engine={made.name} device=emulated ")
    assert f" times as far from float64 as {measure}, 1.5 allowed" in line


def test_auto_takes_what_the_study_allows_and_the_device_can(
    cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each precision that is no coarser than allowed and agrees is one to choose from; float32 alone without a word."""
    on(monkeypatch, emulators.engine())
    dressed(monkeypatch, tf32=emulators.engine("tf32"), bf16=emulators.engine("bf16"))
    float32, tf32, bf16 = (Backend(name, "cuda", precision) for name, precision in engines.CUDA.items())
    rest = (Backend("reference", "cuda"), Backend("cpu"))
    assert choices.Choices("auto", "cuda").among == (float32, *rest)
    assert choices.Choices("auto", "cuda", precision="tf32").among == (float32, tf32, *rest)
    assert choices.Choices("auto", "cuda", precision="bf16").among == (float32, tf32, bf16, *rest)
    assert choices.Choices("cuda-bf16", "cuda").among == (bf16,)
    assert choices.Choices("cuda-bf16", "cuda").load(bf16).name == "cuda-bf16"


@pytest.mark.parametrize("name", ["auto", "cuda-tf32"])
def test_rounded_too_far_the_reference_trains(cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A narrow engine that rounds farther than it says is not among what is chosen from; by name, the reference is."""
    on(monkeypatch, emulators.engine())
    dressed(monkeypatch, tf32=emulators.engine("tf32", made_for="bf16"))
    found = choices.Choices(name, "cuda", precision="tf32").among
    assert [each.engine for each in found] == (["cuda", "reference", "cpu"] if name == "auto" else ["reference"])


def test_what_an_old_gpu_lacks_is_passed_by(
    cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without such tensor cores "auto" does without, in a line of the log; asked for by name, it is an error."""
    on(monkeypatch, emulators.engine())
    dressed(monkeypatch)

    def old(device: str) -> cuda.Cuda:
        raise errors.DeviceError("products in bf16 need a GPU of sm_80 or later, this one is sm_75")

    for name in ("cuda-tf32", "cuda-bf16"):
        monkeypatch.setitem(engines.ENGINES, name, old)
    found = choices.Choices("auto", "cuda", precision="bf16").among
    assert [each.engine for each in found] == ["cuda", "reference", "cpu"]
    assert "event=unavailable engine=cuda-bf16 device=cuda reason='products in bf16 need a GPU of sm_80" in caplog.text
    with pytest.raises(errors.DeviceError, match="sm_75"):
        choices.Choices("cuda-bf16", "cuda")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_device_that_agrees_trains(cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """`auto` on a CUDA device has the engine of blocks to choose from, and the others beside it."""
    made = emulators.engine()
    on(monkeypatch, made)
    found = choices.Choices(name, "cuda")
    loaded: engine.Engine = found.load(found.among[0])
    assert loaded is made
    assert [each.engine for each in found.among] == (["cuda", "reference", "cpu"] if name == "auto" else ["cuda"])
    assert engine.capacity(made) == made.gpu.blocks > 1


def test_where_it_cannot_be_had_auto_takes_the_reference(
    cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What keeps the engine from a device is one line; asked for by name, it is an error."""
    on(monkeypatch, errors.DeviceError("NVRTC does not compile for -arch=sm_35"))
    assert [each.engine for each in choices.Choices("auto", "cuda").among] == ["reference", "cpu"]
    assert "event=unavailable engine=cuda device=cuda reason='NVRTC does not compile for -arch=sm_35'" in caplog.text
    with pytest.raises(errors.DeviceError, match="sm_35"):
        choices.Choices("cuda", "cuda")


def test_findings_that_are_no_numbers_are_no_agreement() -> None:
    """A device that gives nan agrees with nothing."""
    assert not selfchecks.Finding(0, None, None, float("nan"), 1.0).agrees
    assert selfchecks.Finding(0, None, None, 1.5, 0.1).agrees
