"""Which trial is taken away, and how it was chosen."""

import dataclasses

from optuna.trial import FrozenTrial, TrialState

from search import errors, words
from search.ledger import studies, summaries
from search.reports import confirmations
from search.storage import databases
from search.study import judgements, specs


@dataclasses.dataclass(frozen=True)
class Choice:
    """A trial to export, and how it was chosen.

    Attributes:
        searched: the file of the search that it comes from: by which images that chose.
        confirmed: where it was.
    """

    study: studies.Study
    trial: FrozenTrial
    how: str
    searched: specs.StudySpec
    confirmed: confirmations.Confirmation | None = None

    @property
    def caution(self) -> str | None:
        """Why the accuracy of this very model on the test set is too high, or None."""
        return judgements.caution_of_model(self.searched, self.best_of)

    @property
    def best_of(self) -> int:
        """How many configurations the test set chose it from, beside a search's own choice."""
        return len(self.confirmed.entries) if self.confirmed else 1


def choose(database: databases.Database, study: studies.Study, trial: FrozenTrial | None = None) -> Choice:
    """That trial; or of the best confirmed configuration the first, or the study's best.

    Raises:
        errors.InputError: no trial is complete, or this one is not.
    """
    if trial is not None:
        if trial.state != TrialState.COMPLETE:
            raise errors.InputError(
                f"--trial must name a complete trial of study {study.name!r}: trial {trial.number} is "
                f"{trial.state.name}"
            )
        return Choice(study, trial, "It was asked for by its number.", study.spec)
    found = confirmations.read(database, study)
    if found is not None:
        confirming, runs = studies.find(database, found.name), found.best.runs
        if confirming is not None:
            how = (
                f"Its settings have the best mean {study.spec.study.metric} of {len(found.entries)} that were "
                f"confirmed of {words.code(study.name)}."
            )
            return Choice(confirming, runs.trials[min(runs.trials)], how, study.spec, found)
    best = summaries.summary(database, study).best
    if best is None:
        raise errors.InputError(f"study {study.name!r} has no complete trial yet: there is nothing to export")
    return Choice(study, best, f"It has the best value of study {words.code(study.name)}.", study.spec)
