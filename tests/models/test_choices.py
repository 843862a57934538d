"""Which engine "auto" takes: by a short measurement of the recipe's shape, remembered for a machine."""

import functools
import json
import logging
import math
import multiprocessing
import pathlib
import subprocess
import sys
import time
from typing import Any

import emulators
import pytest
from conftest import ROOT

from models import backends, data, engine, engines, errors
from models.backends import Backend
from models.engines import choices, cuda, kernels, selfchecks, tables, verdicts
from models.recipes import Recipe
from search.training import trainers

CPU, REFERENCE = Backend("cpu"), Backend("reference")
BOTH = (REFERENCE, CPU)
SMALL, WIDE = Recipe(0.01, 1, 1, 16, "ReLU"), Recipe(0.01, 100, 1, 16, "ReLU")
FIGURES = {str(CPU): [1e-5, 2], str(REFERENCE): [4e-4, 1]}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    return tmp_path


def table(folder: pathlib.Path) -> Any:
    return json.loads((folder / tables.TABLE).read_text())


def test_the_faster_of_two_is_taken_and_said(folder: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    """At batch size 1 the compiled engine is many times as fast as autograd: a measurement of both says so."""
    caplog.set_level(logging.INFO)
    began = time.monotonic()
    found = choices.Choices("auto", among=BOTH).pick(SMALL, data.synthetic())
    assert time.monotonic() - began < 60  # a compilation apart, a second or two
    assert found.backend == CPU
    assert "event=engine-chosen engine=cpu" in caplog.text
    assert found.why.startswith("cpu: measured for batch size 1, depth 1, width 16, a step: reference ")
    (shapes,) = table(folder).values()
    figures = shapes["batch size 1, depth 1, width 16"]
    assert figures[str(REFERENCE)][0] > 3 * figures[str(CPU)][0] > 0


def test_what_was_measured_is_not_measured_again(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by this process nor by the next; a shape within a power of two is the same, others are not."""
    asked: list[Backend] = []

    def slow(trained_by: engine.Engine, recipe: Recipe, _: data.Dataset) -> tuple[float, int]:
        asked.append(Backend(trained_by.name))
        return (1.0 if (trained_by.name == "cpu") == (recipe.batch_size < 64) else 2.0), 1

    monkeypatch.setattr(choices, "step_seconds", slow)
    images = data.synthetic()
    first, second = choices.Choices("auto", among=BOTH), choices.Choices("auto", among=BOTH)
    assert [first.pick(each, images).backend for each in (SMALL, WIDE, SMALL)] == [CPU, REFERENCE, CPU]
    assert len(asked) == 4
    assert [second.pick(each, images).backend for each in (SMALL, WIDE, Recipe(0.1, 64, 1, 31, "GELU"))] == [
        *(CPU, REFERENCE, REFERENCE)
    ]
    assert len(asked) == 4
    assert table(folder).keys() == {tables._key(BOTH)}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"KEY": {"SHAPE": {"cpu": "x"}}}'])
def test_a_broken_table_is_made_anew(folder: pathlib.Path, content: str) -> None:
    """Cut off, of another kind, or with odd figures: it is measured again, and whole from then on."""
    content = content.replace("KEY", tables._key(BOTH)).replace("SHAPE", "shape")
    (folder / tables.TABLE).write_text(content)
    assert tables.remembered(BOTH, "shape", lambda: FIGURES) == FIGURES
    assert tables.remembered(BOTH, "shape", dict) == FIGURES
    assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == [tables.TABLE]


def test_a_table_that_cannot_be_kept_is_done_without(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, or a folder that is none: the choice is made all the same."""
    monkeypatch.setattr(tables, "folder", lambda: folder / "file")
    (folder / "file").write_text("")
    assert tables.remembered(BOTH, "shape", lambda: FIGURES) == FIGURES
    assert "event=engines-not-remembered" in caplog.text


def test_old_machines_are_forgotten(folder: pathlib.Path) -> None:
    """The table does not grow without end: the keys used last stay."""
    old = {f"key {number}": {"shape": FIGURES} for number in range(20)}
    (folder / tables.TABLE).write_text(json.dumps(old))
    tables.remembered(BOTH, "shape", lambda: FIGURES)
    assert [*table(folder)] == [*list(old)[-tables.KEPT + 1 :], tables._key(BOTH)]


def _measure(folder: str, gate: Any, said: Any) -> None:
    tables.folder = lambda: pathlib.Path(folder)

    def measure() -> tables.Figures:
        said.put("measured")
        time.sleep(1)
        return FIGURES

    gate.wait()
    assert tables.remembered(BOTH, "shape", measure) == FIGURES


def test_workers_that_start_together_measure_once(tmp_path: pathlib.Path) -> None:
    """Three processes of a machine at one moment: one measures, the others wait for it."""
    context = multiprocessing.get_context("spawn")
    gate, said = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_measure, args=(str(tmp_path), gate, said)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert said.get(timeout=10) == "measured"
    assert said.empty()


def test_a_device_that_holds_many_is_judged_by_all_of_them(folder: pathlib.Path) -> None:
    """Slower alone, faster with its slots full: what counts is the time of a step of each."""
    found = {str(CPU): [1e-5, 2], str(REFERENCE): [1e-4, 132]}
    one, many = choices.Choices("auto", among=BOTH), choices.Choices("auto", slots=132, among=BOTH)
    assert one._judge("shape", found).backend == CPU
    assert many._judge("shape", found).backend == REFERENCE
    assert "a step and network, 132 at once: reference 0.758 us, cpu 5 us" in many._judge("shape", found).why


def test_one_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that takes longer than the limit counts as endless, or by what was done before."""
    monkeypatch.setattr(choices, "LIMIT_SECONDS", 0.3)

    class Slow:
        name, device = "slow", "cpu"

        def train(self, recipe: Recipe, images: data.Dataset, **how: Any) -> Any:
            if len(images.train_labels) > 4:
                while True:
                    how["tick"]()
                    time.sleep(0.01)
            yield None

    began = time.monotonic()
    assert choices.step_seconds(Slow(), SMALL, data.synthetic()) == (pytest.approx(0, abs=0.3), 1)  # type: ignore[arg-type]
    assert time.monotonic() - began < 5
    assert choices._time(math.inf) == "took too long"


def test_where_there_is_one_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU "auto" is the compiled engine; an engine that is named is that one, and goes on with its own only."""
    monkeypatch.setattr(choices, "step_seconds", None)
    auto, named = choices.Choices("auto"), choices.Choices("reference")
    assert auto.pick(SMALL, data.synthetic()) == choices.Choice(CPU)
    assert (auto.able, named.able) == ((CPU, REFERENCE), (REFERENCE,))
    assert choices.Choices("auto", "cuda:1").among[-2:] == (Backend("reference", "cuda"), CPU)
    with pytest.raises(errors.DeviceError, match="engine must be one of"):
        named.load(Backend("other"))


@pytest.mark.skipif(not kernels.HAS_BF16, reason="this processor has no avx512_bf16")
def test_coarser_numbers_are_taken_where_the_study_allows_them_and_they_pay(folder: pathlib.Path) -> None:
    """At `precision = "bf16"` the CPU has two engines to choose from; a twentieth faster is not worth the digits."""
    bf16 = Backend("cpu-bf16", precision="bf16")
    assert choices.Choices("auto").among == choices.Choices("auto", precision="tf32").among == (CPU,)
    allowed = choices.Choices("auto", precision="bf16")
    assert allowed.among == (CPU, bf16)
    assert allowed._judge("shape", {str(CPU): [2e-3, 1], str(bf16): [1e-3, 1]}).backend == bf16
    assert allowed._judge("shape", {str(CPU): [1.04e-3, 1], str(bf16): [1e-3, 1]}).backend == CPU
    assert choices.Choices("cpu-bf16").among == (bf16,)  # by name whatever the study allows
    assert allowed.pick(Recipe(0.01, 4, 2, 256, "ReLU"), data.synthetic()) == choices.Choice(CPU)  # float32 too
    wide = Recipe(0.01, 128, 2, 256, "ReLU")
    found = allowed.pick(wide, data.synthetic())
    assert f"{found.backend.engine}: measured for batch size 128, depth 2, width 256, a step: cpu " in found.why
    assert ", cpu-bf16 " in found.why


@pytest.mark.skipif(not kernels.HAS_BF16, reason="this processor has no avx512_bf16")
def test_a_worker_goes_on_with_either() -> None:
    """Where a study allows bf16, its workers say that they can train by both, and load what a trial was begun with."""
    found = trainers.Trainers("auto", "cpu", data.synthetic(), precision="bf16")
    assert found.backends == ("cpu cpu float32 1", "cpu-bf16 cpu bf16 1", "reference cpu float32 1")
    assert found.of("cpu-bf16 cpu bf16 1").engine.name == "cpu-bf16"


def test_where_the_processor_lacks_bf16_auto_passes_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study that allows it is searched in float32, with nothing to measure."""
    monkeypatch.setattr(kernels, "HAS_BF16", False)
    assert choices.Choices("auto", precision="bf16").among == (CPU,)


def test_no_engine_of_the_cpu_loads_torch() -> None:
    """A worker of "auto" on the CPU chooses and trains without PyTorch, as before."""
    code = """
import sys
from models import data
from search.training import trainers
found = trainers.Trainers("auto", "cpu", data.synthetic())
assert found.backends == ("cpu cpu float32 1", "reference cpu float32 1"), found.backends
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_engine_says_how_many_fill_it() -> None:
    """One network each where it does not say."""
    assert all(engine.capacity(engines.load(name)) >= 1 for name in engines.names("cpu"))
    assert engine.capacity(object()) == 1  # type: ignore[arg-type]


@pytest.fixture
def in_teams(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """A device of 16 blocks; seconds of a step by the size of a team, to be filled in, and 0 for the reference."""
    made = emulators.engine()
    made.device, made.gpu.blocks, made.gpu.largest_team = "cuda", 16, 16
    taken: dict[int, float] = {}
    monkeypatch.setattr(engines, "check_device", lambda device: device)
    monkeypatch.setattr(cuda, "check", lambda device, name="cuda": None)
    monkeypatch.setitem(engines.ENGINES, "cuda", lambda device: made)
    monkeypatch.setitem(engines.ENGINES, "reference", lambda device: Steady())
    monkeypatch.setattr(verdicts, "trusted", lambda engine: True)
    monkeypatch.setattr(selfchecks, "other_bits", lambda engine, teams: [])
    monkeypatch.setattr(tables, "_key", lambda among: "this machine")

    def measured(trained_by: Any, recipe: Recipe, images: data.Dataset) -> tuple[float, int]:
        return taken[0 if trained_by.name == "reference" else trained_by.team], engine.capacity(trained_by)

    monkeypatch.setattr(choices, "step_seconds", measured)
    return taken


class Steady:
    """Stands for the reference on a GPU."""

    name, device = "reference", "cuda"


TEAM = functools.partial(Backend, "cuda", "cuda", "float32")


@emulators.needed
def test_the_size_of_a_team_is_chosen_for_the_slots(in_teams: dict[int, float]) -> None:
    """A lone network has the team that is fastest; several have as many blocks each as there are; the reference too."""
    in_teams |= {0: 3e-4, 1: 6e-3, 2: 3e-3, 4: 1.5e-3, 8: 8e-4, 16: 9e-4}
    images = data.synthetic()
    found = {slots: choices.Choices("cuda", "cuda", slots).pick(SMALL, images) for slots in (1, 2, 4, 8, 16, 40)}
    assert [each.backend for each in found.values()] == list(map(TEAM, (8, 8, 4, 2, 1, 1)))
    assert found[1].why.startswith("cuda on cuda in a team of 8: measured for ")
    assert "cuda on cuda 6e+03 us, cuda on cuda in a team of 2 3e+03 us" in found[1].why
    reference = Backend("reference", "cuda")
    beside = {slots: choices.Choices("auto", "cuda", slots, [TEAM(1), reference]) for slots in (1, 4, 16)}
    assert [each.pick(SMALL, images).backend for each in beside.values()] == [reference] * 3
    in_teams[0] = 9e-3
    assert choices.Choices("auto", "cuda", 1, [TEAM(1), reference]).pick(WIDE, images).backend == TEAM(8)


@emulators.needed
def test_teams_that_train_wrong_are_not_taken(
    in_teams: dict[int, float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that end with other bits than one block are left out, with a line of the log; slots have what is left."""
    in_teams |= {1: 6e-3, 2: 3e-3, 4: 1.5e-3, 8: 8e-4, 16: 9e-4}
    asked: list[tuple[int, list[int]]] = []

    def wrong(alone: cuda.Cuda, teams: list[int]) -> list[int]:
        asked.append((alone.team, teams))
        return [team for team in teams if team > 4]

    monkeypatch.setattr(selfchecks, "other_bits", wrong)
    assert choices.Choices("cuda", "cuda", 1).pick(SMALL, data.synthetic()).backend == TEAM(4)
    assert choices.Choices("cuda", "cuda", 5).pick(SMALL, data.synthetic()).backend == TEAM(2)
    assert asked == [(1, [2, 4, 8, 16]), (1, [2])]
    (line,) = [record.getMessage() for record in caplog.records if "distrusted" in record.getMessage()]
    assert line == "event=distrusted engine=cuda device=cuda teams=[8, 16]"


@emulators.needed
def test_more_trials_at_once_are_chosen_for_anew(in_teams: dict[int, float]) -> None:
    """What was picked for few leaves when more come, with the teams that there is no longer room for."""
    in_teams |= {1: 6e-3, 2: 3e-3, 4: 1.5e-3, 8: 8e-4, 16: 9e-4}
    found, images = choices.Choices("cuda", "cuda", 1), data.synthetic()
    assert found.pick(SMALL, images).backend == TEAM(8)
    found.fill(16)
    assert found.pick(SMALL, images).backend == TEAM(1)


@emulators.needed
def test_where_no_team_can_be_launched_single_blocks_train(
    in_teams: dict[int, float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver that refuses the launches of teams takes no engine away, and the log says what it said."""

    def refused(alone: cuda.Cuda, teams: list[int]) -> list[int]:
        raise errors.DeviceFault("emulated failed: CUDA error: CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE")

    monkeypatch.setattr(selfchecks, "other_bits", refused)
    assert choices.Choices("cuda", "cuda", 1).pick(SMALL, data.synthetic()).backend == TEAM(1)
    (line,) = [record.getMessage() for record in caplog.records if "unavailable" in record.getMessage()]
    assert line.startswith("event=unavailable engine=cuda teams=[2, 4, 8, 16] reason='emulated failed: CUDA error: ")


@emulators.needed
def test_a_device_without_teams_is_one_too(in_teams: dict[int, float]) -> None:
    """Where no blocks can wait for one another, trials of any team have one block, and one device with its launches."""
    found = choices.Choices("cuda", "cuda", 16)
    alone = found.load(TEAM(1))
    alone.gpu.largest_team = 1  # type: ignore[attr-defined]
    large = found.load(TEAM(16))
    assert backends.of(large) == TEAM(1)
    assert large._launches is alone._launches  # type: ignore[attr-defined]


@emulators.needed
def test_any_team_is_gone_on_with_by_any_device(in_teams: dict[int, float]) -> None:
    """A trial of a larger team than the device has is taken up by the largest that it has; the launches are shared."""
    found = choices.Choices("cuda", "cuda", 16)
    assert found.able == tuple(map(TEAM, (1, 2, 4, 8, 16)))
    alone, large = found.load(TEAM(1)), found.load(TEAM(16))
    alone.gpu.largest_team = 4  # type: ignore[attr-defined]
    small = found.load(TEAM(16))
    assert [engine.capacity(each) for each in (alone, large, small)] == [16, 1, 4]
    assert len({id(each._launches) for each in (alone, large, small)}) == 1  # type: ignore[attr-defined]
