"""Names to Optuna samplers, and the next configuration: sampled in memory, never one that is taken."""

import collections
import warnings
from collections.abc import Callable, Container

import numpy
import optuna
from optuna import distributions, samplers

from search import space

warnings.filterwarnings("ignore", "Argument ``group``", optuna.exceptions.ExperimentalWarning)

SAMPLERS: dict[str, Callable[[int], samplers.BaseSampler]] = {
    # grouped: with plain TPE, width and activation leave the joint space after the first trial of depth 0
    "tpe": lambda seed: samplers.TPESampler(multivariate=True, group=True, seed=seed),
    "random": lambda seed: samplers.RandomSampler(seed=seed),
}
# Optuna's GridSampler raises in the last tell and loses the point of a failed trial: the grid is ours to walk.
GRID = "grid"
NAMES = (*SAMPLERS, GRID)
NEIGHBOUR_LIMIT = 100_000


def propose(
    name: str,
    tree: space.Space,
    study: optuna.Study,
    trial: optuna.trial.FrozenTrial,
    fixed: space.Params,
    seed: int,
    attempt: int = 0,
) -> space.Params:
    """A whole configuration for a trial; nothing is written.

    The sampler is made anew and seeded by (study seed, trial number, attempt): two workers never draw the same
    stream, and it does not matter which of them asks.

    Args:
        study: its storage answers with the finished and running trials.
        trial: the trial that asks, RUNNING, for its number.
        fixed: values that an enqueued configuration has set.
    """
    mixed = int(numpy.random.SeedSequence((seed, trial.number, attempt)).generate_state(1)[0])
    sampler = SAMPLERS[name](mixed)
    sampler.before_trial(study, trial)
    relative = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

    def choose(parameter: space.Parameter, _: space.Params) -> space.Value:
        if parameter.name in fixed:
            return fixed[parameter.name]
        if parameter.name in relative:
            return relative[parameter.name]  # type: ignore[no-any-return]  # Optuna's Any
        if parameter.distribution.single():
            return _single(parameter.distribution)
        return sampler.sample_independent(  # type: ignore[no-any-return]  # Optuna's Any
            study, trial, parameter.name, parameter.distribution
        )

    return tree.complete(choose)


def next_in_grid(tree: space.Space, fixed: space.Params, taken: Container[str]) -> space.Params | None:
    """The first configuration of the grid, in the study file's order, that no trial has; None where all are taken."""
    for params in tree.configurations():
        if tree.key(params) not in taken and all(params.get(name, value) == value for name, value in fixed.items()):
            return params
    return None


def unseen_neighbour(
    tree: space.Space, params: space.Params, fixed: space.Params, taken: Container[str]
) -> space.Params | None:
    """The nearest configuration whose key is not taken, breadth first from `params`; None where there is none.

    Values in `fixed` stay as they are.
    """
    queue = collections.deque([params])
    seen = {tree.key(params)}
    while queue and len(seen) < NEIGHBOUR_LIMIT:
        for near in tree.neighbours(queue.popleft()):
            key = tree.key(near)
            if key in seen or any(near.get(name, value) != value for name, value in fixed.items()):
                continue
            if key not in taken:
                return near
            seen.add(key)
            queue.append(near)
    return None


def _single(distribution: distributions.BaseDistribution) -> space.Value:
    if isinstance(distribution, distributions.CategoricalDistribution):
        return distribution.choices[0]  # type: ignore[return-value]  # study files hold numbers and strings only
    return distribution.low  # type: ignore[attr-defined,no-any-return]  # all other distributions have bounds
