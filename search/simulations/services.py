"""Simulated workers of this service: claims, proposals, reports, pruners and budget of real ones, on a real database.

Only training is another: what an epoch came to, and how long it took, is read from a surface.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Generator
from typing import Any

from optuna.trial import TrialState

from search import errors
from search.ledger import allocations, claims, configurations, presence, studies, wishes
from search.simulations.clocks import Clock, Life
from search.simulations.runs import End, Run
from search.space import surfaces
from search.storage import databases
from search.study import specs
from search.training import objectives, records
from search.worker import ownership

GRACE_SECONDS = 1e9  # nobody beats: no trial is an orphan
WAITS = (allocations.NoTrial.WAIT, allocations.NoTrial.PAUSED)


class Service:
    """One study with its simulated workers.

    Args:
        limit_seconds: of CPU time, after which nothing begins.
        counts_asks: the sampler's own CPU time counts, too.
    """

    def __init__(
        self,
        database: databases.Database,
        spec: specs.StudySpec,
        surface: surfaces.Surface,
        clock: Clock,
        limit_seconds: float,
        counts_asks: bool = True,
    ) -> None:
        self._database, self._surface, self._clock = database, surface, clock
        self._study = studies.create(database, dataclasses.replace(spec, space=surface.searched))
        self._history = database.history(self._study.study_id)
        self._wished = wishes.of(database, self._study, self._history)
        self._limit_seconds, self._counts_asks = limit_seconds, counts_asks
        self._stop = threading.Event()
        self.run = Run()

    def life(self, number: int) -> Life:
        """A worker's, until there is nothing left to do."""
        me = presence.Identity(f"simulated:{number}", "simulated", 0, 0.0)
        watch = presence.Watch(GRACE_SECONDS)
        while self._clock.spent < self._limit_seconds:
            said = (None, None) if self._wished is None else self._wished.ask()
            claim = allocations.take(self._database, self._study, me, watch, (), *said)
            if isinstance(claim, claims.Claim):
                self.run.begun.add(claim.number)
                with contextlib.suppress(errors.Paused):
                    yield from self._go_through(claim, me)
            elif claim in WAITS:
                yield None
            else:
                return

    def _go_through(self, claim: claims.Claim, me: presence.Identity) -> Life:
        trial = ownership.OwnedTrial(
            self._database, self._study, claim, self._stop, wished=self._wished, clock=self._clock
        )
        params = configurations.configure(self._database, self._study, claim, self._history)
        yield from self._ask()
        trial.begin(params)
        training = self._surface.training(params)
        state, values, attrs = yield from self._train(trial, training)
        attrs |= {records.SECONDS.name: trial.seconds, records.WORKER.name: me.name}
        how = self._study.spec.training
        value = records.value(values, how.value if how else "last")
        trial.tell(state, value, attrs)
        clock, last = self._clock, values[-1] if values else None
        self.run.ends.append(
            End(clock.now, clock.spent, len(values), state.name.lower(), value, last, training.expected)
        )

    def _ask(self) -> Life:
        """The CPU time that the sampler has taken since this was asked last."""
        taken = configurations.memory_of(self._history).seconds - self.run.asks
        self.run.asks += taken
        if taken and self._counts_asks:
            yield taken

    def _train(
        self, trial: ownership.OwnedTrial, training: surfaces.Training
    ) -> Generator[float | None, None, tuple[TrialState, list[float], dict[str, Any]]]:
        """As `networks.NetworkObjective` does it, an epoch after another."""
        is_judged = self._study.spec.pruning.hopeless
        values = list(trial.saved.values) if trial.saved else []
        reason = trial.should_prune() if values else None
        if not values and (is_judged or self._study.spec.training is None):
            yield self.run.spend(training, training.setup_seconds)
        if is_judged and training.stop == 0:
            reason = "hopeless before training"
        while not reason and len(values) < len(training.values):
            yield self.run.spend(training, training.seconds[len(values)])
            values.append(training.values[len(values)])
            if is_judged and len(values) == training.stop:
                reason = f"hopeless after epoch {training.stop}"
            after = objectives.Checkpoint(len(values), (), list(values), {})
            trial.report(len(values), values[-1], {}, after)
            reason = reason or trial.should_prune()
            yield from self._ask()
        return (
            TrialState.PRUNED if reason else TrialState.COMPLETE,
            values,
            {records.REASON.name: reason} if reason else {},
        )
