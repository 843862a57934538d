"""How long one call waits for a database that is away, and how it ends where its process is asked to stop."""

import threading
import time

import tenacity

from search.storage import outages

BACKOFF_SECONDS = 0.05
BACKOFF_LIMIT_SECONDS = 2.0
# Who is asked to stop hands its trial over, which must outlive a server's restart or another writer.
PARTING_SECONDS = 5.0
PARTING_BACKOFF_SECONDS = 0.25
TIMEOUT_TRIES = 5  # a lock that others hold may make one statement too slow, not all of them


class Wait:
    """One call's wait: over after `patience_seconds`, or `parting_seconds` after it has noticed `stop`."""

    def __init__(self, patience_seconds: float, stop: threading.Event, parting_seconds: float) -> None:
        self._patience_seconds, self._stop, self._parting_seconds = patience_seconds, stop, parting_seconds
        self._stopped_at: float | None = None  # monotonic seconds
        self._timeouts = 0
        self._growing = tenacity.wait_random_exponential(multiplier=BACKOFF_SECONDS, max=BACKOFF_LIMIT_SECONDS)

    def is_worth_it(self, error: BaseException) -> bool:
        """Whether the same call may succeed later."""
        if outages.is_statement_timeout(error):
            self._timeouts += 1
            return self._timeouts < TIMEOUT_TRIES
        return outages.is_outage(error)

    def is_over(self, state: tenacity.RetryCallState) -> bool:
        """Whether the call is given up."""
        if self._stopped_for() >= self._parting_seconds:
            return True
        return (state.seconds_since_start or 0.0) >= self._patience_seconds

    def seconds(self, state: tenacity.RetryCallState) -> float:
        """How long it waits before the next try."""
        return min(self._growing(state), BACKOFF_LIMIT_SECONDS if self._stopped_for() < 0 else PARTING_BACKOFF_SECONDS)

    def sleep(self, seconds: float) -> None:
        """Waits, and ends the wait early where `stop` is set in it; not where it is set already."""
        if self._stopped_at is None:
            self._stop.wait(seconds)
        else:
            time.sleep(seconds)

    def _stopped_for(self) -> float:
        """Seconds since this call noticed `stop`; -1 where it is not set."""
        if self._stopped_at is None and self._stop.is_set():
            self._stopped_at = time.monotonic()
        return -1.0 if self._stopped_at is None else time.monotonic() - self._stopped_at
