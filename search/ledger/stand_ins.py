"""A study in memory that stands for ours where Optuna's Gaussian process learns: it drops what some trial lacks."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from search.ledger import proposals

LARGEST = 1e100  # that the process is shown


def study(ask: "proposals.Ask") -> optuna.Study:
    """What it may learn from, the trial that asks last.

    A pruned trial counts as what it had last, one without a value as the worst there is. A parameter that a trial lacks
    has its first value there, so that it stays part of the model.
    """
    axes = {p.name: p.distribution for p in ask.tree.parameters if not p.distribution.single()}
    shown, ended = optuna.create_study(direction=ask.study.direction), (TrialState.COMPLETE, TrialState.PRUNED)
    trials = ask.study.get_trials(deepcopy=False, states=(*ended, TrialState.RUNNING))
    told = [value for trial in trials if (value := _last(trial)) is not None]
    bounded = _bounded(told)
    minimizes = ask.study.direction == optuna.study.StudyDirection.MINIMIZE
    worst = max(told, default=0.0) if minimizes else min(told, default=0.0)
    for trial in trials:
        if trial.params and trial.number != ask.trial.number:
            params = {p.name: trial.params.get(p.name, p.at(0.0)) for p in ask.tree.parameters if p.name in axes}
            value, state = None, TrialState.RUNNING
            if trial.state in ended:
                value, state = bounded(worst if (last := _last(trial)) is None else last), TrialState.COMPLETE
            shown.add_trial(optuna.trial.create_trial(state=state, value=value, params=params, distributions=axes))
    shown.ask()
    return shown


def _bounded(values: Sequence[float]) -> Callable[[float], float]:
    """Takes a value to the nearest that can be squared: infinite ones to the ends of the others, as Optuna does."""
    finite = [min(max(value, -LARGEST), LARGEST) for value in values if math.isfinite(value)] or [0.0]
    return lambda value: min(max(value, min(finite)), max(finite))


def _last(trial: FrozenTrial) -> float | None:
    """What a trial was told with, or a pruned one has reported last."""
    if trial.value is not None:
        return float(trial.value)
    steps = trial.intermediate_values
    return steps[max(steps)] if trial.state == TrialState.PRUNED and steps else None
