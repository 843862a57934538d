"""What samplers are shown of a long history: the best exactly, of the others a sample."""

import itertools
import math
from typing import Any

import numpy
import optuna
import pytest
from optuna.samplers._tpe import sampler as optunas
from optuna.trial import FrozenTrial, TrialState

from search.ledger import views
from search.storage.histories import Index

VALUES = [math.inf, -math.inf, 0.5, 0.5, 0.25, -0.0, 0.0, 1e308]
STATES = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING, TrialState.RUNNING]


def history(count: int, seed: int, complete: float = 0.5) -> tuple[list[FrozenTrial], Index]:
    """Trials of all states with values of few kinds, so that many are equal, and their index."""
    rng = numpy.random.default_rng(seed)
    odds = [complete, 0.9 - complete, 0.06, 0.02, 0.02]
    trials, index = [], Index.empty()
    index.grow(count)
    for number in range(count):
        state = STATES[rng.choice(len(STATES), p=odds)]
        value = float(rng.choice([*VALUES, rng.normal(), rng.normal()]))
        last = float(rng.choice([*VALUES, math.nan, rng.normal()]))
        steps = {1: 0.5, int(rng.integers(2, 9)): last} if state == TrialState.PRUNED and rng.random() < 0.9 else {}
        trial = optuna.trial.create_trial(
            state=state, value=value if state == TrialState.COMPLETE else None, intermediate_values=steps
        )
        trial.number = number
        trials.append(trial)
        index.states[number] = state.value
        if state == TrialState.COMPLETE:
            index.values[number] = value
        if steps:
            index.last_steps[number], index.last_values[number] = max(steps.items())
    return trials, index


def below(trials: list[FrozenTrial], direction: Any) -> list[int]:
    """The numbers that Optuna's TPE takes for good."""
    study = optuna.create_study(direction=direction)
    used = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)]
    ended = sum(t.state != TrialState.RUNNING for t in used)
    return [trial.number for trial in optunas._split_trials(study, used, optunas.default_gamma(ended))[0]]


@pytest.mark.parametrize(("direction", "complete"), [*itertools.product(["minimize", "maximize"], [0.5, 0.01, 0.002])])
def test_the_good_ones_are_those_of_the_whole_history(direction: str, complete: float) -> None:
    """With ties, infinities, nan and pruned trials, TPE splits a view as it splits everything: the same are good."""
    for seed in range(4):
        trials, index = history(2_000, seed, complete)
        shown = views.tpe(index, direction == "maximize", limit=300)
        assert below([trials[number] for number in shown], direction) == below(trials, direction)
        assert sum(trials[number].state.is_finished() for number in shown) == 300


def test_a_short_history_is_shown_whole() -> None:
    """Up to the limit everything that TPE uses, running trials too; failed and waiting ones it does not."""
    trials, index = history(views.TPE_TRIALS, 0)
    used = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    assert list(views.tpe(index, maximize=True)) == [t.number for t in trials if t.state in used]


def test_a_view_changes_little_and_is_even() -> None:
    """From trial to trial two at most change, whoever asks; and each tenth of a history has its share."""
    _, index = history(20_000, 1)
    before = set(views.tpe(index.cut(19_000), maximize=False).tolist())
    for length in range(19_001, 19_100):
        now = set(views.tpe(index.cut(length), maximize=False).tolist())
        assert len(now - before) <= 2, length
        before = now
    ended = [number for number in before if index.states[number] != TrialState.RUNNING.value]
    assert len(ended) == views.TPE_TRIALS
    tenths = numpy.bincount(numpy.array(ended) * 10 // 19_100)
    assert set(tenths[1:]) <= set(range(40, 62))  # the 25 best are among the first: of equals the first


def test_a_process_is_shown_few() -> None:
    """The Gaussian process gets the best hundred complete trials, and some others, pruned ones among them."""
    trials, index = history(3_000, 2)
    shown = [trials[number] for number in views.gp(index, maximize=True)]
    complete = [trial for trial in shown if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in shown if trial.state == TrialState.PRUNED]
    assert len(complete) + len(pruned) == views.GP_TRIALS
    assert len(complete) > views.GP_BEST
    assert {trial.state for trial in shown} == {TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING}
    best = sorted(
        (t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: (-float(t.value or 0.0), t.number)
    )
    assert {trial.number for trial in best[: views.GP_BEST]} <= {trial.number for trial in complete}
