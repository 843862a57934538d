import numpy
import pytest
from conftest import ROOT

from search.space import encodings
from search.study import specs

LAB = specs.load(ROOT / "studies" / "lab.toml").space
DEEP = {"learning_rate": 1e-2, "batch_size": 1, "depth": 3, "width": 128, "activation": "GELU"}
FLAT = {"learning_rate": 1e-1, "batch_size": 128, "depth": 0}


def test_the_points_of_the_lab() -> None:
    """A column a number, one an activation, and one for whether there are hidden layers."""
    encoding = encodings.Encoding(LAB)
    assert [group.stop - group.start for group in encoding.groups] == [1, 1, 1, 1, 3, 1]
    assert list(encoding.owners) == [0, 1, 2, 3, 4, 4, 4, 5]
    deep, flat = encoding([DEEP, FLAT])
    assert deep == pytest.approx([2 / 3, 0, 0.5, 0.5, 0, 0, 0.5**0.5, 0])
    assert flat == pytest.approx([1, 1, 0, 0.5, 0, 0, 0, 0.5**0.5])


def test_two_choices_are_one_apart() -> None:
    """Two activations are as far apart as the ends of a range, and as two networks of which one has none."""
    points = encodings.Encoding(LAB)([DEEP, {**DEEP, "activation": "ReLU"}])
    assert numpy.linalg.norm(points[0] - points[1]) == pytest.approx(1)


def test_no_configurations_are_no_points() -> None:
    """An empty list has a shape that can be joined with others."""
    assert encodings.Encoding(LAB)([]).shape == (0, 8)
