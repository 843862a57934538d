"""Parameters as a study file writes them."""

from typing import Any

import numpy
import pytest
import tomli_w
from optuna import distributions

from search.study import entries, specs

INT, FLOAT, CHOICE = (
    distributions.IntDistribution,
    distributions.FloatDistribution,
    distributions.CategoricalDistribution,
)


@pytest.mark.parametrize(
    "distribution",
    [
        FLOAT(0, 1),
        FLOAT(1e-8, 10.0, log=True),
        FLOAT(0.0, 0.9, step=0.3),
        FLOAT(1.0, 5.0, step=1.0),
        FLOAT(2.0, 2.0),
        INT(1, 10),
        INT(1, 9, step=2),
        INT(1, 1024, log=True),
        CHOICE((None, True, False, 1, 2.5, "a'b\"c")),
        CHOICE([None]),
        CHOICE(["x"]),
    ],
)
def test_a_distribution_comes_back(distribution: distributions.BaseDistribution) -> None:
    """What is written of it is read as the same, its choices in their order."""
    file: dict[str, Any] = {"objective": "mine:objective", "study": {"name": "own"}, "budget": {"trials": 1}}
    file["space"] = {"model.x": entries.of(distribution), "early": [True, False]}
    file["space"]["late"] = entries.of(distribution, when="early")
    tree = specs.parse(tomli_w.dumps(file), "own.toml").space
    found = {each.name: each for each in tree.parameters}
    assert found["model.x"].distribution == found["late"].distribution == distribution
    assert str(found["late"].when) == "early"


def test_a_space_of_python_s() -> None:
    """Tuples, None, NumPy's numbers and Optuna's distributions; what else is wrong is the file's to say."""
    given = {
        "a": (1, None),
        "b": {"low": numpy.float64(0.5), "high": 1},
        "c": numpy.array([1, 2]),
        "d": INT(1, 2),
        "e": 3,
    }
    given["f"] = {"choices": ("x", None), "when": "d == 1"}
    wanted: dict[str, Any] = {"a": [1, {"none": True}], "b": {"low": 0.5, "high": 1}, "c": [1, 2]}
    wanted |= {"d": {"low": 1, "high": 2}, "e": 3, "f": {"choices": ["x", {"none": True}], "when": "d == 1"}}
    assert entries.space(given) == wanted
    assert type(entries.space(given)["b"]["low"]) is float  # type: ignore[call-overload]


def test_a_choice_that_no_file_can_hold() -> None:
    """A tuple among the choices is named, with what to do about it."""
    with pytest.raises(ValueError, match=r"space.layers\[1\] must be a number, a string, .* got \(64, 64\): name your"):
        entries.space({"layers": ["one", (64, 64)]})
