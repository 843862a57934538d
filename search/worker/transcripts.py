"""What the code of a trial prints, stored now and then by its owner."""

import threading
import time
from collections.abc import Callable

from search.ledger import claims, logs
from search.storage import addresses
from search.storage.databases import Database
from search.training import objectives

WRITE_SECONDS = 5.0


class Transcript:
    """Of one trial; of one whose objective prints nothing of its own it stays empty."""

    def __init__(self, database: Database, claim: claims.Claim) -> None:
        self._database, self._claim = database, claim
        self._printed: objectives.Printed | None = None
        self._finish: Callable[[], None] | None = None
        self._written, self._last, self._lock = 0, time.monotonic(), threading.Lock()

    def begin(self, printed: objectives.Printed, finish: Callable[[], None]) -> None:
        """From now on there is something; see `objectives.Trial.watch`."""
        self._printed, self._finish, self._written = printed, finish, 0

    def end(self) -> None:
        """The trial is this owner's no more."""
        if self._finish is not None:
            self._finish()

    def write(self) -> None:
        """Stores the last of it, where there is more than before.

        Raises:
            errors.TrialLost: the trial has another owner by now.
        """
        with self._lock:
            self._last, printed = time.monotonic(), self._printed
            if printed is None or (total := printed.total) == self._written:
                return
            # it may speak of an address
            excerpt = logs.Excerpt(logs.here(), total, addresses.scrub(printed.tail))
            logs.save(self._database, self._claim, excerpt)
            self._written = total

    def write_if_due(self) -> None:
        """The same, a while after the last time.

        Raises:
            errors.TrialLost: the trial has another owner by now.
        """
        if time.monotonic() - self._last >= WRITE_SECONDS:
            self.write()
