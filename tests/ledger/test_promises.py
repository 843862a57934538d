"""The sampler gp-cost: what it begins with, proposes, wishes and bounds."""

import dataclasses
import math
from typing import Any

import numpy
import pytest
from conftest import ROOT

from search.ledger import pauses, promises, trainings
from search.study import specs
from search.surrogates.trainings import Stage, Training

LAB = specs.load(ROOT / "studies" / "lab.toml").space
MIDDLE = {"learning_rate": 1e-2, "batch_size": 11, "depth": 3, "width": 128, "activation": "ReLU"}


def model() -> promises.Model:
    return promises.Model(LAB, True, 10)


def draw(n: int, seed: int = 0) -> list[dict[str, Any]]:
    generator = numpy.random.default_rng(seed)
    return [LAB.complete(lambda p, _: p.at(float(generator.random()))) for _ in range(n)]


def training(number: int, params: dict[str, Any], stage: Stage = Stage.COMPLETE, steps: int = 10) -> Training:
    curve = (0.9 - 0.05 * abs(params["depth"] - 2)) * (1 - 0.3 / numpy.arange(1, steps + 1))
    return Training(number, params, stage, curve, float(curve[-1]) if stage is Stage.COMPLETE else None, 2.0 * steps)


def known(found: list[Training], used: float = 0.5, budget: float = math.inf) -> trainings.Known:
    taken = frozenset(LAB.key(each.params) for each in found)
    return trainings.Known(found, taken, used, budget, len(found), sum(t.stage is not Stage.RUNNING for t in found))


TRIED = [training(number, params) for number, params in enumerate(draw(12))]


def test_it_begins_in_the_middle() -> None:
    """The first trial is the middle of the space; others that begin beside it are drawn, each somewhere else."""
    assert model().propose(known([]), {}, 0) == MIDDLE
    beside = known([Training(0, MIDDLE, Stage.RUNNING, numpy.empty(0))])
    drawn = {LAB.key(model().propose(beside, {}, seed)) for seed in range(6)}
    assert len(drawn) == 6
    assert LAB.key(MIDDLE) not in drawn


def test_a_proposal_follows_from_the_trials() -> None:
    """A worker that has proposed before says what a fresh one says; another number draws something else."""
    old = model()
    old.propose(known(TRIED[:6]), {}, 3)
    assert old.propose(known(TRIED), {}, 7) == model().propose(known(TRIED), {}, 7)
    assert old.propose(known(TRIED), {}, 8) != old.propose(known(TRIED), {}, 7)


def test_what_is_fixed_stays() -> None:
    """An enqueued part of a configuration is kept, at the begin and with a model."""
    for found in ([], TRIED):
        params = model().propose(known(found), {"depth": 0}, 1)
        assert params["depth"] == 0
        assert LAB.holds(params)


def _paused(number: int, params: dict[str, Any], steps: int) -> Training:
    return training(number, params, Stage.PAUSED, steps)


def test_wishes() -> None:
    """A paused trial that is nearly there and good is taken first; a poor one is not even worth its end."""
    good, poor = {**MIDDLE, "depth": 2}, {**MIDDLE, "depth": 6}
    asked = [_paused(20, poor, 3), _paused(21, good, 9)]
    shown = [*TRIED, training(20, poor, Stage.PAUSED, 3), training(21, good, Stage.PAUSED, 9)]
    found = model().wish(known(shown), asked, 0)
    assert found.first[:1] == (21,)
    assert 20 not in found.first + found.rest
    assert model().wish(known([]), asked[:1], 0) == pauses.Wish()


@pytest.mark.parametrize(("budget", "first"), [(10, (20,)), (1000, ())])
def test_a_place_counts_where_there_are_few(budget: float, first: tuple[int, ...]) -> None:
    """Of ten trials a paused one goes on before a new one takes a place; of a thousand it comes after what is new."""
    fair = {**MIDDLE, "batch_size": 40, "depth": 2}
    shown = [*TRIED, training(20, fair, Stage.PAUSED, 1)]
    found = model().wish(known(shown, 0.1, budget), [_paused(20, fair, 1)], 0)
    assert (found.first, found.rest) == (first, (20,))


def test_the_regret_falls() -> None:
    """Nothing is known of it without a complete trial; the more of the space is tried, the smaller it is."""
    assert model().bound(known([]), 0) is None
    few, many = known(TRIED[:5]), known([training(n, params) for n, params in enumerate(draw(120))])
    first, later = model().bound(few, 0), model().bound(many, 0)
    assert first is not None
    assert later is not None
    assert (first.trials, later.trials) == (5, 120)
    assert 0 <= later.regret < first.regret < 1


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_seconds_are_of_no_unit(factor: float) -> None:
    """Where all trials cost a hundred times as much, nearly the same is chosen: only the overhead weighs less."""
    dear = [dataclasses.replace(each, seconds=each.seconds * factor) for each in TRIED]
    cheap = model().propose(known(TRIED), {}, 5)
    found = model().propose(known(dear), {}, 5)
    assert LAB.holds(found)
    assert abs(found["depth"] - cheap["depth"]) <= 2  # type: ignore[operator]
