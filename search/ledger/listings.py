"""All studies of a storage: a summary of each, and of one that cannot be read the reason, which hides no other."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from optuna.trial import FrozenTrial

from search import errors
from search.ledger import digests, excerpts, outsiders, studies, summaries
from search.storage import oddities, outages
from search.storage.databases import Database

UNREADABLE = "unreadable"  # its state, where others are active, paused or stopped


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """A study that is there and cannot be worked with.

    Attributes:
        reason: a line, with its name, that says why and what helps.
    """

    name: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """What `list --json` and `status --json` have of it."""
        return {"name": self.name, "state": UNREADABLE, "reason": self.reason}


Summary = TypeVar("Summary", bound=summaries.Summary)
Readable = summaries.Summary | outsiders.Outsider


def read(database: Database, foreign: bool = True, brief: bool = False) -> list[Readable | Unreadable]:
    """Every study, in the order they were created: ours, copies that another tool made of one, and its own.

    Args:
        foreign: other tools' own too.
        brief: of ours what `digests` has.

    Raises:
        errors.StorageError: the database is away.
    """
    found: list[Readable | Unreadable] = []
    rows = [stored for stored in studies.all_stored(database) if foreign or not stored.is_foreign]
    known = _digests(database, rows) if brief else {}
    for stored in rows:
        try:
            found.append(one(database, stored, known.get(stored.study_id)))
        except errors.StudyNotFound:  # deleted in this moment
            continue
        except errors.InputError as error:
            found.append(Unreadable(stored.name, str(error)))
    return found


def _digests(database: Database, rows: Iterable[studies.Stored]) -> dict[int, summaries.Summary]:
    """What can be read at once; nothing where one study keeps the others from it."""
    readable = []
    for stored in rows:
        with contextlib.suppress(errors.InputError), named(stored.name):
            readable.append(stored.read())
    with contextlib.suppress(errors.InputError), named(""):
        return database.read(lambda connection: digests.read(connection, readable))
    return {}


def one(database: Database, stored: studies.Stored, known: summaries.Summary | None = None) -> Readable:
    """One of them.

    Args:
        known: a digest that was read before.

    Raises:
        errors.StudyNotFound: it was deleted in this moment.
        errors.InputError: it cannot be read; the line names it, whatever its rows hold.
        errors.StorageError: the database is away.
    """
    with named(stored.name):
        if stored.is_foreign:
            return outsiders.read(database, stored)
        study = stored.read()
        if odd := database.read(lambda connection: oddities.find(connection, study.study_id, excerpts.LATEST)):
            raise ValueError(f"{odd} of a trial is none")
        return checked(known or summaries.summary(database, study))


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Whatever the rows of a study make of the code that reads them is one line, which names it.

    Raises:
        errors.InputError: its rows are not what this version, or any, would write.
    """
    try:
        yield
    except errors.StudyNotFound:
        raise
    except errors.InputError as error:
        if repr(name) in str(error):
            raise
        raise errors.InputError(f"study {name!r}: {error}") from error
    except (errors.SearchError, OSError, ImportError):
        raise
    except Exception as error:
        if outages.is_outage(error):
            raise
        said = " ".join(f"{type(error).__name__}: {outages.first_line(error)}".split())
        raise errors.InputError(f"study {name!r}: its rows cannot be read by this version: {said}") from error


def checked(summary: Summary) -> Summary:
    """Passes rows in which numbers are numbers: SQLite takes anything for one.

    Raises:
        TypeError: they are not.
    """
    order = summary.order
    numbers = [order.trials, order.max_failures, order.hours, order.epoch_seconds, summary.seconds]
    numbers += [order.target, order.patience, order.regret, order.begun_at, order.bound, summary.standing.best]
    shown: Iterable[FrozenTrial | None] = [*summary.running, *summary.latest, summary.best]
    for trial in (*shown, *(summary.trials if isinstance(summary, summaries.Whole) else ())):
        if trial is not None:
            numbers += [*(trial.values or ()), *trial.intermediate_values.values()]
    for number in numbers:
        if number is not None and not isinstance(number, int | float):
            raise TypeError(f"must be a number, got {number!r}")
    return summary
