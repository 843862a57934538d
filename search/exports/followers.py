"""Follows a study and publishes what changes: what a place does not take now is sent when it answers again."""

import logging
import threading
import time
from collections.abc import Sequence

from search import errors
from search.exports import entries, publications
from search.ledger import orders, portions, studies, summaries
from search.storage.databases import Database
from search.study.destinations import Destination

log = logging.getLogger("search")

LONGEST_WAIT_SECONDS = 60.0


class Follower:
    """Publishes to some places until it is asked to stop, or the study has ended.

    Args:
        database: it is only read.
        seconds: between two looks.
        stop: set to end it, after one more look.
        stays: it goes on where the study has ended: there may be an extension.
    """

    def __init__(
        self,
        database: Database,
        study: studies.Study,
        places: Sequence[Destination],
        seconds: float,
        stop: threading.Event,
        stays: bool = False,
    ) -> None:
        self._database, self._study, self._seconds = database, study, seconds
        self._stop, self._stays = stop, stays
        self._lines = [_Line(place, seconds) for place in places]
        self._changes = portions.Changes(study)
        self._best: int | None = None

    def run(self) -> None:
        """Follows it.

        Raises:
            errors.StudyNotFound: it was deleted.
            errors.InputError: nothing can be published at all, as no library is installed.
        """
        while True:
            is_last = self._stop.is_set()
            try:
                is_last |= self._look(is_last) and not self._stays
            except errors.StorageError as error:
                log.warning("study=%r event=publish-waits reason=%r", self._study.name, str(error))
            except errors.Interrupted:
                return
            if all(line.is_dead for line in self._lines):
                raise errors.InputError(f"study {self._study.name!r} can be published nowhere from here")
            if is_last:
                return
            self._stop.wait(self._seconds)

    def _look(self, is_last: bool) -> bool:
        """Sends what has changed; whether the study has ended, before that."""
        summary = summaries.summary(self._database, self._study)
        heading, changed = entries.heading(summary), self._changes.look(self._database)
        best = None if summary.best is None else summary.best._trial_id
        changed |= {each for each in (best, self._best) if each is not None and best != self._best}
        self._best = best
        for line in self._lines:
            line.pending |= changed
            if not line.is_dead and (is_last or time.monotonic() >= line.due):
                self._send(line, heading)
        return _is_over(summary)

    def _send(self, line: "_Line", heading: entries.Heading) -> None:
        before = line.line.published(self._study.name)
        if not line.is_open:
            line.line.begin(heading)
        for ids in portions.chunks(line.pending):
            if line.line.failure is not None:
                break
            for entry in entries.of(portions.read(self._database, self._study, ids), heading):
                line.send(heading, entry)
            if line.line.failure is None:
                line.pending -= set(ids)
        if line.told != heading:
            line.line.finish(heading)
        after = line.line.published(self._study.name)
        line.settle(self._study.name, heading)
        if (new := after.new - before.new) + (updated := after.updated - before.updated):
            log.info(
                "study=%r event=published to=%s new=%d updated=%d", self._study.name, line.line.place, new, updated
            )


def _is_over(summary: summaries.Summary) -> bool:
    """Whether nothing is to come, as far as anybody knows."""
    ends = (summary.stop, summary.reason, summary.is_exhausted, summary.is_out_of_hours)
    is_stopped = summary.order.state is orders.StudyState.STOPPED
    return summary.is_at_rest and (summary.done >= summary.budget or is_stopped or any(ends))


class _Line:
    """A place, and what is still to be sent there.

    Attributes:
        pending: ids of trials; `due`: when they may be sent, by the monotonic clock.
        told: what is written there of the study.
        is_dead: it will never take anything here.
    """

    def __init__(self, place: Destination, seconds: float) -> None:
        self.line, self._seconds = publications.Line(place), seconds
        self.pending: set[int] = set()
        self.due, self._wait = 0.0, 0.0
        self.told: entries.Heading | None = None
        self.is_open = self.is_dead = False
        self._sent: dict[int, str] = {}  # checksums, by the trial's number

    def send(self, heading: entries.Heading, entry: entries.Entry) -> None:
        """Where it has changed since it was sent."""
        if self._sent.get(entry.number) == (checksum := entry.checksum(heading)):
            return
        self.line.send(heading, entry)
        if self.line.failure is None:
            self._sent[entry.number] = checksum

    def settle(self, study: str, heading: entries.Heading) -> None:
        """After a look: a failure is said once, and what is to be sent waits for a while."""
        failure = self.line.failure
        if failure is None:
            if self._wait:
                log.info("study=%r event=publish-goes-on to=%s", study, self.line.place)
            self.is_open, self.told, self.due, self._wait = True, heading, 0.0, 0.0
            return
        self.is_dead = not isinstance(failure, errors.PublishFailed)
        if not self._wait:
            event = "publish-fails" if self.is_dead else "publish-waits"
            log.warning("study=%r event=%s to=%s reason=%r", study, event, self.line.place, str(failure))
        self.is_open = False
        self._sent.clear()  # who knows what is there now
        self._wait = min(LONGEST_WAIT_SECONDS, 2 * self._wait or self._seconds)
        self.due = time.monotonic() + self._wait
