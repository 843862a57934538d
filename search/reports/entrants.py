"""A study among those that are set side by side: its best value, and how sure that is."""

import dataclasses

from scipy import stats

from models import datasets
from search.ledger import contenders, outsiders, studies
from search.ledger.contenders import Contender
from search.reports import confirmations, evidence
from search.reports.confirmations import Confirmation
from search.storage import databases
from search.study import specs

UNNAMED = "value"  # the metric of a study that names none


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A study among others.

    Attributes:
        label: its name, with its storage where another has the same.
        confirmation: what `search confirm` has measured; None where it has not, or not yet.
    """

    label: str
    contender: Contender
    confirmation: Confirmation | None = None

    @property
    def direction(self) -> str:
        """In which its values are better."""
        return "maximize" if self.contender.sign > 0 else "minimize"

    @property
    def metric(self) -> str:
        """What its values measure."""
        return self.contender.metric

    @property
    def is_unnamed(self) -> bool:
        """Whether another tool's study does not say what its values measure."""
        return self.spec is None and self.metric == UNNAMED

    @property
    def spec(self) -> specs.StudySpec | None:
        """Its file; None of another tool's."""
        return None if isinstance(self.contender.study, outsiders.Outsider) else self.contender.study.spec

    @property
    def best(self) -> float | None:
        """Its best value."""
        return None if self.contender.best is None else self.contender.best.value

    @property
    def images(self) -> int | None:
        """By how many its trials are judged; None of code of the user's own."""
        training = None if self.spec is None else self.spec.training
        if training is None:
            return None
        if training.evaluate_on == "test":
            return datasets.TEST_IMAGES[training.dataset]
        return datasets.held_out(datasets.TRAINING_IMAGES[training.dataset])

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the best accuracy, 95 %, by its images alone: Wilson's of a share. It knows nothing of the choice."""
        if self.best is None or self.images is None or not 0 <= self.best <= 1:
            return None
        found = stats.binomtest(round(self.best * self.images), self.images).proportion_ci(evidence.LEVEL, "wilson")
        return float(found.low), float(found.high)

    @property
    def code(self) -> str:
        """What its trials run, in words."""
        if self.spec is None:
            return "a script of Optuna's own"
        return self.spec.code or "the lab's networks"


def read(
    database: databases.Database,
    study: studies.Study | outsiders.Outsider,
    label: str | None = None,
    confirmation: Confirmation | None = None,
) -> Entrant:
    """A study with its confirmation.

    Args:
        confirmation: where it was read already.

    Raises:
        errors.InputError: it has several objectives, or its rows cannot be read.
    """
    found = contenders.read(database, study)
    if confirmation is None and isinstance(study, studies.Study):
        confirmation = confirmations.read(database, study)
    return Entrant(label or study.name, found, confirmation)
