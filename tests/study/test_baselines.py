"""Random search over a table, as a study would be compared with it."""

import gzip
import itertools
import json
import math
import pathlib
from typing import Any

import numpy
import pytest
import tabled

from search import errors
from search.study import baselines, specs

NETWORKS = """
[study]
name = "nets"

[training]
dataset = "synthetic"
epochs = 2
evaluate_on = "{where}"
value = "{value}"

[space]
learning_rate = [0.1]
batch_size = {{ low = 1, high = 128 }}
depth = {{ low = 0, high = 1 }}
width = {{ choices = [8], when = "depth > 0" }}
activation = {{ choices = ["ReLU"], when = "depth > 0" }}

[pruning]
hopeless = {hopeless}

[budget]
trials = 10
"""


def text(where: str = "validation", hopeless: str = "true", value: str = "last") -> str:
    return NETWORKS.format(where=where, hopeless=hopeless, value=value)


def networks(where: str = "validation", hopeless: str = "true", value: str = "last") -> specs.StudySpec:
    return specs.parse(text(where, hopeless, value), "nets.toml")


def trained(size: int, depth: int, value: float, stop: int | None = None, **more: Any) -> dict[str, Any]:
    params = {"learning_rate": 0.1, "batch_size": size, "depth": depth}
    params |= {"width": 8, "activation": "ReLU"} if depth else {}
    found = {"values": [value / 2, value], "test": [value / 4, value / 8], "seconds": [1.0, 3.0], "setup_seconds": 0.5}
    return {"params": params, "seed": 0, "stop": stop, **found, **more}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The folder `studies` of a user who has no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(specs, "OURS", tmp_path / "none")
    (tmp_path / "studies").mkdir()
    return tmp_path / "studies"


def put(folder: pathlib.Path, rows: list[dict[str, Any]], content: str, name: str = "its") -> pathlib.Path:
    """A study file with its table."""
    (folder / f"{name}.toml").write_text(content)
    path = folder / f"{name}.table.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(each) + "\n" for each in rows).encode()))
    return path


def found_by(spec: specs.StudySpec) -> baselines.Baseline:
    found = baselines.find(spec)
    assert found is not None
    return found


def test_a_table_of_the_same_space_is_found_whatever_the_study_is_called(folder: pathlib.Path) -> None:
    """It is that of a study file with the same space, dataset and direction; of another one there is none."""
    put(folder, tabled.rows(), tabled.TEXT.replace('name = "made"', 'name = "other"'))
    found = found_by(tabled.spec())
    assert found.place == str(pathlib.Path("studies", "its.table.jsonl.gz"))
    for changed in (
        tabled.TEXT.replace("high = 16", "high = 17"),
        tabled.TEXT.replace("made.up:function", "made.up:other"),
        tabled.TEXT.replace('"minimize"', '"maximize"'),
    ):
        assert baselines.find(specs.parse(changed, "x")) is None
    assert baselines.find(networks()) is None


def test_a_table_that_cannot_be_read_is_said(folder: pathlib.Path) -> None:
    """One line with its file."""
    put(folder, [], tabled.TEXT).write_bytes(b"no table")
    with pytest.raises(errors.InputError, match=r"its\.table\.jsonl\.gz: must be a table"):
        baselines.find(tabled.spec())


def test_a_recorded_value_stands_for_those_that_are_nearest(folder: pathlib.Path) -> None:
    """Batch sizes 2, 16 and 128 of 1 to 128, on a logarithmic line: the chances are those of a draw."""
    rows = [trained(size, depth, 0.5) for size, depth in itertools.product((2, 16, 128), (0, 1))]
    put(folder, rows, text())
    found = found_by(networks())
    nearest = [min((2, 16, 128), key=lambda each, n=n: abs(math.log(each / n))) for n in range(1, 129)]  # type: ignore[misc]
    expected = [nearest.count(each["params"]["batch_size"]) / 128 / 2 for each in rows]
    assert found.weights == pytest.approx(expected)
    assert found.weights.sum() == pytest.approx(1)


def test_what_random_search_finds_is_what_it_finds_when_it_is_played(folder: pathlib.Path) -> None:
    """Mean and quartiles by seconds, of a measure that is minimized, beside 4,000 searches drawn one by one."""
    put(folder, tabled.rows(), tabled.TEXT)
    found = found_by(tabled.spec())
    drawn = numpy.random.default_rng(0)
    moments, best = [30.0, 100.0, 300.0], []
    for _ in range(4_000):
        order = drawn.choice(len(found.values), 400, p=found.weights / found.weights.sum())
        ends, values = numpy.cumsum(found.costs[order]), numpy.minimum.accumulate(found.values[order])
        places = [int(numpy.searchsorted(ends, moment, side="right")) for moment in moments]
        best.append([values[place - 1] if place else found.values.max() for place in places])
    played = numpy.array(best)
    assert found.expected(moments) == pytest.approx(played.mean(axis=0), abs=0.02)
    for share, row in zip(baselines.QUARTILES, found.quartiles(moments), strict=True):
        assert numpy.all((played < row - 1e-9).mean(axis=0) <= share + 0.03)
        assert numpy.all((played <= row + 1e-9).mean(axis=0) >= share - 0.03)
    bar = float(numpy.quantile(found.values, 0.1))
    is_good = found.values <= bar
    assert found.seconds_to(bar) == pytest.approx(
        (found.weights @ found.costs) / found.weights[is_good].sum(), rel=1e-9
    )
    assert found.seconds_to(-1.0) == math.inf


@pytest.mark.parametrize(
    ("where", "hopeless", "value", "values", "costs"),
    [
        ("validation", "true", "last", [0.8, math.nan, math.nan], [4.5, 1.5, 0.5]),
        ("test", "true", "last", [0.1, math.nan, math.nan], [4.5, 1.5, 0.5]),
        ("validation", "false", "last", [0.8, 0.4, math.nan], [4.5, 4.5, 4.5]),
        ("validation", "true", "mean-of-last-3", [0.6, math.nan, math.nan], [4.5, 1.5, 0.5]),
    ],
)
def test_the_rule_of_the_study_holds_for_random_search(
    folder: pathlib.Path, where: str, hopeless: str, value: str, values: list[float], costs: list[float]
) -> None:
    """What it ends comes to nothing and costs what it had trained; without it all cost as much as others like them.

    By the images and epochs by which the study's trials are judged.
    """
    never = {"values": [], "test": [], "seconds": []}
    rows = [trained(16, 0, 0.8), trained(16, 1, 0.4, stop=1), trained(64, 1, 0.0, stop=0, **never)]
    put(folder, rows, text())
    found = found_by(networks(where, hopeless, value))
    assert found.values == pytest.approx(values, nan_ok=True)
    assert found.costs == pytest.approx(costs)


def test_the_pace_of_this_machine_is_that_of_its_trials(folder: pathlib.Path) -> None:
    """Three times the table's seconds; trials that the table has nothing of say nothing."""
    put(folder, [trained(16, 0, 0.8), trained(16, 1, 0.4)], text())
    found = found_by(networks())
    paid = [
        baselines.Paid(trained(17, 0, 0)["params"], 1, 4.5),
        baselines.Paid(trained(3, 1, 0)["params"], 2, 13.5),
        baselines.Paid({"x": 1.0}, 2, 1e9),
    ]
    assert found.pace(paid) == pytest.approx(3)
    assert found.pace(paid[2:]) is None


def test_a_coarse_look_is_as_good_as_a_fine_one(folder: pathlib.Path) -> None:
    """What `status` computes differs from what a report does by less than a thousandth of the span of values."""
    put(folder, tabled.rows(), tabled.TEXT)
    found = found_by(tabled.spec())
    span = float(numpy.ptp(found.values))
    for seconds in (20.0, 200.0, 2_000.0):
        assert found.expected([seconds], 200) == pytest.approx(found.expected([seconds]), abs=span / 1_000)
        coarse, fine = found.quartiles([seconds], 200), found.quartiles([seconds])
        assert coarse == pytest.approx(fine, abs=span / 100)
