"""`search selfcheck` and `search bench` on a device: what they say, and of which device."""

import json
import pathlib
import statistics

import emulators
import pytest

from models import benchmark, data, device_benchmarks, engines, gpu_limits, notebook
from models.engines import selfchecks, verdicts
from search import cli


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """Two networks, in a cache of their own."""
    monkeypatch.setattr(selfchecks, "NETWORKS", selfchecks.NETWORKS[:2])
    monkeypatch.setattr(selfchecks, "BATCH_SIZES", (3, 41, 127, 128))
    monkeypatch.setattr(selfchecks, "SEEDS", range(3))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("engine", engines.names("cpu"))
def test_the_engines_of_the_cpu_are_checked_for_real(capsys: pytest.CaptureFixture[str], engine: str) -> None:
    """A line for each network, and a verdict; with --json the figures."""
    assert cli.main(["selfcheck", "--engine", engine]) == 0
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["agrees", "agrees"]
    yardstick = "plain PyTorch in bf16" if engine == "cpu-bf16" else "plain PyTorch"
    assert verdict == f"engine {engine} on cpu trains as exactly as {yardstick}"
    assert cli.main(["selfcheck", "--engine", engine, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["agrees"]
    assert [network["depth"] for network in found["networks"]] == [0, 1]
    assert all(0 < network["weights"] <= found["allowed"] for network in found["networks"])


@emulators.needed
def test_a_device_that_rounds_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Exit code 1, by how much on each line, and workers that start later know it."""
    rounded = emulators.engine(defined=("-DROUNDED",))
    monkeypatch.setattr(engines, "check_device", lambda device: device)
    monkeypatch.setitem(engines.ENGINES, "cuda", lambda device: rounded)
    assert cli.main(["selfcheck", "--device", "cuda"]) == 1
    *lines, verdict = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["WRONG", "WRONG"]
    assert verdict.startswith("engine cuda on cuda trains not as exactly as plain PyTorch")
    assert cli.main(["selfcheck", "--device", "cuda", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["agrees"]
    assert not verdicts.trusted(rounded, tmp_path / "optuna-search-service")


@emulators.needed
@pytest.mark.parametrize("dropped", [-1, 3])
def test_teams_are_held_against_one_block(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, dropped: int
) -> None:
    """Where the blocks of a team do not wait for one another, it says which sizes are wrong, with exit code 1."""
    made = emulators.engine(how=emulators.REVERSE, ahead=True, dropped=dropped)
    monkeypatch.setattr(engines, "check_device", lambda device: device)
    monkeypatch.setattr(verdicts, "checked", lambda engine, on_training: [])
    monkeypatch.setitem(engines.ENGINES, "cuda", lambda device: made)
    assert cli.main(["selfcheck", "--device", "cuda", "--json"]) == (dropped >= 0)
    found = json.loads(capsys.readouterr().out)
    assert (found["agrees"], found["teams"]) == (dropped < 0, {"2": dropped < 0, "4": dropped < 0})


@pytest.mark.parametrize("command", ["selfcheck", "bench"])
def test_without_a_gpu_it_is_one_line(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """A device that is not there is said, with exit code 2."""
    assert cli.main([command, "--device", "cuda:99"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("search: device 'cuda:99' is not there: torch ")
    assert err.count("\n") == 1


@emulators.needed
def test_a_device_is_measured_alone_and_full(monkeypatch: pytest.MonkeyPatch, data_dir: pathlib.Path) -> None:
    """Seconds a step of one network, of the reference and the notebook's loop, and of each of many in a launch."""
    monkeypatch.setattr(device_benchmarks, "SECONDS", 0.02)
    ours, rounds = emulators.engine(), []
    shapes = [(41, 1, 8), (64, 0, None)]
    sides = (ours, engines.load("reference"), 3, data.synthetic(train=300, test=5))
    monkeypatch.setattr(device_benchmarks.gpu_limits, "of", lambda device: gpu_limits.Limits(1e13, 1e12, 1e7))
    with notebook.torchvision_layout(data_dir) as folder:
        rows = list(device_benchmarks.measure(*sides, 2, lambda: rounds.append(1), shapes, folder))
    assert [(row.batch_size, row.depth, row.width) for row in rows] == shapes
    assert len(rounds) == 2 * 3
    assert max(ours.gpu.launches) > 1
    for row in rows:
        assert len(row.alone) == len(row.reference) == len(row.shared) == 2
        assert min(*row.alone, *row.reference, *row.shared) > 0
        assert row.x_alone > 0
        assert [*row.teams] == [2, 4]
        assert 0 < row.fastest_team[1] <= statistics.median(row.alone)
        assert row.x_reference > 0
        assert row.x_notebook == pytest.approx(sum(row.notebook) / sum(row.alone), rel=1e-6)
        assert row.share_of_limit == row.limit / statistics.median(row.shared)


@pytest.mark.parametrize(
    ("batch_size", "width", "together", "by_memory"), [(1, 128, 132, True), (1, 128, 4, False), (128, 512, 132, False)]
)
def test_a_limit_is_of_sums_or_of_memory(batch_size: int, width: int, together: int, by_memory: bool) -> None:
    """Weights that do not fit into the cache come from memory at every step, which small batches cannot hide."""
    limits, recipe = gpu_limits.Limits(60e12, 3.3e12, 50e6), benchmark.recipe_of(batch_size, 3, width)
    products = 784 * width + 2 * width * width + width * 10
    sums = 2 * batch_size * (3 * products - 784 * width) / 60e12
    memory = (784 * batch_size + 3 * 4 * products) / 3.3e12
    assert limits.step_seconds(recipe, together) == pytest.approx(memory if by_memory else sums, rel=0.2)
