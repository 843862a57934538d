"""Studies as wholes, from Python: deleted, renamed, copied."""

import optuna

from search.api import access
from search.api.access import Storage
from search.ledger import belongings, copies, lives, studies
from search.storage import addresses, databases


def delete(name: str, *, store: str | None = None, storage: Storage = None) -> None:
    """Deletes a study with its trials and their files, unasked.

    Args:
        store: where these are, if no study file says it; the environment's where none is given.

    Raises:
        errors.StudyNotFound: there is none.
        errors.StudyInUse: workers are at it; `stop(name, now=True)` ends them.
    """
    database = access.open_existing(storage, foreign=True)
    belongings.delete(database, studies.load_stored(database, name), store)


def rename(name: str, new: str, *, storage: Storage = None) -> None:
    """Gives a study another name.

    Raises:
        errors.InputError: a name that no study file may give.
        errors.StudyExists: it is taken.
        errors.StudyInUse: workers are at the study.
    """
    database = access.open_existing(storage, foreign=True)
    lives.rename(database, studies.load_stored(database, name), new)


def copy(
    name: str, new: str, *, to: str | None = None, store: str | None = None, storage: Storage = None
) -> optuna.Study:
    """Copies a study under a new name, and returns the copy: all trials, budget and orders; running ones wait in it.

    Args:
        to: address of another storage; the same one where none is given.
        store: where files of trials are, if the study file does not say it; the environment's where none is given.

    Raises:
        errors.InputError: a name that no study file may give, or a study that this version cannot read.
        errors.StudyExists: the name is taken.
        errors.StudyInUse: workers are at the study.
    """
    database = access.open_existing(storage, foreign=True)
    target = None if to is None else databases.Database(addresses.check_url(to), databases.OPEN_SECONDS)
    study = studies.load_stored(database, name)
    copied = copies.copy(database, study, new, target)
    belongings.copy(database, study, target or database, copied, store)
    return optuna.load_study(study_name=copied.name, storage=(target or database).optuna)
