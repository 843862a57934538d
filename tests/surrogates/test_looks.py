import collections

import numpy
import pytest
from conftest import ROOT

from search.study import specs
from search.surrogates import looks

LAB = specs.load(ROOT / "studies" / "lab.toml").space
SPACE = looks.Looks(LAB)
MIDDLE = {"learning_rate": 1e-2, "batch_size": 11, "depth": 3, "width": 128, "activation": "ReLU"}


def test_the_middle_of_the_lab() -> None:
    """Of each line the middle, and of choices that are no numbers the first; what is fixed stays."""
    assert SPACE.middle({}) == MIDDLE
    assert SPACE.middle({"depth": 0}) == {"learning_rate": 1e-2, "batch_size": 11, "depth": 0}


def test_everywhere_is_everywhere() -> None:
    """Draws are whole configurations of the space, small batch sizes among them, as the lines have it."""
    generator = numpy.random.default_rng(0)
    found = [SPACE.draw(generator, {}) for _ in range(600)]
    assert all(LAB.holds(params) for params in found)
    sizes = [int(params["batch_size"]) for params in found]  # type: ignore[arg-type]
    assert 0.15 < numpy.mean(numpy.array(sizes) <= 8) < 0.35
    assert 0.2 < numpy.mean(numpy.array(sizes) > 64) < 0.5


def test_near_changes_a_parameter_or_two() -> None:
    """A neighbour differs in one parameter mostly, by a small step, and never in what is fixed."""
    generator, changes = numpy.random.default_rng(0), collections.Counter[int]()
    for _ in range(400):
        near = SPACE.near(MIDDLE, generator, {"activation": "ReLU"})
        assert LAB.holds(near)
        assert near.get("activation", "ReLU") == "ReLU"
        if near["depth"]:
            changes[sum(near[name] != MIDDLE[name] for name in MIDDLE)] += 1
            assert abs(int(near["depth"]) - 3) <= 3  # type: ignore[call-overload]
    assert set(changes) <= {0, 1, 2}
    assert changes[1] > changes[2] > 0


@pytest.mark.parametrize("best", [[], [MIDDLE]])
def test_candidates_are_each_once(best: list[dict[str, float]]) -> None:
    """Hundreds of candidates, by key, with neighbours of the best where one is known."""
    found = SPACE.candidates(best, numpy.random.default_rng(1), {})  # type: ignore[arg-type]
    assert len(found) > 200
    assert {LAB.key(params) for params in found.values()} == set(found)
