"""Which paused trials a study's sampler would go on with, asked in memory and outside any lock."""

import time
from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from search.ledger import claims, configurations, pauses, proposals, studies
from search.space import spaces
from search.storage import histories
from search.storage.databases import Database


class Wishes:
    """One worker's questions to its sampler; its threads share them."""

    def __init__(self, database: Database, study: studies.Study, history: histories.History) -> None:
        self._database, self._study, self._history = database, study, history
        self._sampler = proposals.SAMPLERS[study.spec.sampler.name]
        self._memory = configurations.memory_of(history)
        self._known: dict[int, pauses.Paused] = {}

    def ask(self) -> pauses.Wish:
        """Which of the paused trials it would take now."""
        with self._memory.lock:
            found = self._paused()
            return self._asked(found, None) if found else pauses.Wish()

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
        tree, view = spec.space, self._sampler.view
        shown = view and view(spec.study.direction == "maximize", self._memory)
        known = self._database.call(lambda: self._history.study(view is not None, tree.holds, tree.exact, shown))
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        trial.number = len(self._history.index) if number is None else number
        started = time.thread_time()
        wished = wish(proposals.Ask(tree, known, trial, {}, spec.study.seed, memory=self._memory), found)
        self._memory.seconds += time.thread_time() - started
        return wished


def of(database: Database, study: studies.Study, history: histories.History) -> Wishes | None:
    """Of a study whose trials pause and whose sampler decides which go on; of others None."""
    sampler = proposals.SAMPLERS.get(study.spec.sampler.name)
    if sampler is None or sampler.wish is None or pauses.ladder_of(study) is None:
        return None
    return Wishes(database, study, history)
