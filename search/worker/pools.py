"""Serves any study of a database: takes the next trial of the one whose turn it is, as one worker of a pool."""

import contextlib
import dataclasses
import logging
import pathlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from search import errors
from search.ledger import allocations, claims, offers, presence, studies
from search.storage import addresses
from search.storage.databases import Database
from search.study import names
from search.worker import assignments, bylines, desks, hearts, loops, notifiers, refusals, seats, shares, threads
from search.worker.settings import Settings

log = logging.getLogger("search")

HANDICAP = 10  # times as long as opening a study takes, one that is open goes on where another would be closed for it
HANDICAP_SECONDS = 300.0
SHOWN = 3  # studies that an error names


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What a study had to say when it was asked in vain."""

    mark: offers.Mark
    why: allocations.NoTrial
    at: float

    def passes(self, offer: offers.Offer) -> bool:
        """Whether it would pass its orphans by once more, for workers that have their engine."""
        return self.why is allocations.NoTrial.ENGINE and self.holds(offer)

    def holds(self, offer: offers.Offer) -> bool:
        """Whether it would say the same again: what running trials report may change a wait."""
        is_recent = time.monotonic() - self.at < loops.IDLE_LIMIT_SECONDS
        return self.mark == offer.mark and (is_recent or self.why not in loops.WAITS)


class Worker:
    """Works on any study that has something to do and may be worked on here.

    Args:
        match: shell patterns of studies' names; any where there is none.
        stop, settings, stay, parent, health_file: see `loops.Worker`; with `stay` new studies are waited for too.
        check, gpus: see `desks.Desks`.
    """

    def __init__(
        self,
        database: Database,
        stop: threading.Event,
        settings: Settings,
        *,
        match: Sequence[str] = (),
        stay: bool = False,
        parent: int | None = None,
        health_file: pathlib.Path | None = None,
        check: Callable[[Database, studies.Study], None] = lambda *_: None,
        gpus: assignments.Equipped | None = None,
    ) -> None:
        self._database, self._stop, self._settings = database, stop, settings
        self._match, self._stay = tuple(match), stay
        self._beating = (stop, parent, health_file)
        self._me, self._shares = presence.Identity.this(), shares.Shares()
        self._seats = seats.Seats(database, self._me, settings.grace_seconds)
        self._admission = threads.Admission(settings.at_once, threads.free_bytes, assignments.occupied(settings, gpus))
        shared = desks.Shared(self._seats, self._admission, gpus)
        self._desks = desks.Desks(database, stop, settings, shared, self._shares.spend, check)
        self._refusals = refusals.Refusals()
        self._answers: dict[str, _Answer] = {}

    def run(self) -> allocations.NoTrial | None:
        """Works until no study has anything to do; returns that the budgets are used up, or None if asked to stop.

        Raises:
            errors.StudyNotFound: no study has such a name, and none is waited for.
            errors.WorkFailed, errors.TookItselfOut: a study has trials left that this worker could not train.
            errors.StorageError: the database stayed away for too long.
        """
        with bylines.shown(log), contextlib.closing(self._desks):
            try:
                with notifiers.Notifier(self._database, stop=self._stop):
                    with hearts.Heart(self._database, self._seats, *self._beating) as beating:
                        ended = self._work(beating)
                    beating.check()
                    return ended
            except errors.Interrupted:
                return None  # a trial that could not be handed over is adopted by another worker

    def _work(self, beating: hearts.Heart) -> allocations.NoTrial | None:
        idle = loops.IDLE_SECONDS
        with threads.Threads(self._settings.at_once, self._stop) as pool:
            while not self._stop.is_set():
                if not self._admission.is_open:
                    pool.wait(loops.IDLE_LIMIT_SECONDS)
                    continue
                found = self._matching()
                if self._begin(found, beating, pool):
                    idle = loops.IDLE_SECONDS
                    continue
                if not (self._stay or self._has_more(found)):
                    self._end(found)
                    return allocations.NoTrial.FINISHED
                pool.wait(random.uniform(idle / 2, idle))
                if idle < loops.IDLE_LIMIT_SECONDS <= 2 * idle:
                    log.info("event=waiting reason='no study has a trial to take' worker=%s", self._me.name)
                idle = min(2 * idle, loops.IDLE_LIMIT_SECONDS)
        return None

    def _matching(self) -> list[offers.Offer]:
        found = [offer for offer in offers.read(self._database) if names.matches(offer.name, self._match)]
        for offer in found:
            if offer.is_of_newer_version and self._refusals.find(offer) is None:
                self._refusals.add(offer, errors.InputError("its last order is of a newer version"))
        there = {offer.token for offer in found}
        self._shares.forget(there)
        self._refusals.keep(there)
        self._answers = {token: answer for token, answer in self._answers.items() if token in there}
        return found

    def _begin(self, found: Sequence[offers.Offer], beating: hearts.Heart, pool: threads.Threads) -> bool:
        """Whether a trial was begun, or ended in the moment it was to be adopted: there may be more."""
        busy = {trial.claim.study_id for trial in beating.trials}
        orphans = self._seats.orphans(found, beating.owners)
        able = {offer.token: offer for offer in found if self._is_able(offer, orphans[offer.study_id] > 0)}
        resting = [offer for offer in found if not (offer.token in able or offer.is_under_way)]
        self._desks.keep({offer.token for offer in found}, {offer.token for offer in resting}, busy)
        offers.fold(self._database, resting)
        for token in self._in_turn(able.values(), orphans):
            if self._stop.is_set():
                return False
            try:
                if self._ask(able[token], busy, beating, pool):
                    return True
            except errors.TrialLost:
                return True
            except errors.StudyNotFound as gone:
                log.info("study=%r event=gone reason=%r", able[token].name, str(gone))
        return False

    def _in_turn(self, able: Iterable[offers.Offer], orphans: dict[int, int]) -> list[str]:
        dear = min(HANDICAP * self._desks.seconds, HANDICAP_SECONDS) if self._desks.is_full else 0.0
        return self._shares.order(
            shares.Contender(
                offer.token,
                running=len(offer.running) - orphans[offer.study_id],
                handicap=0.0 if offer.token in self._desks else dear,
            )
            for offer in able
        )

    def _is_able(self, offer: offers.Offer, has_orphan: bool) -> bool:
        if not offer.is_open or self._refusals.find(offer) is not None:
            return False
        answer = self._answers.get(offer.token)
        if has_orphan and not (answer is not None and answer.passes(offer)):
            return True
        return (offer.has_room or offer.is_to_be_ended) and not (answer is not None and answer.holds(offer))

    def _ask(self, offer: offers.Offer, busy: set[int], beating: hearts.Heart, pool: threads.Threads) -> bool:
        """Whether a trial was begun; what keeps one study from being worked on here keeps none of the others."""
        try:
            if self._desks.has_ended(offer):
                self._answers[offer.token] = _Answer(offer.mark, allocations.NoTrial.FINISHED, time.monotonic())
                return False
            desk = self._desks.at(offer, busy)
            self._seats.sit(desk.entry)
            found = desk.take(beating)
        except (errors.TrialLost, errors.StudyNotFound, errors.StorageError, errors.Interrupted):
            raise
        except Exception as error:  # noqa: BLE001  # whatever opening it does, as an import may
            self._refusals.add(offer, error)
            return False
        if isinstance(found, claims.Claim):
            self._shares.choose(offer.token)
            desk.start(found, beating, pool)
            return True
        if found is allocations.NoTrial.ALONE:
            self._refusals.add(offer, errors.TookItselfOut(f"study {offer.name!r}: {found.value}"))
        self._answers[offer.token] = _Answer(offer.mark, found, time.monotonic())
        return False

    def _has_more(self, found: Sequence[offers.Offer]) -> bool:
        """Whether a trial that runs may yet leave something to do."""
        return any(offer.is_open and offer.is_under_way and self._refusals.find(offer) is None for offer in found)

    def _end(self, found: Sequence[offers.Offer]) -> None:
        """Says what is left, and to whom."""
        log.info("event=ended reason='no study has a trial to take' worker=%s", self._me.name)
        if not found:
            which = f" whose name fits {' or '.join(map(repr, self._match))}" if self._match else ""
            place = addresses.hide_password(self._database.url)
            raise errors.StudyNotFound(f"no study{which} in {place}; --stay waits for one")
        left = [(offer, self._refusals.find(offer)) for offer in found if offer.is_open and offer.has_room]
        failed = [(offer.name, refusal) for offer, refusal in left if refusal is not None and not refusal.is_meant]
        if failed:
            named = ", ".join(repr(name) for name, _ in failed[:SHOWN]) + (", ..." if len(failed) > SHOWN else "")
            code = max(refusal.exit_code for _, refusal in failed)
            why = f"of the first: {failed[0][1].reason}"
            raise errors.WorkFailed(f"trials are left that could not be trained here, of {named}; {why}", code)
