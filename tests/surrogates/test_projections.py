import numpy
import pytest

from search.surrogates import projections


def test_a_line_is_learned() -> None:
    """With many pairs the line is theirs, and its deviation what they have around it."""
    generator = numpy.random.default_rng(0)
    early = generator.standard_normal(400)
    last = 0.3 + 0.6 * early + 0.05 * generator.standard_normal(400)
    line = projections.Projection(early, last, 0.6, numpy.ones(400))
    assert line(1.0) == pytest.approx(0.9, abs=0.02)
    assert line.deviation == pytest.approx(0.05, abs=0.02)


def test_without_pairs_a_value_stands_for_itself() -> None:
    """Nothing is known: the value at the end is that of now, very uncertain."""
    line = projections.Projection(numpy.empty(0), numpy.empty(0), 2.0, numpy.empty(0))
    assert line(-0.7) == -0.7
    assert line.deviation == projections.DEVIATION * 2.0


def test_one_pair_shifts() -> None:
    """After one pair others are expected to gain about as much."""
    line = projections.Projection(numpy.array([-1.0]), numpy.array([-0.2]), 1.0, numpy.ones(1))
    assert line(-1.0) == pytest.approx(-0.2)
    assert line(-1.5) == pytest.approx(-0.2 - 0.5 * projections.SLOPE)


def test_what_is_less_alike_says_less() -> None:
    """Pairs that weigh little leave the value as uncertain as it is without them; heavy ones draw the line."""
    early, last = numpy.linspace(-1, 0, 20), numpy.linspace(-0.2, 0, 20)
    sure, unsure = (projections.Projection(early, last, 1.0, numpy.full(20, weight)) for weight in (1.0, 0.02))
    assert sure.deviation < 0.4 * projections.DEVIATION
    assert unsure.deviation > 0.9 * projections.DEVIATION
    mixed = projections.Projection(
        numpy.append(early, early), numpy.append(last, last - 3), 1.0, numpy.repeat([1.0, 0.01], 20)
    )
    assert mixed(-0.5) == pytest.approx(-0.1, abs=0.05)
