import math

import pytest
from optuna import distributions

from search.space import lines, parameters


def parameter(distribution: distributions.BaseDistribution) -> parameters.Parameter:
    return parameters.Parameter("it", distribution)


@pytest.mark.parametrize(
    ("distribution", "value", "place"),
    [
        (distributions.FloatDistribution(-1.0, 3.0), 1.0, 0.5),
        (distributions.FloatDistribution(1e-4, 1e-2, log=True), 1e-3, 0.5),
        (distributions.IntDistribution(0, 6), 3, 0.5),
        (distributions.IntDistribution(1, 128), math.sqrt(128), 0.5),  # spans ten-fold: by ratio
        (distributions.CategoricalDistribution([512, 32, 128]), 128, 0.5),
        (distributions.CategoricalDistribution([1e-4, 1e-2, 1e-1]), 1e-2, 2 / 3),
        (distributions.IntDistribution(1, 8), 4.5, 0.5),  # does not
    ],
)
def test_where_a_number_lies(distribution: distributions.BaseDistribution, value: float, place: float) -> None:
    """Numbers lie by their difference, or by their ratio where they are positive and span ten-fold."""
    line = lines.Line.find(parameter(distribution))
    assert line is not None
    assert line.place(value) == pytest.approx(place)


@pytest.mark.parametrize(
    "distribution",
    [
        distributions.CategoricalDistribution(["ReLU", "GELU"]),
        distributions.CategoricalDistribution([True, False]),
        distributions.CategoricalDistribution([1, "1"]),
        distributions.CategoricalDistribution([7]),
        distributions.CategoricalDistribution([1.0, float("inf")]),
        distributions.CategoricalDistribution([1, None]),
    ],
)
def test_what_is_no_line(distribution: distributions.BaseDistribution) -> None:
    """Words, truth values, mixtures, infinities and a single value have no line."""
    assert lines.Line.find(parameter(distribution)) is None


@pytest.mark.parametrize(
    "distribution",
    [
        distributions.IntDistribution(1, 128),
        distributions.IntDistribution(4, 64, step=4),
        distributions.IntDistribution(1, 1000, log=True),
        distributions.FloatDistribution(0.1, 0.9, step=0.1),
        distributions.CategoricalDistribution([512, 32, 128]),
    ],
)
def test_a_value_is_found_again_at_its_place(distribution: distributions.BaseDistribution) -> None:
    """The value nearest to the place of a value is that value, and places beyond the ends are the ends."""
    it = parameter(distribution)
    line, values = lines.Line.find(it), it.values
    assert line is not None
    assert values is not None
    for value in values:
        assert line.value(it, line.place(float(value))) == value  # type: ignore[arg-type]  # numbers, all of them
    assert {line.value(it, -1.0), line.value(it, 2.0)} == {min(values), max(values)}  # type: ignore[type-var]
