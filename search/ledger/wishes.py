"""What a study's sampler says before a claim: which paused trials it would go on with, and how large its regret is."""

from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from search.ledger import claims, configurations, orders, pauses, proposals, stops, studies
from search.space import spaces
from search.storage import histories
from search.storage.databases import Database


class Wishes:
    """One worker's questions to its sampler; its threads share them."""

    def __init__(self, database: Database, study: studies.Study, history: histories.History) -> None:
        self._database, self._study, self._history = database, study, history
        self._sampler = proposals.SAMPLERS[study.spec.sampler.name]
        self._memory = configurations.memory_of(history)
        self._pauses = self._sampler.wish is not None and pauses.ladder_of(study) is not None
        self._known: dict[int, pauses.Paused] = {}

    def ask(self) -> tuple[pauses.Wish | None, stops.Bound | None]:
        """Which of the paused trials it would take now, where trials pause; the regret, where the study asks for it."""
        with self._memory.lock:
            wish = None
            if self._pauses:
                found = self._paused()
                wish = self._asked(found, None) if found else pauses.Wish()
            return wish, self._bound()

    def _bound(self) -> stops.Bound | None:
        bound, study_id = self._sampler.bound, self._study.study_id
        if bound is None or self._database.read(lambda c: orders.latest(c, study_id)).regret is None:
            return None
        ask = self._question(None)
        with configurations.timed(self._memory):
            return bound(ask)

    def goes_on(self, claim: claims.Claim, params: spaces.Params, values: Mapping[int, float], seconds: float) -> bool:
        """Whether a running trial at a rung is what it would take first, the paused ones beside it."""
        epoch = max(values)
        own = pauses.Paused(claim.trial_id, claim.number, epoch, values[epoch], dict(values), seconds, params)
        with self._memory.lock:
            others = [each for each in self._paused() if each.number != claim.number]
            found = sorted([*others, own], key=lambda each: each.number)
            return self._asked(found, claim.number).first[:1] == (claim.number,)

    def _paused(self) -> list[pauses.Paused]:
        study_id, known = self._study.study_id, self._known
        found = self._database.read(lambda connection: pauses.paused(connection, study_id, known))
        self._known = {each.trial_id: each for each in found}
        return found

    def _asked(self, found: list[pauses.Paused], number: int | None) -> pauses.Wish:
        wish, spec = self._sampler.wish, self._study.spec
        if wish is None:
            raise ValueError(f"sampler {spec.sampler.name!r} has no wishes")
        ask = self._question(number)
        with configurations.timed(self._memory):
            return wish(ask, found)

    def _question(self, number: int | None) -> proposals.Ask:
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        ask = configurations.asked(self._database, self._study, self._history, trial, {})
        trial.number = number if number is not None else ask.known.count if ask.known else len(self._history.index)
        return ask


def of(database: Database, study: studies.Study, history: histories.History) -> Wishes | None:
    """Of a study whose sampler has something to say before a claim; of others None."""
    sampler = proposals.SAMPLERS.get(study.spec.sampler.name)
    if sampler is None or (sampler.bound is None and (sampler.wish is None or pauses.ladder_of(study) is None)):
        return None
    return Wishes(database, study, history)
