"""Trials that were imported with their result: not trained here, and told apart."""

from optuna.trial import FrozenTrial

from search import errors, words
from search.training import records


def is_own(trial: FrozenTrial) -> bool:
    """Whether it is none of them."""
    return records.IMPORTED.find(trial) is None


def state(trial: FrozenTrial) -> str:
    """What has become of a trial, in words."""
    word = words.STATES[trial.state]
    return word if is_own(trial) else f"{word}, imported"


def check_trained_here(trial: FrozenTrial) -> None:
    """Passes a trial that has run in its study.

    Raises:
        errors.InputError: it was imported.
    """
    if (source := records.IMPORTED.find(trial)) is not None:
        raise errors.InputError(
            f"trial {trial.number} was imported from {source} and not trained here: look at it where it was, take "
            "another one, or train its configuration by `search enqueue --trial N --repeats K` or `search confirm`"
        )
