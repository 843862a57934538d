"""What a worker of any study keeps of those it trained for last: data, engines, processes of objectives."""

import collections
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from search import errors
from search.ledger import allocations, claims, listings, offers, rosters, studies
from search.storage.databases import Database
from search.training.objectives import Network, Result, Trial
from search.worker import (
    assignments,
    bylines,
    hearts,
    keepers,
    loops,
    mishaps,
    publishers,
    requirements,
    seats,
    threads,
)
from search.worker.settings import Settings

log = logging.getLogger("search")

KEPT = 4  # studies
SPARE_BYTES = 1 << 30  # of memory: with less free, fewer are kept
SWEEP_SECONDS = 5.0  # patience with the store of a study that is closed: the others wait


class Desk(loops.Worker):
    """A worker's life at one study, a trial at a time, where it has others.

    Args:
        spend: told the seconds that each step of a trial has taken.
    """

    def __init__(
        self,
        database: Database,
        study: studies.Study,
        objective: Callable[[Trial], Result],
        stop: threading.Event,
        settings: Settings,
        network: Network | None,
        shared: "Shared",
        spend: Callable[[float], None],
    ) -> None:
        super().__init__(database, study, objective, stop, settings, network=network)
        self._entry = dataclasses.replace(self._entry, backends=f"{self._entry.backends},{rosters.ANY}")
        self._admission, self._watch = shared.admission, shared.seats.watch(study.study_id)
        self._spend = spend

    @property
    def entry(self) -> rosters.Entry:
        """Its line in the study's roster."""
        return self._entry

    @property
    def study(self) -> studies.Study:
        """The study."""
        return self._study

    def take(self, beating: hearts.Heart) -> claims.Claim | allocations.NoTrial:
        """See `allocations.take`."""
        return self._take(beating)

    def start(self, claim: claims.Claim, beating: hearts.Heart, pool: threads.Threads) -> None:
        """Trains a trial: to its end, or in a slot."""
        with bylines.named(self._study.name):
            self._run_trial(claim, beating, pool)

    def _go_through(self, *step: Any, **how: Any) -> bool:
        """A study that is deleted meanwhile takes this trial along, and nothing else."""
        began = time.monotonic()
        with bylines.named(self._study.name):
            try:
                return super()._go_through(*step, **how)
            except errors.StudyNotFound as gone:
                log.info("event=gone reason=%r", str(gone))
                return False
            finally:
                self._spend(time.monotonic() - began)


@dataclasses.dataclass(frozen=True)
class Shared:
    """What all desks of a worker have together."""

    seats: seats.Seats
    admission: threads.Admission
    gpus: assignments.Equipped | None = None


@dataclasses.dataclass
class _Open:
    desk: Desk
    life: contextlib.ExitStack
    order_id: int
    seconds: float


class Desks:
    """The desks of one worker: at most `KEPT` of studies that it trains nothing of just now.

    Args:
        spend: told the seconds that each study has taken, by its token.
        check: passes a study whose code can be had here.
    """

    def __init__(
        self,
        database: Database,
        stop: threading.Event,
        settings: Settings,
        shared: Shared,
        spend: Callable[[str, float], None],
        check: Callable[[Database, studies.Study], None],
    ) -> None:
        self._database, self._stop, self._settings = database, stop, settings
        self._shared, self._spend, self._check = shared, spend, check
        self._publishers = publishers.Publishers(database.url, settings.gpu_locks, settings.log_format)
        self._open: collections.OrderedDict[str, _Open] = collections.OrderedDict()  # by token, the last used last

    def __contains__(self, token: str) -> bool:
        return token in self._open

    @property
    def is_full(self) -> bool:
        """Whether one more takes the place of another."""
        return bool(self._open) and (len(self._open) >= KEPT or threads.free_bytes() < SPARE_BYTES)

    @property
    def seconds(self) -> float:
        """The longest that one of them took to open."""
        return max((each.seconds for each in self._open.values()), default=0.0)

    def at(self, offer: offers.Offer, busy: Collection[int]) -> Desk:
        """The desk at a study, kept or opened.

        Args:
            busy: ids of studies whose trials are trained now.

        Raises:
            errors.StudyNotFound: it was deleted.
            Exception: whatever opening it comes to.
        """
        known = self._open.get(offer.token)
        if known is not None and known.order_id != offer.order_id and self._has_changed(known.desk, offer):
            self._close(offer.token)
            known = None
        if known is None:
            known = self._new(offer, busy)
        known.order_id = offer.order_id
        self._open.move_to_end(offer.token)
        return known.desk

    def has_ended(self, offer: offers.Offer) -> bool:
        """Whether a study that is not open need not be opened; see `offers.has_ended`.

        Raises:
            errors.InputError: it cannot be read.
            errors.StudyNotFound: it was deleted.
        """
        if offer.token in self:
            return False
        study = self._load(offer)
        with listings.named(offer.name):
            return self._database.read(lambda connection: offers.has_ended(connection, study, offer))

    def _has_changed(self, desk: Desk, offer: offers.Offer) -> bool:
        """Whether its file was amended, or its name is another one; workers that stay at one study end for neither."""
        return desk.study.name != offer.name or self._load(offer).spec.text != desk.study.spec.text

    def _load(self, offer: offers.Offer) -> studies.Study:
        stored = studies.stored(self._database, study_id=offer.study_id)
        if stored is None or stored.token != offer.token:
            raise errors.StudyNotFound(f"study {offer.name!r} was deleted")
        with listings.named(offer.name):
            return stored.read()

    def _new(self, offer: offers.Offer, busy: Collection[int]) -> _Open:
        study = self._load(offer)
        requirements.check_objective(study.spec, self._settings)
        self._check(self._database, study)
        requirements.check_slots(study.spec, self._settings)
        self._make_room(busy)
        began = time.monotonic()
        with contextlib.ExitStack() as life, bylines.named(study.name):
            settings, gpus = self._settings, self._shared.gpus
            objective, network = requirements.objective(study.spec, settings, life, self._database.url)
            if gpus is not None:  # the roster has them by their numbers
                objective, settings = (
                    gpus.watch(study.spec, objective),
                    settings.model_copy(update={"device": gpus.label}),
                )

            def spend(seconds: float) -> None:
                self._spend(study.token, seconds)

            how = (self._stop, settings, network, self._shared, spend)
            desk = Desk(self._database, study, objective, *how)
            life.callback(self._publishers.start(study).ask)  # it ends while other studies go on
            seconds = time.monotonic() - began
            log.info("event=opened seconds=%.1f", seconds)
            self._open[offer.token] = _Open(desk, life.pop_all(), offer.order_id, seconds)
        return self._open[offer.token]

    def _make_room(self, busy: Collection[int]) -> None:
        idle = [token for token, each in self._open.items() if each.desk.study.study_id not in busy]
        for token in idle:
            if not self.is_full:
                break
            self._close(token)
            mishaps.free_memory()

    def keep(self, tokens: Collection[str], resting: Collection[str], busy: Collection[int]) -> None:
        """Closes what is there no more, and leaves the rosters of studies at rest.

        Args:
            tokens: of the studies that there are.
            resting: those of them that have nothing to do.
        """
        for token, each in list(self._open.items()):
            if each.desk.study.study_id in busy:
                continue
            if token not in tokens:
                self._close(token)
            elif token in resting:
                self._shared.seats.leave(token)

    def close(self) -> None:
        """Closes all."""
        while self._open:
            self._close(next(iter(self._open)))
        self._publishers.wait()

    def _close(self, token: str) -> None:
        each = self._open.pop(token)
        with contextlib.suppress(errors.SearchError):  # the line grows old by itself
            self._shared.seats.leave(token)
        each.life.close()
        if not self._stop.is_set():
            keepers.sweep(self._database, each.desk.study, self._settings.store, SWEEP_SECONDS, self._stop)
