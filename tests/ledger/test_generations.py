"""A CMA-ES that is kept proposes as one that is told everything anew."""

from typing import Any

import numpy
import optuna
from optuna.trial import FrozenTrial, TrialState

from search.ledger import proposals
from search.space import parameters, spaces
from search.storage.histories import Index

KINDS: dict[str, optuna.distributions.BaseDistribution] = {
    "momentum": optuna.distributions.FloatDistribution(0.0, 1.0),
    "batch_size": optuna.distributions.IntDistribution(1, 128),
}
SPACE = spaces.Space.arrange({name: parameters.Parameter(name, kind) for name, kind in KINDS.items()})


class Shown(optuna.storages.InMemoryStorage):
    """A storage that shows the trials that it is given, under their own numbers."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        super().__init__()
        self.trials = trials

    def get_all_trials(self, *_: Any, **__: Any) -> list[FrozenTrial]:
        return self.trials


def propose(trials: list[FrozenTrial], number: int, memory: proposals.Memory) -> spaces.Params:
    asking = optuna.trial.create_trial(state=TrialState.RUNNING)
    asking.number = number
    study = optuna.create_study(storage=Shown(trials))
    return proposals.propose("cmaes", proposals.Ask(SPACE, study, asking, {}, 3, 0, memory))


def end(number: int, params: spaces.Params, state: TrialState, value: float) -> FrozenTrial:
    trial = optuna.trial.create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params=params,
        distributions={name: KINDS[name] for name in params},
    )
    trial.number = number
    return trial


def test_the_same_proposals_for_less() -> None:
    """Trials that end out of order, fail, or lack parameters: bit for bit the proposals of a fresh one."""
    rng = numpy.random.default_rng(0)
    view = proposals.SAMPLERS["cmaes"].view
    assert view is not None
    ended: dict[int, FrozenTrial] = {}
    running: dict[int, spaces.Params] = {}
    index, memory, told = Index.empty(), proposals.Memory(), []
    index.grow(300)
    for number in range(300):
        complete = [t for n, t in sorted(ended.items()) if t.state == TrialState.COMPLETE]
        rest = [ended[n] for n in view(False, memory)(index.cut(number))]
        told.append(len(rest))
        kept = propose(rest, number, memory)
        assert kept == propose(complete, number, proposals.Memory()), number
        running[number] = kept if rng.random() < 0.9 else {"momentum": 0.5}
        while len(running) > 4:
            one = int(rng.choice(list(running))) if rng.random() < 0.8 else min(running)
            state = TrialState.FAIL if rng.random() < 0.05 else TrialState.COMPLETE
            ended[one] = end(one, running.pop(one), state, float(rng.normal()))
            index.states[one] = state.value
    assert numpy.median(told) < 30
