"""Orders to studies from Python: extend, amend, retry, enqueue, pause, stop and resume them."""

import datetime
from collections.abc import Mapping
from typing import Any

from search import errors, words
from search.api import access
from search.api.access import Storage
from search.ledger import amendments, orders, queues, retries, studies, warm_starts
from search.space import scalars
from search.storage import databases
from search.study import changes, specs
from search.worker import addressees


def extend(
    name: str,
    trials: int | None = None,
    *,
    to: int | None = None,
    hours: float | None = None,
    failures: int | None = None,
    epoch_seconds: float | None = None,
    target: float | str | None = None,
    patience: int | str | None = None,
    deadline: str | datetime.datetime | None = None,
    regret: float | str | None = None,
    storage: Storage = None,
) -> int:
    """Adds trials to the budget of a study, or sets it; adds hours of training; returns how many trials it has then.

    Args:
        failures: how many more failures of the objective to bear.
        epoch_seconds: how long an epoch may take from now on; 0 for no limit.
        target, deadline, regret: the new one, as in [budget]; "none" for none. `4h` counts from the next trial on.
        patience: how many more trials may finish without improvement, from now on at least; "none" for no limit.

    Raises:
        errors.InputError: nothing to add, or a budget that cannot be.
    """
    database = access.open_existing(storage)
    more: dict[str, Any] = {"hours": hours, "failures": failures, "epoch_seconds": epoch_seconds}
    more |= {"target": target, "patience": patience, "deadline": deadline, "regret": regret}
    return orders.extend(database, studies.load(database, name), add=trials, to=to, **more).trials


def amend(name: str, *, storage: Storage = None) -> list[str]:
    """Lets a study follow its edited file: budget, sampler, pruning, what is enqueued; returns the keys that changed.

    Raises:
        errors.StudyNotFound: there is no study of that file.
        errors.StudyExists: the file has another space or training.
    """
    return [change.place for change in follow(name, storage)[2]]


def follow(name: str, storage: Storage) -> tuple[databases.Database, studies.Study, list[changes.Change], list[str]]:
    """The same; returns the database, the study as it was before, of each key what it was, and what was imported."""
    spec = specs.load(specs.path_of(name))
    addressees.check(spec.notify)
    database = access.open_existing(storage)
    known = studies.find_same(database, spec)
    if known is None:
        raise errors.StudyNotFound(f"no study {spec.name!r} to amend; `search create {words.typed(name)}` makes it")
    notes = warm_starts.follow(database, known[0], spec)  # first: once more, it changes nothing
    return database, known[0], amendments.amend(database, known[0], spec), notes


def retry(name: str, *numbers: int, storage: Storage = None) -> dict[int, int]:
    """Puts failed trials back, all where none is named; returns the new number of each.

    Raises:
        errors.InputError: a number that is no failed trial's.
    """
    database = access.open_existing(storage)
    return retries.retry(database, studies.load(database, name), numbers)


def enqueue(
    name: str, params: Mapping[str, scalars.Value], *, repeats: int | None = None, storage: Storage = None
) -> list[int]:
    """Queues a configuration to be tried next, once or with so many training seeds; returns the trials' numbers.

    Args:
        params: what it leaves open is sampled; what does not exist beside it is dropped.

    Raises:
        errors.InputError: a value outside the space, or a configuration that a trial has already.
    """
    database = access.open_existing(storage)
    study = studies.load(database, name)
    try:
        kept, _ = study.spec.space.trim(study.spec.space.widen(params))
    except ValueError as error:
        raise errors.InputError(f"enqueue: {error}") from error
    if repeats is None:
        return [queues.enqueue(database, study, kept)]
    return queues.repeat(database, study, kept, repeats)


def pause(name: str, *, now: bool = False, storage: Storage = None) -> None:
    """Lets no trial begin until `resume`; running ones are finished or, `now`, handed over."""
    _order(name, orders.StudyState.PAUSED, now, storage)


def stop(name: str, *, now: bool = False, storage: Storage = None) -> None:
    """Ends a study's workers, wherever they run, once their trials are finished or, `now`, handed over."""
    _order(name, orders.StudyState.STOPPED, now, storage)


def resume(name: str, *, storage: Storage = None) -> None:
    """Lets a paused or stopped study go on."""
    _order(name, orders.StudyState.ACTIVE, False, storage)


def _order(name: str, state: orders.StudyState, now: bool, storage: Storage) -> None:
    database = access.open_existing(storage)
    orders.set_state(database, studies.load(database, name), state, now)
