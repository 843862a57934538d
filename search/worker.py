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

from search import claims, configurations, errors, orders, presence, pruners, roster, study
from search.objective import Result, Trial
from search.store import Store

log = logging.getLogger("search")

IDLE_SECONDS = 0.1
IDLE_LIMIT_SECONDS = 2.0
HEART_TICK_SECONDS = 1.0
ORDER_SECONDS = 3.0  # how soon a busy worker hears of `search stop --now`
TRACEBACK_CHARACTERS = 4_000
# there may be work later, whether or not the worker stays for an extension
WAITS = (claims.Nothing.WAIT, claims.Nothing.PAUSED)


class Worker:
    """One trial at a time, from any process on any machine that reaches the storage.

    Args:
        objective: trains a trial; what it raises fails the trial and not the worker.
        stop: set to end the worker; the running trial is handed over.
        stay: wait for an extension where the study is finished.
        parent: end where this process is no longer the parent.
        device: what the roster says it trains on.
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
        device: str = "cpu",
    ) -> None:
        self._store, self._study, self._objective = store, of, objective
        self._stop, self._stay, self._parent = stop, stay, parent
        self._me = presence.Worker.this()
        self._watch = presence.Watch(grace_seconds)
        self._entry = roster.Entry(of.study_id, self._me, device, grace_seconds)
        self._history = store.history(of.study_id)

    def run(self) -> claims.Nothing | None:
        """Works until there is nothing left; returns why, or None where it was asked to stop.

        Raises:
            errors.StorageError: the database stayed away for too long.
        """
        try:
            with _Heart(self._store, self._study, self._watch, self._entry, self._stop, self._parent) as heart:
                return self._work(heart)
        except errors.Interrupted:
            return None  # a trial that could not be handed over is adopted by another worker

    def _work(self, heart: "_Heart") -> claims.Nothing | None:
        idle = IDLE_SECONDS
        while not self._stop.is_set():
            try:
                claim = claims.take(self._store, self._study, self._me, self._watch)
            except errors.TrialLost:  # ended by another tool in the moment it was to be adopted
                continue
            if isinstance(claim, claims.Claim):
                self._run_trial(claim, heart)
                idle = IDLE_SECONDS
                continue
            if claim not in WAITS and not (self._stay and claim is not claims.Nothing.STOPPED):
                log.info("event=ended reason=%r worker=%s", claim.value, self._me.name)
                return claim
            self._stop.wait(random.uniform(idle / 2, idle))
            idle = min(2 * idle, IDLE_LIMIT_SECONDS)
        return None

    def _run_trial(self, claim: claims.Claim, heart: "_Heart") -> None:
        log.info("trial=%d event=%s worker=%s", claim.number, claim.how, self._me.name)
        trial = _OwnedTrial(self._store, self._study, claim, self._stop)
        with heart.of(trial):
            try:
                self._train_or_fail(trial)
            except errors.TrialLost as lost:
                log.info("trial=%d event=lost reason=%r worker=%s", claim.number, str(lost), self._me.name)

    def _train_or_fail(self, trial: "_OwnedTrial") -> None:
        try:
            self._train(trial)
        except errors.HandOver:
            claims.hand_over(self._store, trial.claim, trial.seconds)
            log.info("trial=%d event=handed-over worker=%s", trial.number, self._me.name)
        except (errors.DuplicateConfiguration, errors.EpochTimeout) as error:
            self._fail(trial, error)
        except errors.SearchError:
            raise  # the trial or the database is lost: nothing that the configuration did
        except Exception as error:  # noqa: BLE001  # whatever a configuration does, the study goes on
            self._fail(trial, error)

    def _train(self, trial: "_OwnedTrial") -> None:
        trial.begin(configurations.configure(self._store, self._study, trial.claim, self._history))
        trial.tick()
        result = self._objective(trial)
        self._tell(trial, result.state, result.value, result.attrs)

    def _fail(self, trial: "_OwnedTrial", error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()[-TRACEBACK_CHARACTERS:]
        self._tell(trial, TrialState.FAIL, None, {"reason": reason, "traceback": trace})

    def _tell(self, trial: "_OwnedTrial", state: TrialState, value: float | None, attrs: dict[str, Any]) -> None:
        seconds = trial.seconds
        attrs = {**attrs, "seconds": seconds, "worker": self._me.name}
        claims.tell(self._store, trial.claim, state, value, attrs, seconds)
        _log_end(trial.claim, "failed" if state == TrialState.FAIL else state.name.lower(), {"value": value, **attrs})


class _OwnedTrial:
    """The objective's view of a claim: every report is fenced and carries the time spent so far.

    Args:
        stop: set where the worker is to end.
    """

    def __init__(self, store: Store, of: study.Study, claim: claims.Claim, stop: threading.Event) -> None:
        self.claim, self.number, self.repeat = claim, claim.number, claim.repeat
        self.params: dict[str, Any] = {}
        self.interrupt: Callable[[], None] | None = None
        self.released = False
        self.lost: errors.SearchError | None = None
        self._store, self._study, self._stop = store, of, stop
        self._epoch_seconds = of.spec.budget.epoch_seconds
        self._values: dict[int, float] = {}
        self._started = self._epoch_started = time.perf_counter()
        self._epoch = 1

    def begin(self, params: dict[str, Any]) -> None:
        """The training starts now, with this configuration."""
        self.params = params
        self._started = self._epoch_started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Training time of all owners so far."""
        return round(self.claim.seconds + time.perf_counter() - self._started, 3)

    def tick(self) -> None:
        """See `objective.Trial`."""
        if (ending := self.ending()) is not None:
            raise ending

    def ending(self) -> errors.SearchError | None:
        """Why the training must not go on, or None."""
        if self._stop.is_set() or self.released:
            return errors.HandOver()
        if self.lost is not None:
            return self.lost
        if self._epoch_seconds is not None and time.perf_counter() - self._epoch_started > self._epoch_seconds:
            return errors.EpochTimeout(
                f"epoch {self._epoch} took longer than budget.epoch_seconds = {self._epoch_seconds:g}"
            )
        return None

    def report(self, step: int, value: float, attrs: dict[str, Any]) -> None:
        """See `objective.Trial`."""
        claims.report(self._store, self.claim, step, value, self.seconds, attrs)
        log.debug("trial=%d event=epoch epoch=%d value=%.4f", self.number, step, value)
        self._values[step] = value
        self._epoch, self._epoch_started = step + 1, time.perf_counter()

    def should_prune(self) -> str | None:
        """See `objective.Trial`."""
        spec, claim = self._study.spec, self.claim
        if spec.pruning.pruner is None or not self._values:
            return None
        step = max(self._values)
        found = self._store.read(lambda c: pruners.others(c, claim.study_id, claim.trial_id, step))
        question = pruners.Question(
            study_name=spec.name,
            maximize=spec.study.direction == "maximize",
            number=self.number,
            values=self._values,
            others=found,
            epochs=spec.training.epochs if spec.training else None,
            settings=spec.pruning.settings,
        )
        return pruners.reason(spec.pruning.pruner, question)


class _Heart:
    """The thread that beats for the running trial, watches the beats of the others, and listens for orders."""

    def __init__(
        self,
        store: Store,
        of: study.Study,
        watch: presence.Watch,
        entry: roster.Entry,
        stop: threading.Event,
        parent: int | None,
    ) -> None:
        self._store, self._study, self._watch, self._entry = store, of, watch, entry
        self._stop, self._parent = stop, parent
        self._trial: _OwnedTrial | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heart", daemon=True)

    def __enter__(self) -> "_Heart":
        self._entry.show(self._store)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(errors.SearchError):  # the line grows old by itself
            self._entry.strike(self._store)

    @contextlib.contextmanager
    def of(self, trial: _OwnedTrial) -> Iterator[None]:
        """Beats for a trial as long as the context lasts."""
        self._trial = trial
        try:
            yield
        finally:
            self._trial = None

    def _live(self) -> None:
        beat_seconds = self._watch.beat_seconds
        next_beat = next_order = time.monotonic()
        while not self._ended.wait(min(HEART_TICK_SECONDS, beat_seconds / 4)):
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
            except errors.Interrupted:
                return
            except errors.SearchError as error:  # the trial is lost, or the database: `tick` tells the worker
                if trial is not None:
                    trial.lost = error
            if trial is not None and trial.interrupt is not None and trial.ending() is not None:
                trial.interrupt()

    def _beat(self, trial: _OwnedTrial | None) -> None:
        if trial is not None:
            claims.beat(self._store, trial.claim, trial.seconds)
        claims.observe(self._store, self._study, self._watch, trial.claim.owner if trial else None)
        self._entry.show(self._store)

    def _listen(self, trial: _OwnedTrial) -> None:
        order = self._store.read(lambda connection: orders.read(connection, self._study.study_id))
        if order.at_once and order.state is not orders.State.ACTIVE:
            trial.released = True


def _log_end(claim: claims.Claim, event: str, fields: dict[str, Any]) -> None:
    shown = [
        f"{key}={fields[key]!r}" for key in ("value", "seconds", "reason", "worker") if fields.get(key) is not None
    ]
    log.info("trial=%d event=%s %s", claim.number, event, " ".join(shown))
