"""What optuna-dashboard and Optuna keep of a study in memory, dropped where its id has come to mean another study.

SQLite gives the ids of a deleted study and of its trials to the next ones; a dashboard that stays up would show the
old ones as theirs. Each way into the memory therefore looks first which studies the ids stand for.
"""

import contextlib
from collections.abc import Container, Iterator
from typing import Any

import bottle  # type: ignore[import-untyped]
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import _importance

from search import errors
from search.ledger import identities, listings
from search.storage import histories
from search.storage.databases import Database


class FaithfulStorage(histories.CachedStorage):
    """Optuna's cached storage, which forgets a study that is gone before it answers for the next one of its id."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.optuna)
        self._database = database
        self._identities: dict[int, identities.Identity] = {}
        self._pages: Any = None

    def is_read_by(self, pages: Any) -> None:
        """Takes optuna-dashboard's application, whose own memory is to go with a study's."""
        self._pages = pages
        with _importance.param_importance_cache_lock:  # of the whole process: another storage may have filled it
            _importance.param_importance_cache.clear()

    def look(self, *study_ids: int) -> None:
        """Forgets studies that are gone, or whose id is another one's by now."""
        known = {*study_ids, *self._studies, *self._identities}
        found = identities.of_studies(self._database, known)
        for study_id in known:
            if self._identities.get(study_id) != found.get(study_id):
                self._forget(study_id)
        self._identities = found

    def _forget(self, study_id: int) -> None:
        with self._lock:
            self._studies.pop(study_id, None)
            for trial_id, place in list(self._trial_id_to_study_id_and_number.items()):
                if place[0] == study_id:
                    del self._trial_id_to_study_id_and_number[trial_id]
                    self._study_id_and_number_to_trial_id.pop(place, None)
        self.forget_pages(study_id)

    def forget_pages(self, study_id: int) -> None:
        """Forgets what optuna-dashboard keeps of a study beside."""
        if self._pages is not None:
            _forget_pages(self._pages, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """All studies, as the dashboard asks for them before it shows one."""
        self.look()
        return super().get_all_studies()

    def get_study_name_from_id(self, study_id: int) -> str:
        """A study's name."""
        self.look(study_id)
        return super().get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """A study's directions."""
        self.look(study_id)
        return super().get_study_directions(study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial by its id."""
        self.look()
        return super().get_trial(trial_id)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """A trial's id."""
        self.look(study_id)
        return super().get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """A study's trials by number."""
        self.look(study_id)
        with self._told(study_id):
            if not super().get_study_directions(study_id):
                raise LookupError("no direction is stored")
            return super().get_all_trials(study_id, deepcopy, states)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """A study's best trial."""
        with self._told(study_id):
            return super().get_best_trial(study_id)

    @contextlib.contextmanager
    def _told(self, study_id: int) -> Iterator[None]:
        """What cannot be read is said on the page, where optuna-dashboard would speak of an internal error."""
        known = self._identities.get(study_id)
        if known is None:  # gone, or of no study
            yield
            return
        try:
            with listings.named(known[0]):
                yield
        except errors.InputError as error:
            raise bottle.HTTPError(500, str(error)) from error


def _forget_pages(pages: Any, study_id: int) -> None:
    """Empties what optuna-dashboard keeps of a study: its trials, its space, the importance of its parameters."""
    memory = pages._inmemory_cache
    with memory._cached_extra_study_property_cache_lock:
        memory._cached_extra_study_property_cache.pop(study_id, None)
    with memory._trials_cache_lock:
        memory._trials_cache.pop(study_id, None)
        memory._trials_last_fetched_at.pop(study_id, None)
    with _importance.param_importance_cache_lock:
        importances = _importance.param_importance_cache
        for key in [key for key in importances if key.partition(":")[0] == str(study_id)]:
            del importances[key]
