"""The thread of a worker: beats and writes for its trial, watches the beats of the others, listens for orders."""

import contextlib
import os
import pathlib
import threading
import time
from collections.abc import Iterator

from search import claims, errors, orders, owned, presence, roster, study
from search.store import Store

TICK_SECONDS = 1.0
ORDER_SECONDS = 3.0  # how soon a busy worker hears of `search stop --now`


class Heart:
    """A context of the worker's life; `of` is one of a trial's.

    Args:
        stop: set where the parent process is gone.
        parent: whose child this process must stay; None for any.
        health_file: touched with every beat.
    """

    def __init__(
        self,
        store: Store,
        of: study.Study,
        watch: presence.Watch,
        entry: roster.Entry,
        stop: threading.Event,
        parent: int | None,
        health_file: pathlib.Path | None = None,
    ) -> None:
        self._store, self._study, self._watch, self._entry = store, of, watch, entry
        self._stop, self._parent, self._health_file = stop, parent, health_file
        self._trial: owned.OwnedTrial | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    def __enter__(self) -> "Heart":
        self._entry.show(self._store)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(errors.SearchError):  # the line grows old by itself
            self._entry.strike(self._store)

    @contextlib.contextmanager
    def of(self, trial: owned.OwnedTrial) -> Iterator[None]:
        """Beats for a trial as long as the context lasts."""
        self._trial = trial
        try:
            yield
        finally:
            self._trial = None

    def _live(self) -> None:
        beat_seconds = self._watch.beat_seconds
        next_beat = next_order = time.monotonic()
        while not self._ended.wait(min(TICK_SECONDS, beat_seconds / 4)):
            if self._parent is not None and os.getppid() != self._parent:
                self._stop.set()
            trial, now = self._trial, time.monotonic()
            try:
                if now >= next_beat:
                    next_beat = now + beat_seconds
                    self._beat(trial)
                elif trial is not None and now >= next_order:
                    next_order = now + min(ORDER_SECONDS, beat_seconds)
                    self._listen(trial)
                if trial is not None:
                    trial.write_if_due()  # the next report may be long in coming
            except errors.Interrupted:
                pass  # asked to stop: the trial must still be told so
            except errors.SearchError as error:  # the trial is lost, or the database: `tick` tells the worker
                if trial is not None:
                    trial.lost = error
            interrupt = trial.interrupt if trial is not None else None  # read once: the trial may end in between
            if trial is not None and interrupt is not None and trial.ending() is not None:
                interrupt()

    def _beat(self, trial: owned.OwnedTrial | None) -> None:
        if trial is not None:
            claims.beat(self._store, trial.claim, trial.seconds)
        claims.observe(self._store, self._study, self._watch, trial.claim.owner if trial else None)
        self._entry.show(self._store)
        if self._health_file is not None:
            with contextlib.suppress(OSError):  # then it grows old, which is what it is for
                self._health_file.touch()

    def _listen(self, trial: owned.OwnedTrial) -> None:
        order = self._store.read(lambda connection: orders.read(connection, self._study.study_id))
        if order.at_once and order.state is not orders.State.ACTIVE:
            trial.released = True
