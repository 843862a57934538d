"""The thread of a worker: beats and writes for its trials, watches the beats of the others, listens for orders."""

import contextlib
import logging
import os
import pathlib
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from search import errors
from search.ledger import adoptions, claims, orders, presence, rosters, studies
from search.storage.databases import Database
from search.worker import mishaps, ownership

log = logging.getLogger("search")

TICK_SECONDS = 1.0
ORDER_SECONDS = 3.0  # how soon a busy worker hears of `search stop --now`
JOIN_SECONDS = 10.0  # longer only where the database is away


Trials = Sequence[ownership.OwnedTrial]


class Post(Protocol):
    """Where a worker is at work, a study or several: what its heart does there beside the beats of its trials."""

    @property
    def worker(self) -> presence.Identity:
        """Who it is."""

    @property
    def beat_seconds(self) -> float:
        """How often it beats and looks."""

    def sign_in(self) -> None:
        """The worker begins."""

    def sign_out(self) -> None:
        """The worker ends."""

    def beat(self, trials: Trials) -> Collection[claims.Claim]:
        """Shows that the worker and its trials live, and watches the others; returns which of them it has lost."""

    def listen(self, trials: Trials) -> None:
        """Releases the trials that are to be handed over at once."""


class Seat:
    """The post of a worker at one study."""

    def __init__(self, database: Database, study: studies.Study, watch: presence.Watch, entry: rosters.Entry) -> None:
        self._database, self._study, self._watch, self._entry = database, study, watch, entry
        self.worker, self.beat_seconds = entry.worker, watch.beat_seconds

    def sign_in(self) -> None:
        """Writes its line in the roster."""
        self._entry.show(self._database)

    def sign_out(self) -> None:
        """Strikes it out."""
        self._entry.strike(self._database)

    def beat(self, trials: Trials) -> Collection[claims.Claim]:
        """See `Post`."""
        signed: list[bool] = []
        training = [(trial.claim, trial.seconds) for trial in trials]
        gone = claims.beat(self._database, training, lambda c: signed.append(self._entry.renew(c)))
        if not signed[-1]:
            self._entry.show(self._database)
        adoptions.observe(self._database, self._study, self._watch, {trial.claim.owner for trial in trials})
        return gone

    def listen(self, trials: Trials) -> None:
        """See `Post`."""
        order = self._database.read(lambda connection: orders.read(connection, self._study))
        if order.at_once and order.state is not orders.StudyState.ACTIVE:
            for trial in trials:
                trial.released = True


class Heart:
    """A context of the worker's life; `beat_for` is one of a trial's.

    Where it fails, the worker is asked to stop and hands its trials over; `failure` says why.

    Args:
        stop: set where the parent process is gone.
        parent: whose child this process must stay; None for any.
        health_file: touched with every beat.
    """

    def __init__(
        self,
        database: Database,
        post: Post,
        stop: threading.Event,
        parent: int | None,
        health_file: pathlib.Path | None = None,
    ) -> None:
        self._database, self._post = database, post
        self._stop, self._parent, self._health_file = stop, parent, health_file
        self._trials: tuple[ownership.OwnedTrial, ...] = ()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    def __enter__(self) -> "Heart":
        self._post.sign_in()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(errors.SearchError):  # the line grows old by itself
            self._post.sign_out()
        # It may hold the last reference to a trial and its weights. Tensors that a thread frees while the interpreter
        # ends take the whole process along: torch aborts.
        self._thread.join(JOIN_SECONDS)

    @contextlib.contextmanager
    def beat_for(self, trial: ownership.OwnedTrial) -> Iterator[None]:
        """Beats for a trial as long as the context lasts."""
        with self._changing:
            self._trials = (*self._trials, trial)
        try:
            yield
        finally:
            with self._changing:
                self._trials = tuple(other for other in self._trials if other is not trial)

    def check(self) -> None:
        """Passes a heart that has beaten to its end.

        Raises:
            errors.WorkFailed: it failed.
        """
        if self.failure is not None:
            name, (reason, _) = self._post.worker.name, mishaps.told(self.failure)
            raise errors.WorkFailed(
                f"the heart of worker {name} failed, so it ends: {reason}; its trials were handed over", 1
            )

    @property
    def trials(self) -> Trials:
        """Those that it beats for."""
        return self._trials

    @property
    def owners(self) -> set[str]:
        """The owner tokens of the trials that it beats for."""
        return {trial.claim.owner for trial in self._trials}

    def _live(self) -> None:
        beat_seconds = self._post.beat_seconds
        self._next_beat = self._next_order = time.monotonic()
        while not self._ended.wait(min(TICK_SECONDS, beat_seconds / 4)):
            trials = self._trials
            try:
                if self.failure is None:
                    self._turn(trials, beat_seconds)
            except Exception as error:  # whatever it is: without beats the others would take its trials
                log.exception("event=heart-failed worker=%s", self._post.worker.name)
                self.failure = error
                self._stop.set()

    def _turn(self, trials: Trials, beat_seconds: float) -> None:
        if self._parent is not None and os.getppid() != self._parent:
            self._stop.set()
        now = time.monotonic()
        try:
            if now >= self._next_beat:
                self._next_beat = now + beat_seconds
                self._beat(trials)
            elif trials and now >= self._next_order:
                self._next_order = now + min(ORDER_SECONDS, beat_seconds)
                self._post.listen(trials)
        except errors.Interrupted:
            pass  # asked to stop: the trials must still be told so
        except errors.SearchError as error:  # the database or the study is lost: `check_stop` tells the worker
            for trial in trials:
                trial.lost = error
        for trial in trials:
            self._write(trial)

    def _write(self, trial: ownership.OwnedTrial) -> None:
        """Writes what was reported, since the next report may be long in coming."""
        if trial.lost is not None:
            return
        try:
            trial.write_if_due()
            trial.transcript.write_if_due()
        except errors.Interrupted:
            pass
        except errors.SearchError as error:
            trial.lost = error

    def _beat(self, trials: Trials) -> None:
        gone = self._post.beat(trials)
        for trial in trials:
            if trial.claim in gone:
                trial.lost = claims.lost(trial.claim)
        if self._health_file is not None:
            with contextlib.suppress(OSError):  # then it grows old, which is what it is for
                self._health_file.touch()
