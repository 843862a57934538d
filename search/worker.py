"""Claims a trial, runs it, tells the result, until the study is finished."""

import contextlib
import logging
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from optuna.trial import TrialState

from search import claims, configurations, errors, presence, study
from search.objective import Result, Trial
from search.store import Store

log = logging.getLogger("search")

IDLE_SECONDS = 0.1
IDLE_LIMIT_SECONDS = 2.0
HEART_TICK_SECONDS = 1.0
TRACEBACK_CHARACTERS = 4_000


class Worker:
    """One trial at a time, from any process on any machine that reaches the storage.

    Args:
        objective: trains a trial; what it raises fails the trial and not the worker.
        stop: set to end the worker; the running trial is handed over.
        stay: wait for an extension where the study is finished.
        parent: end where this process is no longer the parent.
    """

    def __init__(
        self,
        store: Store,
        of: study.Study,
        objective: Callable[[Trial], Result],
        stop: threading.Event,
        *,
        stay: bool = False,
        grace_seconds: float = presence.GRACE_SECONDS,
        parent: int | None = None,
    ) -> None:
        self._store, self._study, self._objective = store, of, objective
        self._stop, self._stay, self._parent = stop, stay, parent
        self._me = presence.Worker.this()
        self._watch = presence.Watch(grace_seconds)
        self._history = store.history(of.study_id)

    def run(self) -> claims.Nothing | None:
        """Works until there is nothing left; returns why, or None where it was asked to stop.

        Raises:
            errors.StorageError: the database stayed away for too long.
        """
        idle = IDLE_SECONDS
        with _Heart(self._store, self._study, self._watch, self._stop, self._parent) as heart:
            while not self._stop.is_set():
                try:
                    claim = claims.take(self._store, self._study, self._me, self._watch)
                    if isinstance(claim, claims.Claim):
                        self._run_trial(claim, heart)
                        idle = IDLE_SECONDS
                        continue
                except errors.Interrupted:
                    return None  # a trial that could not be handed over is adopted by another worker
                if claim is not claims.Nothing.WAIT and not self._stay:
                    log.info("event=ended reason=%r worker=%s", claim.value, self._me.name)
                    return claim
                self._stop.wait(random.uniform(idle / 2, idle))
                idle = min(2 * idle, IDLE_LIMIT_SECONDS)
        return None

    def _run_trial(self, claim: claims.Claim, heart: "_Heart") -> None:
        log.info("trial=%d event=%s worker=%s", claim.number, claim.how, self._me.name)
        with heart.of(claim):
            try:
                self._train_or_fail(claim, heart)
            except errors.TrialLost as lost:
                log.info("trial=%d event=lost reason=%r worker=%s", claim.number, str(lost), self._me.name)

    def _train_or_fail(self, claim: claims.Claim, heart: "_Heart") -> None:
        try:
            self._train(claim, heart)
        except errors.HandOver:
            claims.hand_over(self._store, claim)
            log.info("trial=%d event=handed-over worker=%s", claim.number, self._me.name)
        except errors.DuplicateConfiguration as error:
            self._fail(claim, error)
        except errors.SearchError:
            raise  # the trial or the database is lost: nothing that the configuration did
        except Exception as error:  # noqa: BLE001  # whatever a configuration does, the study goes on
            self._fail(claim, error)

    def _train(self, claim: claims.Claim, heart: "_Heart") -> None:
        params = configurations.configure(self._store, self._study, claim, self._history)
        heart.check()
        trial = _OwnedTrial(self._store, claim, params, heart.check)
        result = self._objective(trial)
        attrs = {**result.attrs, "seconds": trial.seconds, "worker": self._me.name}
        claims.tell(self._store, claim, result.state, result.value, attrs)
        _log_end(claim, result.state.name.lower(), {"value": result.value, **attrs})

    def _fail(self, claim: claims.Claim, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()[-TRACEBACK_CHARACTERS:]
        attrs = {"reason": reason, "traceback": trace, "worker": self._me.name}
        claims.tell(self._store, claim, TrialState.FAIL, None, attrs)
        _log_end(claim, "failed", attrs)


class _OwnedTrial:
    """The objective's view of a claim: every report is fenced and carries the time spent so far."""

    def __init__(self, store: Store, claim: claims.Claim, params: dict[str, Any], check: Callable[[], None]) -> None:
        self.params = params
        self.tick = check
        self._store, self._claim = store, claim
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Training time of all owners so far."""
        return round(self._claim.seconds + time.perf_counter() - self._started, 3)

    def report(self, step: int, value: float, attrs: dict[str, Any]) -> None:
        claims.report(self._store, self._claim, step, value, self.seconds, attrs)
        log.debug("trial=%d event=epoch epoch=%d value=%.4f", self._claim.number, step, value)


class _Heart:
    """The thread that beats for the running trial, and watches the beats of the others."""

    def __init__(
        self,
        store: Store,
        of: study.Study,
        watch: presence.Watch,
        stop: threading.Event,
        parent: int | None,
    ) -> None:
        self._store, self._study, self._watch = store, of, watch
        self._stop, self._parent = stop, parent
        self._claim: claims.Claim | None = None
        self._lost: errors.SearchError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    def __enter__(self) -> "_Heart":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    @contextlib.contextmanager
    def of(self, claim: claims.Claim) -> Iterator[None]:
        """Beats for a claim as long as the context lasts."""
        self._claim, self._lost = claim, None
        try:
            yield
        finally:
            self._claim, self._lost = None, None

    def check(self) -> None:
        """Called between two steps of training: raises where the trial must not go on."""
        if self._stop.is_set():
            raise errors.HandOver
        if self._lost is not None:
            raise self._lost

    def _live(self) -> None:
        next_beat = time.monotonic() + self._watch.beat_seconds
        while not self._ended.wait(min(HEART_TICK_SECONDS, self._watch.beat_seconds / 4)):
            if self._parent is not None and os.getppid() != self._parent:
                self._stop.set()
            if time.monotonic() < next_beat:
                continue
            next_beat = time.monotonic() + self._watch.beat_seconds
            claim = self._claim
            try:
                if claim is not None:
                    claims.beat(self._store, claim)
                claims.observe(self._store, self._study, self._watch, claim.owner if claim else None)
            except errors.Interrupted:
                return
            except errors.SearchError as error:  # the trial is lost, or the database: `check` tells the worker
                if claim is self._claim:
                    self._lost = error


def _log_end(claim: claims.Claim, event: str, fields: dict[str, Any]) -> None:
    shown = [
        f"{key}={fields[key]!r}" for key in ("value", "seconds", "reason", "worker") if fields.get(key) is not None
    ]
    log.info("trial=%d event=%s %s", claim.number, event, " ".join(shown))
