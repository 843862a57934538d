"""Claims trials, runs them, tells the results, until the study is finished."""

import contextlib
import logging
import pathlib
import random
import threading
from collections.abc import Callable
from typing import Any

from optuna.trial import TrialState

from search import errors
from search.ledger import (
    adoptions,
    allocations,
    claims,
    configurations,
    failures,
    foreign,
    presence,
    rosters,
    studies,
    wishes,
)
from search.space import spaces
from search.storage.databases import Database
from search.training import records
from search.training.objectives import Failed, Result, Trial
from search.worker import hearts, mishaps, ownership, signals, threads
from search.worker.settings import Settings

log = logging.getLogger("search")

IDLE_SECONDS = 0.1
IDLE_LIMIT_SECONDS = 2.0
DEFAULTS = Settings()
# there may be work later, whether or not the worker stays for an extension
WAITS = (allocations.NoTrial.WAIT, allocations.NoTrial.PAUSED)


class Worker:
    """Works on a study, from any process on any machine that reaches the storage.

    Args:
        objective: trains a trial; what it raises fails the trial and not the worker.
        stop: set to end the worker; the running trial is handed over.
        settings: its slots are trained in a thread each where there are several; see `threads.Admission`.
        stay: wait for an extension where the study is finished.
        parent: end where this process is no longer the parent.
        health_file: touched with every beat.
        need: bytes that the training of a configuration takes.
    """

    def __init__(
        self,
        database: Database,
        study: studies.Study,
        objective: Callable[[Trial], Result],
        stop: threading.Event,
        settings: Settings = DEFAULTS,
        *,
        stay: bool = False,
        parent: int | None = None,
        health_file: pathlib.Path | None = None,
        need: Callable[[spaces.Params], int] = lambda _: 0,
    ) -> None:
        self._database, self._study, self._objective, self._settings = database, study, objective, settings
        self._stop, self._stay, self._parent, self._health_file = stop, stay, parent, health_file
        self._me, self._watch = presence.Identity.this(), presence.Watch(settings.grace_seconds)
        self._entry = rosters.Entry(study, self._me, settings.training_device, settings.grace_seconds)
        self._history = database.history(study.study_id)
        self._wished = wishes.of(database, study, self._history)
        self._need, self._admission = need, threads.Admission(settings.slots, threads.free_bytes)

    def run(self) -> allocations.NoTrial | None:
        """Works until there is nothing left; returns why, or None where it was asked to stop.

        Raises:
            errors.StorageError: the database stayed away for too long.
        """
        try:
            seat = hearts.Seat(self._database, self._study, self._watch, self._entry)
            with hearts.Heart(self._database, seat, self._stop, self._parent, self._health_file) as beating:
                ended = self._work(beating)
            beating.check()
            return ended
        except errors.Interrupted:
            return None  # a trial that could not be handed over is adopted by another worker

    def _work(self, beating: hearts.Heart) -> allocations.NoTrial | None:
        idle = IDLE_SECONDS
        with threads.Threads(self._settings.slots, self._stop) as pool:
            while not self._stop.is_set():
                if not self._admission.is_open:
                    pool.wait(IDLE_LIMIT_SECONDS)
                    continue
                try:
                    claim = self._take(beating)
                except errors.TrialLost:  # ended by another tool in the moment it was to be adopted
                    continue
                if isinstance(claim, claims.Claim):
                    self._run_trial(claim, beating, pool)
                    idle = IDLE_SECONDS
                    continue
                if claim not in WAITS and not (self._stay and claim is not allocations.NoTrial.STOPPED):
                    log.info("event=ended reason=%r worker=%s", claim.value, self._me.name)
                    return claim
                pool.wait(random.uniform(idle / 2, idle))
                if idle < IDLE_LIMIT_SECONDS <= 2 * idle:
                    self._say_wait(claim)
                idle = min(2 * idle, IDLE_LIMIT_SECONDS)
        return None

    def _take(self, beating: hearts.Heart) -> claims.Claim | allocations.NoTrial:
        said = (None, None) if self._wished is None else self._wished.ask()
        return allocations.take(self._database, self._study, self._me, self._watch, beating.owners, *said)

    def _say_wait(self, why: allocations.NoTrial) -> None:
        """Once, where a wait is more than a moment."""
        study_id = self._study.study_id
        others = self._database.read(lambda connection: foreign.waited_for(connection, study_id))
        note = f" other_tools={others} note='search retry puts back what has ended there'" if others else ""
        log.info("event=waiting reason=%r%s worker=%s", why.value, note, self._me.name)

    def _run_trial(self, claim: claims.Claim, beating: hearts.Heart, pool: threads.Threads) -> None:
        """Gives the trial its configuration here, one trial after another, and trains it in a slot."""
        log.info("trial=%d event=%s worker=%s", claim.number, claim.how, self._me.name)
        if claim.saved is not None:
            log.info("trial=%d event=resumed epoch=%d", claim.number, claim.saved.epoch)
        trial = ownership.OwnedTrial(
            *(self._database, self._study, claim, self._stop, self._settings.save_seconds, self._wished),
            place=self._settings.store,
        )
        with contextlib.ExitStack() as life:
            life.callback(trial.transcript.end)
            life.enter_context(beating.beat_for(trial))
            place = life.enter_context(contextlib.ExitStack())
            if self._go_through(trial, lambda: self._prepare(trial, place), is_objective=False):
                rest = life.pop_all()

                def train() -> None:
                    with rest:
                        self._go_through(trial, lambda: self._train(trial, place), is_objective=True)

                pool.start(train)

    def _go_through(self, trial: ownership.OwnedTrial, step: Callable[[], None], is_objective: bool) -> bool:
        """Whether the step came to its end; else the trial was handed over, failed, or is lost.

        Args:
            is_objective: what it raises is the objective's doing, but for a lack of memory or of a GPU.
        """
        try:
            try:
                step()
                return True
            except (errors.HandOver, errors.Paused) as parting:
                self._part(trial, parting)
            except errors.DuplicateConfiguration as error:
                self._refuse(trial, error)
            except errors.TrialTimeout as error:
                self._fail(trial, error)
            except errors.SearchError:
                raise  # the trial or the database is lost: nothing that the configuration did
            except KeyboardInterrupt as error:
                if not signals.are_handled():  # somebody at a notebook
                    raise
                self._fail(trial, error)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a configuration does, the study goes on
                if is_objective and not mishaps.is_the_machines(error):
                    self._fail(trial, error)
                else:
                    self._put_off(trial, error)
        except errors.TrialLost as lost:
            log.info("trial=%d event=lost reason=%r worker=%s", trial.number, str(lost), self._me.name)
        return False

    def _part(self, trial: ownership.OwnedTrial, parting: errors.SearchError) -> None:
        """It waits: handed over, or paused, which has given it back already."""
        event = f"event=paused reason={str(parting)!r}"
        if isinstance(parting, errors.HandOver):
            trial.hand_over()
            event = "event=handed-over"
        log.info("trial=%d %s worker=%s", trial.number, event, self._me.name)

    def _prepare(self, trial: ownership.OwnedTrial, place: contextlib.ExitStack) -> None:
        params = configurations.configure(self._database, self._study, trial.claim, self._history)
        # one that has taken its workers with it takes no other trial along to its last try
        last_try = trial.claim.stalls >= adoptions.STALL_LIMIT - 1
        place.enter_context(self._admission.enter(self._need(params), trial.check_stop, alone=last_try))
        trial.begin(params)
        trial.check_stop()

    def _train(self, trial: ownership.OwnedTrial, place: contextlib.ExitStack) -> None:
        try:
            result = self._objective(trial)
        except Exception as error:
            if not mishaps.is_out_of_memory(error):
                raise
            log.warning("trial=%d event=out-of-memory note='once more, alone' reason=%r", trial.number, str(error))
            result = None
        if result is None:  # outside the except: the traceback would keep all that filled the memory
            self._admission.crowded()
            trial.stand_by()
            place.close()
            mishaps.free_memory()
            place.enter_context(self._admission.enter(self._need(trial.params), trial.check_stop, alone=True))
            trial.go_back()
            result = self._objective(trial)
        else:
            self._admission.went_well()
        self._tell(trial, result.state, result.value, result.attrs)

    def _fail(self, trial: ownership.OwnedTrial, error: BaseException) -> None:
        """The objective's doing."""
        reason, trace = mishaps.told(error)
        self._tell(trial, TrialState.FAIL, None, {records.REASON.name: reason, records.TRACEBACK.name: trace})

    def _refuse(self, trial: ownership.OwnedTrial, error: errors.SearchError) -> None:
        """The doing of whoever queued it."""
        reason, _ = mishaps.told(error)
        failures.refuse(self._database, trial.claim, reason, {records.WORKER.name: self._me.name})
        _log_end(trial.claim, "refused", None, {records.REASON.name: reason})

    def _put_off(self, trial: ownership.OwnedTrial, error: BaseException) -> None:
        """Nobody's doing: for another try, here or elsewhere."""
        reason, trace = mishaps.told(error)
        is_ours = not isinstance(error, Failed)  # a process of the user's own has said all there is
        log.warning("trial=%d event=fault reason=%r worker=%s", trial.number, reason, self._me.name, exc_info=is_ours)
        if trial.put_off(self._me, reason, {records.TRACEBACK.name: trace, records.WORKER.name: self._me.name}):
            _log_end(trial.claim, "failed", None, {records.REASON.name: reason})
        if mishaps.has_lost_device(error):  # the next ones would fail too
            raise errors.WorkFailed(f"the device cannot be used any more in this process: {reason}")

    def _tell(self, trial: ownership.OwnedTrial, state: TrialState, value: float | None, attrs: dict[str, Any]) -> None:
        attrs = {**attrs, records.SECONDS.name: trial.seconds, records.WORKER.name: self._me.name}
        trial.tell(state, value, attrs)
        _log_end(trial.claim, "failed" if state == TrialState.FAIL else state.name.lower(), value, attrs)


def _log_end(claim: claims.Claim, event: str, value: float | None, attrs: dict[str, Any]) -> None:
    fields = {"value": value}
    for name, attribute in (("seconds", records.SECONDS), ("reason", records.REASON), ("worker", records.WORKER)):
        fields[name] = attrs.get(attribute.name)
    shown = [f"{name}={field!r}" for name, field in fields.items() if field is not None]
    log.info("trial=%d event=%s %s", claim.number, event, " ".join(shown))
