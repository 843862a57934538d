"""Results taken to the tools of a team, from Python."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search import errors
from search.api import access
from search.api.access import Storage
from search.ledger import studies
from search.storage import databases
from search.study import destinations

if TYPE_CHECKING:
    from search.exports import publications


def publish(
    name: str,
    to: str | Sequence[str] = (),
    *,
    storage: Storage = None,
    on_trial: "publications.OnTrial" = lambda done, total: None,
) -> "list[publications.Published]":
    """Brings a study in MLflow, TensorBoard or Weights & Biases to what it is now; twice is once.

    Args:
        to: `mlflow:URI`, `tensorboard:FOLDER` or `wandb:FOLDER`, one or several; what the study's file says, where
            it is left out.
        on_trial: is told how many trials are done, and of how many.

    Returns:
        For each place how many trials were new, updated or unchanged.

    Raises:
        errors.InputError: no such study or place, a library that is not installed.
        errors.PublishFailed: a place cannot be written.
        errors.PublishUnfinished: one does not answer, or others have what it was to get; `published` has these.
    """
    database, study, places = _find(name, to, storage)
    from search.exports import publications

    return publications.publish(database, study, places, on_trial)


def follow(
    name: str, to: Sequence[str] = (), *, storage: Storage = None, stop: threading.Event, stays: bool = False
) -> None:
    """The same, again and again, until the study has ended; see `search.exports.followers`.

    Raises:
        errors.InputError: the same, but that a place which does not answer is waited for.
    """
    database, study, places = _find(name, to, storage)
    from search.exports import followers

    followers.Follower(database, study, places, study.spec.publish.seconds, stop, stays).run()


def _find(
    name: str, to: str | Sequence[str], storage: Storage
) -> tuple[databases.Database, studies.Study, list[destinations.Destination]]:
    given = [to] if isinstance(to, str) else to
    places = [destinations.read(each) for each in dict.fromkeys(given)]
    database = access.open_to_read(storage)
    study = studies.load(database, name)
    places = places or study.spec.publish.destinations
    if not places:
        raise errors.InputError(
            f"publish takes --to {destinations.FORMS}, as the file of study {study.name!r} has no [publish] to"
        )
    return database, study, places
