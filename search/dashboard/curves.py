"""The learning curve of each finished trial as an artifact of optuna-dashboard, drawn when somebody looks at it.

Nothing is stored for it: the dashboard reads the trials through `Gallery`, which adds the artifact's entry, and asks
`Drawings` for the picture. So workers write no pictures, and containers share no folder of them.
"""

import functools
import io
import json
import uuid
from collections.abc import Container, Mapping
from typing import BinaryIO

from matplotlib import figure, ticker
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.trial import FrozenTrial, TrialState

from search import errors, words
from search.dashboard import caches
from search.ledger import identities, summaries
from search.reports import figures, lettering
from search.storage.databases import Database
from search.training import records

ENTRY = "artifacts:"  # Optuna's prefix of the system attributes that name artifacts
KEPT_PICTURES = 256
PIXELS_PER_INCH, SIZE = 120, (6.4, 3.6)  # inches
# of Okabe and Ito: told apart by colour-blind people too
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#666666"


class Gallery(caches.FaithfulStorage):
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

    def __init__(self, database: Database, gallery: Gallery) -> None:
        self._database, self._gallery = database, gallery
        self._draw = functools.lru_cache(KEPT_PICTURES)(self._drawn)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The picture of a trial, PNG.

        Raises:
            ArtifactNotFound: there is no such trial, or it has no curve.
        """
        try:
            trial_id = uuid.UUID(artifact_id).int
            return io.BytesIO(self._draw(trial_id, identities.of_trial(self._database, trial_id)))
        except (KeyError, ValueError) as error:
            raise ArtifactNotFound(f"no learning curve {artifact_id}") from error

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refused: pictures are drawn, not kept."""
        raise errors.InputError("this dashboard keeps no artifacts: it draws learning curves")

    def remove(self, artifact_id: str) -> None:
        """Nothing to do: a deleted trial's curve is not drawn any more."""

    def _drawn(self, trial_id: int, study: identities.Identity | None) -> bytes:
        """Kept under both: SQLite gives the ids of deleted trials out again."""
        if study is None:
            raise KeyError(trial_id)
        trial = self._gallery.get_trial(trial_id)
        if not _has_curve(trial):
            raise KeyError(trial_id)
        value = "" if trial.value is None else f": {words.metric(trial.value)}"
        title = f"trial {trial.number}, {trial.state.name.lower()}{value}"
        metric = summaries.metric_of_trial(self._database, trial_id)
        return _picture(trial.intermediate_values, title, metric, records.REASON.read(trial, ""))


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


def _picture(values: Mapping[int, float], title: str, metric: str, note: str = "") -> bytes:
    """A trial's values over its epochs, as PNG; drawn without a display, from any thread.

    Args:
        values: by 1-based epoch; nan and infinities are left out.
        note: why it ended early, below the title; the last value is marked then.
    """
    drawing = figure.Figure(figsize=SIZE, dpi=PIXELS_PER_INCH, layout="constrained")
    axes, family = drawing.subplots(), lettering.families()
    epochs = sorted(values)
    heights = figures.drawable([values[epoch] for epoch in epochs])
    axes.plot(epochs, heights, color=BLUE, marker="o", markersize=4, linewidth=1.8)
    if note and epochs:
        axes.plot(epochs[-1:], heights[-1:], color=VERMILLION, marker="X", markersize=9, linestyle="none")
    axes.set_title(title, loc="left", fontweight="bold", pad=20 if note else 8)
    if note:
        short = lettering.fit(note, SIZE[0] - 1.2, 8)  # beside the axis and its label
        axes.text(0, 1.03, short, transform=axes.transAxes, fontsize=8, color=GREY, parse_math=False, fontfamily=family)
    axes.set_xlabel("epoch")
    axes.set_ylabel(lettering.fit(metric, SIZE[1] - 1.2, 10, 2), parse_math=False, fontfamily=family)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    drawing.savefig(picture, format="png")
    return picture.getvalue()
