"""The learning curve of each finished trial as an artifact of optuna-dashboard, drawn when somebody looks at it.

Nothing is stored for it: the dashboard reads the trials through `Gallery`, which adds the artifact's entry, and asks
`Drawings` for the picture. So workers write no pictures, and containers share no folder of them.
"""

import functools
import io
import json
import uuid
from collections.abc import Container
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial, TrialState

from search import errors
from search.dashboard import plots
from search.ledger import study
from search.storage import histories
from search.storage.store import Store
from search.training import records

ENTRY = "artifacts:"  # Optuna's prefix of the system attributes that name artifacts
KEPT_PICTURES = 256


class Gallery(histories.CachedStorage):
    """Optuna's storage, whose finished trials have their learning curve among their artifacts."""

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial, with its artifact."""
        return _with_curve(super().get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials by number, with their artifacts."""
        return [_with_curve(trial) for trial in super().get_all_trials(study_id, deepcopy, states)]


class Drawings:
    """An artifact store of Optuna's kind that holds nothing and draws what it is asked for."""

    def __init__(self, store: Store, gallery: Gallery) -> None:
        self._store, self._gallery = store, gallery
        self._draw = functools.lru_cache(KEPT_PICTURES)(self._drawn)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The picture of a trial, PNG.

        Raises:
            ArtifactNotFound: there is no such trial, or it has no curve.
        """
        try:
            return io.BytesIO(self._draw(uuid.UUID(artifact_id).int))
        except (KeyError, ValueError) as error:
            raise ArtifactNotFound(f"no learning curve {artifact_id}") from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refused: pictures are drawn, not kept."""
        raise errors.InputError("this dashboard keeps no artifacts: it draws learning curves")

    def remove(self, artifact_id: str) -> None:
        """Nothing to do: a deleted trial's curve is not drawn any more."""

    def _drawn(self, trial_id: int) -> bytes:
        trial = self._gallery.get_trial(trial_id)
        if not _has_curve(trial):
            raise KeyError(trial_id)
        value = "" if trial.value is None else f": {trial.value:.4f}"
        title = f"trial {trial.number}, {trial.state.name.lower()}{value}"
        metric = study.metric_of_trial(self._store, trial_id)
        return plots.learning_curve(trial.intermediate_values, title, metric, records.REASON.read(trial, ""))


def _has_curve(trial: FrozenTrial) -> bool:
    return trial.state.is_finished() and bool(trial.intermediate_values)


def _with_curve(trial: FrozenTrial) -> FrozenTrial:
    """The same trial: a finished one is the storage's own copy and changes no more."""
    if _has_curve(trial):
        name = str(uuid.UUID(int=trial._trial_id))
        entry = {
            "artifact_id": name,
            "filename": f"learning-curve-{trial.number}.png",
            "mimetype": "image/png",
            "encoding": None,
        }
        trial.system_attrs.setdefault(ENTRY + name, json.dumps(entry))
    return trial
