"""Who may have a function of a notebook or a script: the workers that its own call of `search.run` starts."""

import logging
import os

from search import errors
from search.child import pickles
from search.ledger import homes, studies
from search.storage import databases
from search.training import shipments

log = logging.getLogger("search")


def check_not_loading() -> None:
    """A module that is imported for its objective must start no search: each would start another.

    Raises:
        errors.InputError: it does.
    """
    if name := os.environ.get(pickles.LOADING):
        raise errors.InputError(
            f'search.run must not be called while {name!r} is imported: put it behind `if __name__ == "__main__":`'
        )


def check(database: databases.Database, study: studies.Study) -> None:
    """Passes a study whose function can be had here; a worker with another version of it says so in its log.

    Raises:
        errors.NotAllowed: it lives elsewhere.
    """
    if not shipments.is_shipped(study.spec.objective):
        return
    home = homes.read(database, study)
    if not os.environ.get(shipments.VARIABLE):
        place = home.place if home else "a notebook or script that called search.run"
        raise errors.NotAllowed(
            f"study {study.name!r}: its function lives in {place}, and only the workers that search.run starts there "
            "have it; put it into a module of its own, under another study name, and any worker can import it"
        )
    file = shipments.received(study.spec.objective or "")
    if home is not None and file is not None and file.stem != home.checksum:
        log.warning("event=other-function ours=%s last_run=%s place=%r", file.stem, home.checksum, home.place)
