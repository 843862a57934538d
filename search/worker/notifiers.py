"""The thread that tells people of studies: it looks for what has happened, and sends what is due.

It holds up no trial and ends no worker: what fails in it is a line in the log, and is tried again.
"""

import logging
import threading
import time
import uuid

from search import errors
from search.ledger import audiences, dispatches, happenings, notices, studies
from search.storage import addresses, databases
from search.worker import addressees, deliveries

log = logging.getLogger("search")

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 1.0  # with the database: the next look is not far
NOTE_SECONDS = 40.0  # the same with what was sent already: it would be sent again
PARTING_SECONDS = 20.0  # that the end of a study is tried to be told before the worker ends
AT_ONCE = 20  # messages
JOIN_SECONDS = 2.0


class Notifier:
    """A context of a worker's life, or of whoever else looks at studies.

    Args:
        database: one that is only looked at is opened for writing where a study tells people whose addresses are here.
        study_id: of the one study that it looks at; None for all.
        stop: set where the process is asked to go: then it parts at once.
        parts: sees that the end of a study is told before it goes itself.
    """

    def __init__(
        self,
        database: databases.Database,
        study_id: int | None = None,
        stop: threading.Event | None = None,
        parts: bool = True,
    ) -> None:
        self._ended, self._stop, self._study_id = threading.Event(), stop or threading.Event(), study_id
        self._parts, self._able = parts, list[studies.Study]()
        self._database, self._is_guest = database.patient(PATIENCE_SECONDS, self._ended), database.only_reads
        self._watches: dict[str, happenings.Watch] = {}
        self._said: dict[tuple[str, str], str] = {}
        self._thread = threading.Thread(target=self._live, name="notifier", daemon=True)

    def __enter__(self) -> "Notifier":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        is_left = not self._parts or kind is not None or self._stop.is_set()
        self._thread.join(JOIN_SECONDS if is_left else 2 * deliveries.WHOLE_SECONDS)
        if not is_left and not self._thread.is_alive():
            self.part()

    def part(self, seconds: float = PARTING_SECONDS) -> None:
        """Looks once more, and goes on as long as something is due soon: nobody else may be left to send it."""
        self._ended.clear()
        self._database = self._database.patient(seconds, self._ended)
        until = time.monotonic() + seconds
        while self._turn() and not self._stop.is_set():
            waits = self._due()
            if waits is None or time.monotonic() + waits > until:
                return
            self._stop.wait(max(0.1, waits))

    def _live(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._turn()

    def _turn(self) -> bool:
        """Looks at all studies and sends what is due; whether it could."""
        try:
            found = audiences.of(self._database, self._study_id)
            if self._is_guest:  # what is somebody else's stays as it is
                found = [study for study in found if self._people(study)]
            if found and self._database.only_reads:
                opened = databases.open_existing(self._database.url, PATIENCE_SECONDS)
                self._database = opened.patient(PATIENCE_SECONDS, self._ended)
            self._watches = {each.token: self._watches.get(each.token) or happenings.Watch() for each in found}
            self._able = [study for study in found if self._tell(study)]
            return True
        except errors.InputError as error:  # it cannot be opened for writing
            self._say("", "notify-unable", str(error))
        except errors.SearchError as error:  # the database is away, or the study: there is another look
            log.debug("event=notify-away reason=%r", str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, it concerns no trial
            self._say("", "notify-failed", f"{type(error).__name__}: {error}")
        return False

    def _tell(self, study: studies.Study) -> bool:
        """Looks at a study and sends what is due; whether it could. One that cannot be read holds up no other."""
        try:
            self._watches[study.token].look(self._database, study)
            return self.send(study)
        except errors.StudyNotFound:  # deleted in this moment
            return False
        except errors.InputError as error:
            self._say(study.name, "notify-unable", str(error))
            return False

    def _due(self) -> float | None:
        try:
            waits = map(self._due_of, self._able)
            return min((wait for wait in waits if wait is not None), default=None)
        except errors.SearchError:
            return None

    def _due_of(self, study: studies.Study) -> float | None:
        return self._database.read(lambda connection: dispatches.is_due(connection, study.study_id))

    def send(self, study: studies.Study, people: list[addressees.Addressee] | None = None) -> bool:
        """Sends what is due of a study; whether its addresses are known here, or given.

        Raises:
            errors.StorageError: the database is away; what was sent and not noted is sent once more.
        """
        waits = self._due_of(study)
        if waits is None or waits > 0:
            return True
        people = people or self._people(study)
        if not people:
            return False
        for _ in range(AT_ONCE):
            if self._ended.is_set():
                break
            notice = dispatches.claim(self._database, study.study_id, uuid.uuid4().hex)
            # a receiver that hangs holds up other studies for one message, not for all
            if notice is None or not self._deliver(study, notice, people):
                break
        return True

    def _people(self, study: studies.Study) -> list[addressees.Addressee]:
        """Whom to tell; nobody where they are not known here, which is said once."""
        try:
            return addressees.load(study.spec.notify)
        except errors.InputError as error:
            self._say(study.name, "notify-unable", f"{error}; other processes may send it")
            return []

    def _deliver(self, study: studies.Study, notice: dispatches.Notice, people: list[addressees.Addressee]) -> bool:
        """Sends a message to all who do not have it; whether they all have it now."""
        delivered, reasons, asked = set(notice.delivered), dict[str, str](), 0.0
        database = self._database.patient(NOTE_SECONDS, self._ended)
        for each in people:
            if each.place in delivered:
                continue
            refusal = deliveries.send(each, notice.body)
            if refusal is None:
                delivered.add(each.place)
            else:
                reasons[each.place], asked = refusal.reason, max(asked, refusal.wait_seconds or 0.0)
            if not dispatches.note(database, notice, delivered, {**notice.reasons, **reasons}):
                return False  # it took longer than a claim lasts, and is another's
        state = notices.PENDING
        if not reasons:
            state = notices.SENT
        elif notice.tries >= dispatches.TRIES:
            state = notices.UNDELIVERED
        wait = dispatches.wait_seconds(notice.tries, asked)
        dispatches.note(database, notice, delivered, reasons, wait, state)
        for place, reason in reasons.items():
            self._say(study.name, "notify-refused", f"address {place}: {reason}")
        if state != notices.PENDING:
            log.info("event=notified study=%r what=%s state=%s", study.name, notice.body["event"], state)
        return not reasons

    def _say(self, study: str, event: str, reason: str) -> None:
        """A line in the log, once for each that is new."""
        reason = addresses.scrub(reason)
        if self._said.get((study, event)) != reason:
            self._said[study, event] = reason
            if study:
                log.warning("event=%s study=%r reason=%r", event, study, reason)
            else:
                log.warning("event=%s reason=%r", event, reason)
