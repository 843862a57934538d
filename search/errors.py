"""Every error the service raises on purpose, as one tree; a message is one line that says what to do."""

from collections.abc import Sequence
from typing import Any


class SearchError(Exception):
    """Base of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(SearchError):
    """Bad input or wrong use: a file, an option, a name."""

    exit_code = 2


class Misplaced(InputError):
    """A SQLite file cannot be opened or written: a mistake in its address, unless it was open before."""


class StudyFileError(InputError):
    """A study file breaks a rule; the message gives file, key, rule and value."""


class NotAllowed(InputError):
    """A study names an objective that is not for this worker: it may not be imported here, or lives elsewhere."""


class StudyNotFound(InputError):
    """No study of that name in the storage, and no file for it."""


class StudyExists(InputError):
    """A study of that name is there already, and differs from what was asked for."""


class StudyInUse(InputError):
    """Workers are at a study that was to be deleted, renamed or copied."""


class PublishFailed(InputError):
    """A place to publish to does not answer, or takes nothing just now; what was not sent can be sent later.

    Attributes:
        published: what became of the other places; see `search.exports.publications.Published`.
    """

    published: Sequence[Any] = ()


class PublishUnfinished(PublishFailed):
    """A place does not answer, or other places have what it was to get."""

    exit_code = 1


class DuplicateConfiguration(InputError):
    """An enqueued configuration is a trial of the study already."""


class ImpossibleConfiguration(DuplicateConfiguration):
    """What another tool enqueued is no configuration of the space."""


class StorageError(SearchError):
    """The database cannot be used: wrong address, wrong schema, or away for too long."""


class Interrupted(SearchError):
    """The process was asked to stop, by a signal or while it waited for the database; 128 and the signal's number."""

    exit_code = 130

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WorkFailed(SearchError):
    """Work ended with less than was asked for; `exit_code` is 1, or a failed worker's own."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class DeviceFailed(WorkFailed):
    """A GPU is of no more use to the process that trained on it: it ends, and its trials go to others."""


class TookItselfOut(SearchError):
    """A worker whose trials fail while those of others do not: to be started again by a person, not by a supervisor."""

    exit_code = 3


class TrialLost(SearchError):
    """The trial has another owner by now; its former worker drops it and goes on. Never shown to a user."""


class HandOver(SearchError):
    """The worker, or the whole study, was asked to stop inside a trial, and gives it back. Never shown to a user."""


class Paused(SearchError):
    """The trial has paused at a rung and waits until it is among the best there. Never shown to a user."""


class TrialTimeout(SearchError):
    """A trial takes longer, or is silent for longer, than the study file allows; it fails."""


class EpochTimeout(TrialTimeout):
    """The same of an epoch."""
