"""Names to samplers: each proposes a whole configuration in memory, from the trials so far and a seed.

A proposal depends on (study seed, trial number, attempt) and on the trials of the study, never on which worker asks:
samplers are made anew each time, and what state they need is rebuilt from the trials. Of a long history each is shown
what it can use (`views`); what a worker keeps between asks (`Memory`) saves time and changes no proposal.
"""

import dataclasses
import functools
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy
import optuna
from optuna import samplers
from optuna.trial import FrozenTrial, TrialState

from search.ledger import generations, pauses, stand_ins, stops, trainings, views
from search.space import candidates, parameters, scalars, spaces
from search.storage.histories import Index
from search.study.samplers import STARTUP_TRIALS
from search.surrogates.trainings import Training

if TYPE_CHECKING:
    from search.ledger import promises

warnings.filterwarnings("ignore", "Argument ``group``", optuna.exceptions.ExperimentalWarning)

STEP = 1 / 6  # of each range: the initial sigma of Optuna's CmaEsSampler


@dataclasses.dataclass
class Memory:
    """What one worker keeps of a study between asks; its threads take the lock to ask.

    Attributes:
        seconds: CPU time that its proposals have taken.
    """

    grid: candidates.Walk | None = None
    cmaes: generations.Generations | None = None
    seen: trainings.Trainings = dataclasses.field(default_factory=trainings.Trainings)
    model: "promises.Model | None" = None
    seconds: float = 0.0
    lock: threading.RLock = dataclasses.field(default_factory=threading.RLock, compare=False)


@dataclasses.dataclass(frozen=True)
class Ask:
    """What a sampler is asked.

    Attributes:
        study: its storage answers with the finished and running trials that the sampler's view shows.
        trial: the trial that asks, RUNNING, for its number.
        fixed: values that an enqueued configuration has set.
        seed: the study's.
        attempt: how many proposals of this trial were taken already.
        memory: the worker's; a fresh one gives the same proposal.
        known: the trials as a model is shown them, for a sampler that has one.
        steps: of a whole training; None where it is not known.
        startup_trials: by chance before the sampler learns; None for its own default.
    """

    tree: spaces.Space
    study: optuna.Study
    trial: FrozenTrial
    fixed: spaces.Params
    seed: int
    attempt: int = 0
    memory: Memory = dataclasses.field(default_factory=Memory)
    known: trainings.Known | None = None
    steps: int | None = None
    startup_trials: int | None = None

    @property
    def mixed_seed(self) -> int:
        """The proposal's own seed: two workers never draw the same stream."""
        return int(numpy.random.SeedSequence((self.seed, self.trial.number, self.attempt)).generate_state(1)[0])

    def complete(self, choose: Callable[[parameters.Parameter], scalars.Value]) -> spaces.Params:
        """A whole configuration: what is fixed, and what `choose` says of each other parameter that exists."""
        return self.tree.complete(lambda p, _: self.fixed[p.name] if p.name in self.fixed else p.nearest(choose(p)))


def propose(name: str, ask: Ask) -> spaces.Params:
    """A whole configuration from the sampler of that name; nothing is written."""
    return SAMPLERS[name].propose(ask)


def _optuna(make: Callable[[int], samplers.BaseSampler]) -> Callable[[Ask], spaces.Params]:
    """A sampler of Optuna's that stores nothing."""

    def sample(ask: Ask) -> spaces.Params:
        study, trial, sampler = ask.study, ask.trial, make(ask.mixed_seed)
        sampler.before_trial(study, trial)
        relative = sampler.sample_relative(study, trial, sampler.infer_relative_search_space(study, trial))

        def choose(parameter: parameters.Parameter) -> scalars.Value:
            if parameter.name in relative:
                return relative[parameter.name]  # type: ignore[no-any-return]  # Optuna's Any
            if parameter.distribution.single():
                return parameter.at(0.0)
            return sampler.sample_independent(  # type: ignore[no-any-return]  # Optuna's Any
                study, trial, parameter.name, parameter.distribution
            )

        return ask.complete(choose)

    return sample


def _tpe(ask: Ask) -> spaces.Params:
    startup = STARTUP_TRIALS["tpe"] if ask.startup_trials is None else ask.startup_trials
    # grouped: with plain TPE, width and activation leave the joint space after the first trial of depth 0
    make = functools.partial(samplers.TPESampler, multivariate=True, group=True, n_startup_trials=startup)
    return _optuna(lambda seed: make(seed=seed))(ask)


def _sobol(ask: Ask) -> spaces.Params:
    """The trial's own point of one scrambled Sobol sequence over all parameters; those that do not exist skip theirs.

    Optuna's QMCSampler keeps its position in the study's attributes, where workers race for it, and leaves choices to
    chance.
    """
    from scipy.stats import qmc  # half a second, which a worker with another sampler need not wait for

    names = [p.name for p in ask.tree.parameters]
    sequence = qmc.Sobol(len(names), rng=numpy.random.default_rng(ask.seed))
    if ask.trial.number:
        sequence.fast_forward(ask.trial.number)
    point = dict(zip(names, sequence.random()[0], strict=True))
    return ask.complete(lambda parameter: parameter.at(float(point[parameter.name])))


def _cma(ask: Ask) -> spaces.Params:
    """CMA-ES on the unit cube, told the complete trials generation by generation.

    Optuna's CmaEsSampler hands its state on as a pickle in a trial's attributes; here it is computed from the trials.
    """
    import cmaes

    axes = {p.name: p for p in ask.tree.parameters if not p.distribution.single()}
    sign = 1 if ask.study.direction == optuna.study.StudyDirection.MINIMIZE else -1

    def make() -> cmaes.CMA:
        bounds = numpy.tile([0.0, 1.0], (len(axes), 1))
        return cmaes.CMA(mean=numpy.full(len(axes), 0.5), sigma=STEP, bounds=bounds)

    def told(trial: FrozenTrial) -> generations.Told | None:
        if trial.value is None or not all(name in trial.params for name in axes):
            return None
        return numpy.array([axis.position(trial.params[name]) for name, axis in axes.items()]), sign * trial.value

    complete = ask.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    optimizer = _generations(ask.memory).tell(make, complete, told, ask.mixed_seed)
    point = dict(zip(axes, optimizer.ask(), strict=True))
    return ask.complete(lambda p: p.at(float(point[p.name])) if p.name in point else p.at(0.0))


def _generations(memory: Memory) -> generations.Generations:
    memory.cmaes = memory.cmaes or generations.Generations()
    return memory.cmaes


def _gp(ask: Ask) -> spaces.Params:
    """Optuna's Gaussian process over all parameters at once."""
    shown, seed = stand_ins.study(ask), ask.mixed_seed  # of the true number
    again = dataclasses.replace(ask, study=shown, trial=shown.get_trials(deepcopy=False)[-1])
    return _optuna(lambda _: samplers.GPSampler(seed=seed))(again)


def _gp_cost(ask: Ask) -> spaces.Params:
    from search.ledger import promises  # scipy's optimizers, which a worker with another sampler need not wait for

    return promises.propose(ask)


def _gp_cost_wish(ask: Ask, paused: Sequence[Training]) -> pauses.Wish:
    from search.ledger import promises

    return promises.wish(ask, paused)


def _gp_cost_bound(ask: Ask) -> stops.Bound | None:
    from search.ledger import promises

    return promises.bound(ask)


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How one proposes, and what it is shown.

    Attributes:
        view: makes of (whether to maximize, memory) what chooses the trials to show; None where it learns of none.
        asks_again: whether it proposes something else where its proposal is taken.
        has_model: whether it asks for `Ask.known`.
        bound: of one with a model, how much worse the best trial is than the best there is; None where it cannot say.
        wish: of one with a model, which of the paused trials it would go on with; None where successive halving
            decides. It is asked before each claim, and by a running trial at a rung, which is among the paused then and
            goes on at once where it comes first. The trial of the ask is that one, or has the number after the last.
    """

    propose: Callable[[Ask], spaces.Params]
    view: Callable[[bool, Memory], Callable[[Index], numpy.ndarray]] | None = None
    asks_again: bool = True
    wish: Callable[[Ask, Sequence[Training]], pauses.Wish] | None = None
    has_model: bool = False
    bound: Callable[[Ask], stops.Bound | None] | None = None


SAMPLERS = {
    "tpe": Sampler(_tpe, lambda maximize, _: lambda index: views.tpe(index, maximize)),
    "random": Sampler(_optuna(lambda seed: samplers.RandomSampler(seed=seed))),
    "qmc": Sampler(_sobol, asks_again=False),
    "cmaes": Sampler(_cma, lambda _, memory: _generations(memory).rest),
    "gp": Sampler(_gp, lambda maximize, _: lambda index: views.gp(index, maximize), asks_again=False),
    "gp-cost": Sampler(_gp_cost, wish=_gp_cost_wish, has_model=True, bound=_gp_cost_bound),
}
