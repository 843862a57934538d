"""What a study's sampler says before a claim: which paused trials it would go on with, and how large its regret is."""

from collections.abc import Mapping, Sequence

import numpy
import optuna
from optuna.trial import TrialState

from search.ledger import claims, configurations, orders, pauses, proposals, stops, studies, trainings
from search.space import spaces
from search.storage import histories
from search.storage.databases import Database
from search.surrogates.trainings import Stage, Training


class Wishes:
    """One worker's questions to its sampler; its threads share them."""

    def __init__(self, database: Database, study: studies.Study, history: histories.History) -> None:
        self._database, self._study, self._history = database, study, history
        self._sampler = proposals.SAMPLERS[study.spec.sampler.name]
        self._memory = configurations.memory_of(history)
        self._pauses = self._sampler.wish is not None and pauses.ladder_of(study) is not None

    def ask(self) -> tuple[pauses.Wish | None, stops.Bound | None]:
        """Which of the paused trials it would take now, where trials pause; the regret, where the study asks for it."""
        study_id, bound = self._study.study_id, self._sampler.bound
        if not self._pauses and self._database.read(lambda c: orders.latest(c, study_id)).regret is None:
            return None, None
        with self._memory.lock:
            ask, known = self._question(None)
            wish = self._asked(ask, known.waiting) if self._pauses else None
            if bound is None or known.regret is None:
                return wish, None
            with configurations.timed(self._memory):
                return wish, bound(ask)

    def goes_on(self, claim: claims.Claim, params: spaces.Params, values: Mapping[int, float], seconds: float) -> bool:
        """Whether a running trial at a rung is what it would take first, the paused ones beside it."""
        curve = numpy.array([values[step] for step in sorted(values)])
        own = Training(claim.number, params, Stage.PAUSED, curve, None, seconds)
        with self._memory.lock:
            ask, known = self._question(claim.number)
            others = [each for each in known.waiting if each.number != claim.number]
            found = sorted([*others, own], key=lambda each: each.number)
            return self._asked(ask, found).first[:1] == (claim.number,)

    def _asked(self, ask: proposals.Ask, found: Sequence[Training]) -> pauses.Wish:
        if (wish := self._sampler.wish) is None or not found:
            return pauses.Wish()
        with configurations.timed(self._memory):
            return wish(ask, found)

    def _question(self, number: int | None) -> tuple[proposals.Ask, trainings.Known]:
        """A trial's at a rung, or the next one's."""
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        ask = configurations.asked(self._database, self._study, self._history, trial, {})
        if ask.known is None:
            raise ValueError(f"sampler {self._study.spec.sampler.name!r} has wishes, but no model")
        trial.number = ask.known.count if number is None else number
        return ask, ask.known


def of(database: Database, study: studies.Study, history: histories.History) -> Wishes | None:
    """Of a study whose sampler has something to say before a claim; of others None."""
    sampler = proposals.SAMPLERS.get(study.spec.sampler.name)
    if sampler is None or (sampler.bound is None and (sampler.wish is None or pauses.ladder_of(study) is None)):
        return None
    return Wishes(database, study, history)
