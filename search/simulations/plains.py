"""Simulated workers of plain Optuna, as its users write them: every parameter suggested flat, whatever it is worth."""

import math
import time
from collections.abc import Callable

import optuna
from optuna import pruners, samplers
from optuna.trial import TrialState

from search import errors, words
from search.simulations.clocks import Clock, Life
from search.simulations.runs import End, Run
from search.space import surfaces

SAMPLERS: dict[str, Callable[[int], samplers.BaseSampler]] = {
    "tpe": lambda seed: samplers.TPESampler(seed=seed),
    "random": lambda seed: samplers.RandomSampler(seed=seed),
    "qmc": lambda seed: samplers.QMCSampler(seed=seed),
    "gp": lambda seed: samplers.GPSampler(seed=seed),
    "cmaes": lambda seed: samplers.CmaEsSampler(seed=seed),
}
# by the epochs of a whole training
PRUNERS: dict[str, Callable[[int], pruners.BasePruner]] = {
    "none": lambda _: pruners.NopPruner(),
    "median": lambda _: pruners.MedianPruner(),
    "successive-halving": lambda _: pruners.SuccessiveHalvingPruner(),
    "hyperband": lambda epochs: pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
}


def split(name: str) -> tuple[str, str]:
    """The sampler and the pruner of `tpe` or `tpe+hyperband`.

    Raises:
        errors.InputError: there is none of that name.
    """
    sampler, _, pruner = name.partition("+")
    for given, known in ((sampler, SAMPLERS), (pruner or "none", PRUNERS)):
        if given not in known:
            raise errors.InputError(
                f"--plain must be a sampler or sampler+pruner of Optuna ({', '.join(SAMPLERS)}; "
                f"{', '.join(PRUNERS)}), got {name!r}{words.hint(given, list(known))}"
            )
    return sampler, pruner or "none"


class Plain:
    """One study in memory with its simulated workers: ask, report, should_prune, tell.

    Args:
        limit_trials: that are asked for, and `limit_seconds`, of CPU time, after which nothing begins.
        pays_setup: a training has a setup of its own, which is not that of the rule against hopeless networks.
        counts_asks: the sampler's own CPU time counts, too.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        surface: surfaces.Surface,
        clock: Clock,
        limit_trials: int,
        limit_seconds: float,
        pays_setup: bool = False,
        counts_asks: bool = True,
    ) -> None:
        sampler, pruner = split(name)
        self._study = optuna.create_study(
            study_name=f"{name} {seed}",  # hyperband draws by it
            direction="maximize" if surface.sign > 0 else "minimize",
            sampler=SAMPLERS[sampler](seed),
            pruner=PRUNERS[pruner](surface.steps),
        )
        self._surface, self._clock, self._counts_asks, self._pays_setup = surface, clock, counts_asks, pays_setup
        self._left, self._limit_seconds = limit_trials, limit_seconds
        self._flat = {parameter.name: parameter.distribution for parameter in surface.searched.parameters}
        self.run = Run()

    def life(self, _: int) -> Life:
        """A worker's, until the budget is used up."""
        while self._left > 0 and self._clock.spent < self._limit_seconds:
            self._left -= 1
            started = time.thread_time()
            trial = self._study.ask(self._flat)
            taken = time.thread_time() - started
            self.run.begun.add(trial.number)
            self.run.asks += taken
            if self._counts_asks:
                yield taken
            params = self._surface.searched.complete(lambda p, _, trial=trial: trial.params[p.name])  # type: ignore[misc]
            training = self._surface.training(params)
            yield from self._train(trial, training)

    def _train(self, trial: optuna.Trial, training: surfaces.Training) -> Life:
        if self._pays_setup:
            yield self.run.spend(training, training.setup_seconds)
        state, epoch = TrialState.COMPLETE, 0
        for epoch, (value, seconds) in enumerate(zip(training.values, training.seconds, strict=True), 1):
            yield self.run.spend(training, seconds)
            trial.report(value, epoch)
            if trial.should_prune():
                state = TrialState.PRUNED
                break
        if state == TrialState.COMPLETE and math.isnan(value):
            state = TrialState.FAIL
        self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
        clock = self._clock
        self.run.ends.append(End(clock.now, clock.spent, epoch, state.name.lower(), value, training.expected))
