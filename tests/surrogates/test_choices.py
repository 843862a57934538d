import math
from collections.abc import Sequence
from typing import Any

import numpy
from conftest import ROOT

from search.space import encodings
from search.study import specs
from search.surrogates import choices, looks, outlooks
from search.surrogates.trainings import Stage, Training

LAB = specs.load(ROOT / "studies" / "lab.toml").space
SPACE, ENCODING = looks.Looks(LAB), encodings.Encoding(LAB)


def value(params: dict[str, Any]) -> float:
    """Best at rate 0.1, batch size 8, depth 2."""
    size = math.log2(params["batch_size"]) - 3
    return (
        0.9 - 0.02 * size * size - 0.03 * abs(params["depth"] - 2) - 0.1 * abs(math.log10(params["learning_rate"]) + 1)
    )


def training(number: int, params: dict[str, Any], stage: Stage = Stage.COMPLETE, steps: int = 10) -> Training:
    curve = value(params) * (1 - 0.3 / numpy.arange(1, steps + 1))
    told = float(curve[-1]) if stage is Stage.COMPLETE else None
    return Training(number, params, stage, curve, told, steps * (1.0 + params["depth"]))


def tried(n: int, seed: int = 0) -> list[Training]:
    generator = numpy.random.default_rng(seed)
    return [training(number, SPACE.draw(generator, {})) for number in range(n)]


def choose(
    trainings: list[Training],
    paused: Sequence[Training] = (),
    thrift: float = 1.0,
    fixed: Any = None,
) -> choices.Choice:
    outlook = outlooks.Outlook(ENCODING, [*trainings, *paused], True, 10)
    taken = {LAB.key(each.params) for each in (*trainings, *paused)}
    return choices.choose(outlook, SPACE, paused, numpy.random.default_rng(7), fixed or {}, taken, thrift)


def test_it_climbs() -> None:
    """From a few trials on, chosen configurations soon beat the best of ten times as many by chance."""
    trainings = tried(5)
    for number in range(5, 25):
        found = choose(trainings, thrift=0.0).new
        assert found is not None
        trainings.append(training(number, found))
    assert max(each.last for each in trainings) > max(each.last for each in tried(250, seed=1))


def test_thrift_takes_the_cheaper() -> None:
    """The more a second counts, the less the chosen configurations cost."""
    costs = {}
    for thrift in (0.0, 1.0):
        found = [choose(tried(12, seed), thrift=thrift).new for seed in range(8)]
        costs[thrift] = numpy.mean([1.0 + params["depth"] for params in found if params is not None])  # type: ignore[operator]
    assert costs[1.0] < costs[0.0]


def test_a_promising_pause_comes_first() -> None:
    """A paused trial that is on the way to the best value is taken before anything new; a poor one is not worth it."""
    best = {"learning_rate": 0.1, "batch_size": 8, "depth": 2, "width": 128, "activation": "ReLU"}
    poor = {"learning_rate": 1e-4, "batch_size": 128, "depth": 6, "width": 32, "activation": "Sigmoid"}
    paused = [training(90, poor, Stage.PAUSED, 3), training(91, best, Stage.PAUSED, 9)]
    found = choose(tried(15), paused)
    assert found.first[:1] == (91,)
    assert found.rest[:1] == (91,)
    assert 90 not in found.first + found.rest


def test_what_is_fixed_stays_and_what_is_taken_is_not_chosen() -> None:
    """A choice keeps fixed values, and is none of the configurations that trials have."""
    trainings = tried(10)
    found = choose(trainings, fixed={"depth": 0}).new
    assert found is not None
    assert found["depth"] == 0
    assert LAB.key(found) not in {LAB.key(each.params) for each in trainings}


def test_nothing_is_left() -> None:
    """Where every candidate is taken there is nothing new."""
    trainings = tried(6)
    outlook = outlooks.Outlook(ENCODING, trainings, True, 10)
    fixed = {**SPACE.middle({})}
    found = choices.choose(outlook, SPACE, [], numpy.random.default_rng(0), fixed, {LAB.key(fixed)})
    assert found == choices.Choice(None)
