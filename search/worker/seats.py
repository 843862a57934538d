"""Where a worker that serves any study is at work: at those whose trials it trains, with an eye on all the others."""

import threading
import time
from collections.abc import Collection, Iterable

from search import errors
from search.ledger import claims, offers, orders, presence, rosters
from search.storage.databases import Database
from search.worker import hearts


class Seats:
    """The post of such a worker; see `hearts.Post`. Its heart and the worker share it.

    It signs the roster of a study before it takes a trial there, and is struck out when a beat finds that it has
    trained none since the last: nobody need wait for an idle worker of a pool to delete a study.
    """

    def __init__(self, database: Database, worker: presence.Identity, grace_seconds: float) -> None:
        self._database, self.worker, self._grace_seconds = database, worker, grace_seconds
        self.beat_seconds = presence.Watch(grace_seconds).beat_seconds
        self._lock = threading.RLock()
        self._watches: dict[int, presence.Watch] = {}
        self._signed: dict[str, rosters.Entry] = {}
        self._fresh: set[str] = set()  # where it has sat down since the last beat

    def watch(self, study_id: int) -> presence.Watch:
        """Its memory of the beats at a study."""
        with self._lock:
            return self._watches.setdefault(study_id, presence.Watch(self._grace_seconds))

    def orphans(self, found: Iterable[offers.Offer], own: Collection[str]) -> dict[int, int]:
        """How many trials of each study, by id, have lost their owner.

        Args:
            own: owner tokens of this worker's trials.
        """
        counted = {offer.study_id: len(self._look(self.watch(offer.study_id), offer.running, own)) for offer in found}
        with self._lock:
            for study_id in self._watches.keys() - counted.keys():
                del self._watches[study_id]
        return counted

    def sit(self, entry: rosters.Entry) -> None:
        """Signs the roster of a study where it has not.

        Raises:
            errors.StudyNotFound: the study was deleted.
        """
        token = entry.study.token
        with self._lock:
            self._fresh.add(token)
            if token not in self._signed:
                entry.show(self._database)
                self._signed[token] = entry

    def leave(self, token: str) -> None:
        """Strikes its line out, where it has one at the study of this token."""
        with self._lock:
            self._fresh.discard(token)
            if (entry := self._signed.pop(token, None)) is not None:
                entry.strike(self._database)

    def sign_in(self) -> None:
        """Nowhere yet."""

    def sign_out(self) -> None:
        """Everywhere."""
        for token in list(self._signed):
            self.leave(token)

    def beat(self, trials: hearts.Trials) -> Collection[claims.Claim]:
        """See `hearts.Post`."""
        busy, training = {trial.claim.study_id for trial in trials}, [(trial.claim, trial.seconds) for trial in trials]
        gone: Collection[claims.Claim] = ()
        there: dict[str, bool] = {}
        with self._lock:
            stays = {t: each for t, each in self._signed.items() if each.study.study_id in busy or t in self._fresh}
            if stays or training:
                gone = claims.beat(self._database, training, lambda c: there.update(rosters.renew(c, stays)))
            for token in [token for token in stays if not there[token]]:
                self._show(stays[token], trials)
            for token in self._signed.keys() - stays.keys():
                self.leave(token)
            self._fresh.clear()
        self._observe({trial.claim.owner for trial in trials})
        return gone

    def _observe(self, own: Collection[str]) -> None:
        """The lot is drawn for all studies together, which one query reads."""
        with self._lock:
            watches = list(self._watches.items())
        for _, watch in watches:
            watch.keep(time.monotonic(), self._database.interruptions)
        if presence.is_drawn(sum(watch.seen for _, watch in watches)):
            seen = self._database.read(offers.running)
            for study_id, watch in watches:
                others = [each for each in seen.get(study_id, ()) if each.owner not in own]
                watch.note(others, time.monotonic(), self._database.interruptions)

    def listen(self, trials: hearts.Trials) -> None:
        """See `hearts.Post`."""
        for trial_study in {trial.claim.study_id for trial in trials}:
            mine = [trial for trial in trials if trial.claim.study_id == trial_study]
            with self._lock:
                signed = [entry for entry in self._signed.values() if entry.study.study_id == trial_study]
            for entry in signed:
                self._listen(entry, mine)

    def _listen(self, entry: rosters.Entry, mine: hearts.Trials) -> None:
        try:
            order = self._database.read(lambda connection: orders.read(connection, entry.study))
        except errors.StudyNotFound as gone:
            self._lose(mine, gone)
            return
        if order.at_once and order.state is not orders.StudyState.ACTIVE:
            for trial in mine:
                trial.released = True

    def _show(self, entry: rosters.Entry, trials: hearts.Trials) -> None:
        try:
            entry.show(self._database)
        except errors.StudyNotFound as gone:  # of one study: the trials of the others go on
            self._signed.pop(entry.study.token, None)
            self._lose([trial for trial in trials if trial.claim.study_id == entry.study.study_id], gone)

    @staticmethod
    def _lose(trials: hearts.Trials, why: errors.SearchError) -> None:
        for trial in trials:
            trial.lost = why

    def _look(
        self, watch: presence.Watch, seen: Iterable[presence.Sighting], own: Collection[str]
    ) -> list[presence.Sighting]:
        others = [each for each in seen if each.owner not in own]
        return watch.look(others, time.monotonic(), self._database.interruptions)
