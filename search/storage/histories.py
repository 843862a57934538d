"""A study's trials as Optuna's samplers read them: read once, then answered from memory."""

from collections.abc import Callable, Container, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState

CachedStorage = _CachedStorage


class History(CachedStorage):
    """One study through Optuna's cached storage, read once per `refresh` and then answered from memory.

    A sampler asks for all trials several times per proposal, seven queries each; and TPE shares a half-made
    proposal through a write of its own, which our fencing would not cover. Both stay in memory here.
    """

    def __init__(self, backend: optuna.storages.RDBStorage, study_id: int) -> None:
        super().__init__(backend)
        self._study_id = study_id
        self._holds: Callable[[dict[str, Any]], bool] | None = None
        self._kept: dict[int, bool] = {}
        self._exact: Mapping[str, BaseDistribution] = {}

    def refresh(self) -> None:
        """Reads what is new and what was unfinished."""
        self._read_trials_from_remote_storage(self._study_id)

    def study(
        self,
        fresh: bool,
        holds: Callable[[dict[str, Any]], bool] | None = None,
        exact: Mapping[str, BaseDistribution] | None = None,
    ) -> optuna.Study:
        """An Optuna study over this history, for a sampler; it asks the database for nothing but its direction.

        Args:
            fresh: refresh it before.
            holds: whether a configuration is one of the space; ended trials of other tools may have another.
            exact: distributions that stand in the place of equal ones of Optuna's, which take True for 1.
        """
        self._holds, self._exact = holds, exact or {}
        if fresh:
            self.refresh()
        return optuna.Study("", self, sampler=optuna.samplers.RandomSampler())

    def get_study_id_from_name(self, study_name: str) -> int:
        """The one study."""
        return self._study_id

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials as of the last refresh, by number."""
        known = self._studies[study_id].trials
        chosen = (known[number] for number in sorted(known) if states is None or known[number].state in states)
        kept = [trial for trial in chosen if self._is_kept(trial)]
        for trial in kept if self._exact else ():
            trial.distributions.update({name: d for name, d in self._exact.items() if name in trial.distributions})
        return kept

    def _is_kept(self, trial: FrozenTrial) -> bool:
        if self._holds is None or not trial.state.is_finished() or not trial.params:
            return True
        if trial.number not in self._kept:
            self._kept[trial.number] = self._holds(trial.params)
        return self._kept[trial.number]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Nothing: a trial's parameters appear at once and fenced, by `configurations.assign`."""
