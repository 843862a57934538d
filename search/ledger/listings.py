"""All studies of a storage: a summary of each, and of one that cannot be read the reason, which hides no other."""

import dataclasses
from collections.abc import Callable
from typing import Any

from search import errors
from search.ledger import studies, summaries
from search.storage import histories
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


def read(
    database: Database, history: Callable[[studies.Study], histories.History] | None = None
) -> list[summaries.Summary | Unreadable]:
    """Every study of ours, and every copy that another tool made of one, in the order they were created.

    Args:
        history: of a study that was read before.

    Raises:
        errors.StorageError: the database is away.
    """
    found: list[summaries.Summary | Unreadable] = []
    for stored in studies.all_stored(database):
        try:
            study = stored.read()
            found.append(summaries.summary(database, study, None if history is None else history(study)))
        except errors.StudyNotFound:  # deleted in this moment
            continue
        except errors.InputError as error:
            named = repr(stored.name) in str(error)
            found.append(Unreadable(stored.name, str(error) if named else f"study {stored.name!r}: {error}"))
        except errors.SearchError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever its rows hold, the others are shown
            said = " ".join(f"{type(error).__name__}: {error}".split())
            reason = f"study {stored.name!r}: its rows cannot be read by this version: {said}"
            found.append(Unreadable(stored.name, reason))
    return found
