import pathlib

import numpy
import pytest
import tabled

from search import errors
from search.space import surfaces, tables
from search.study import specs

BEST = {"rate": 2, "size": 2, "kind": "deep", "layers": 3}
ONE = """
objective = "made.up:function"

[study]
name = "one"

[space]
kind = ["plain"]

[budget]
trials = 1
"""


def test_numbers_are_searched_over_their_recorded_levels(tmp_path):
    """Where not all values of a number were recorded, places of the recorded ones are searched, in order."""
    surface = tabled.surface(tmp_path)
    assert surface.params(BEST) == {"rate": 0.1, "size": 4, "kind": "deep", "layers": 3}
    assert {p.name: p.values for p in surface.searched.parameters}["rate"] == range(4)
    assert surface.searched.size == 80
    assert surface.notes == [
        "rate is searched over its recorded levels, in order: 0.001, 0.01, 0.1, 1",
        "size is searched over its recorded levels, in order: 1, 2, 4, 8, 16",
    ]
    training = surface.training(BEST)
    assert training.is_recorded
    assert training.values == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert training.seconds == pytest.approx([4.0] * 4)


def test_the_whole_space_is_expected_between_its_levels(tmp_path):
    """What was recorded is as it was; what lies between comes to what lies between, with a noise of its own."""
    surface = tabled.surface(tmp_path, whole=True)
    assert surface.searched == tabled.spec().space
    recorded = {"rate": 0.1, "size": 4, "kind": "deep", "layers": 3}
    assert surface.params(recorded) == recorded
    assert surface.training(recorded).is_recorded
    assert surface.training(recorded).values == tabled.surface(tmp_path).training(BEST).values
    between = {**recorded, "size": 6}
    assert surface.params(between) == between
    found, other = surface.training(between), surface.training({**recorded, "size": 8})
    assert not found.is_recorded
    assert surface.training(recorded).expected < found.expected < other.expected
    assert surface.training(recorded).seconds[0] < found.seconds[0] < other.seconds[0]
    assert surface.training({**recorded, "size": 7}).values != found.values != other.values
    assert surface.notes[1] == (
        "all values of size are searched; a model says what lies between the recorded ones: 1, 2, 4, 8, 16"
    )


def test_all_values_are_in_the_optimum_of_the_whole_space(tmp_path):
    """Each batch size is a draw as likely as another; none of them lies beyond what was recorded."""
    lab = specs.load(pathlib.Path("studies/lab.toml")).space
    rows = [
        {
            "params": {"learning_rate": rate, "batch_size": size, "depth": depth, "width": 32, "activation": "ReLU"},
            "values": [0.5 + 0.01 * depth],
            "seconds": [1.0],
        }
        for rate in (1e-4, 1e-2, 1e-1)
        for size in (2, 4, 8, 16, 32, 64, 128)
        for depth in range(1, 7)
    ]
    surface = surfaces.Surface(lab, tables.load(tabled.write(tmp_path / "lab.jsonl", rows)), whole=True)
    found: dict[int, float] = {}
    for key, share in surface.shares.items():
        size = surface.training_of(key).params["batch_size"]
        found[size] = found.get(size, 0.0) + share
    assert sorted(found) == list(range(2, 129))
    assert [round(128 * found[size]) for size in (2, 3, 100, 128)] == [2, 1, 1, 1]
    population = surface.population()
    assert len(population.values) == len(surface.shares)
    assert population.values.max() <= 0.56


def test_what_was_not_recorded_is_expected(tmp_path):
    """A configuration that is left out comes to about what it would, with its cost."""
    rows = tabled.rows()
    left = next(row for row in rows if row["params"] == {"rate": 0.1, "size": 4, "kind": "deep", "layers": 2})
    surface = tabled.surface(tmp_path, [row for row in rows if row is not left])
    training = surface.training({**BEST, "layers": 2})
    assert not training.is_recorded
    assert training.values == pytest.approx(left["values"], abs=0.15)
    assert sum(training.seconds) == pytest.approx(sum(left["seconds"]), rel=0.2)
    errors_, ends = surface.errors
    assert len(ends) == 79
    assert numpy.median(abs(errors_)) < 0.1


def test_several_seeds_are_one_expectation(tmp_path):
    """With a seed a training is its own; what is expected is the mean, and a seed that is missing is near it."""
    rows = [*tabled.rows(), *[row for row in tabled.rows(seed=1) if row["params"]["kind"] == "deep"]]
    first, second = (tabled.surface(tmp_path, rows, seed=seed) for seed in (0, 1))
    assert first.training(BEST).values[-1] == pytest.approx(0.25)
    assert second.training(BEST).values[-1] == pytest.approx(0.26)
    assert first.training(BEST).expected == second.training(BEST).expected == pytest.approx(0.255)
    plain = {"rate": 2, "size": 2, "kind": "plain"}
    assert (first.training(plain).is_recorded, second.training(plain).is_recorded) == (True, False)
    assert second.training(plain).values[-1] == pytest.approx(first.training(plain).values[-1], abs=0.15)
    with pytest.raises(errors.InputError, match=r"--training-seed must be one that .* has \(0, 1\), got 2"):
        tabled.surface(tmp_path, rows, seed=2)


def test_all_configurations_are_listed_as_draws_find_them(tmp_path):
    """A population has larger values for better ones, chances that sum to one, and none where training ends early."""
    rows = tabled.rows()
    for row in rows:
        if row["params"]["rate"] == 1.0:
            row.update(stop=0, values=[], seconds=[], setup_seconds=0.25)
    surface = tabled.surface(tmp_path, rows)
    everything, kept = surface.population(), surface.population(hopeless=True)
    assert len(everything.values) == 80
    assert everything.values.max() == pytest.approx(-0.25)
    assert everything.weights.sum() == pytest.approx(1.0)
    assert numpy.isnan(kept.values).sum() == 20
    assert set(kept.costs[numpy.isnan(kept.values)]) == {0.25}
    # half of all draws are plain, and of the others a third has each number of layers
    assert sorted(set(everything.weights.round(6))) == pytest.approx([1 / 120, 1 / 40], abs=1e-6)


def test_another_space_or_direction_is_refused(tmp_path):
    """A table of another study is one clear line."""
    path = tabled.write(tmp_path / "t.jsonl", [{"params": {"x": 1}, "values": [1], "seconds": [1]}])
    with pytest.raises(errors.InputError, match="must have trainings of the study's space"):
        surfaces.Surface(tabled.spec().space, tables.load(path), maximize=False)
    tabled.write(path, tabled.rows(), direction="maximize")
    with pytest.raises(errors.InputError, match="direction must be the study's own, got maximize"):
        surfaces.Surface(tabled.spec().space, tables.load(path), maximize=False)


def test_a_space_of_one_configuration(tmp_path):
    """Where nothing is open there is no column to learn from: every seed comes to the noise of what was recorded."""
    rows = [row for row in tabled.rows() if row["params"] == {"rate": 0.1, "size": 4, "kind": "plain"}]
    table = tables.load(tabled.write(tmp_path / "one.jsonl", [{**row, "params": {"kind": "plain"}} for row in rows]))
    surface = surfaces.Surface(specs.parse(ONE, "one.toml").space, table, maximize=False)
    assert surface.searched.size == 1
    assert surface.training({"kind": "plain"}).values == pytest.approx(rows[0]["values"])
