"""Claims trials, runs them, tells the results, until the study is finished."""

import contextlib
import logging
import pathlib
import random
import threading
from collections.abc import Callable

from models import backends
from search import errors, words
from search.ledger import (
    abilities,
    adoptions,
    allocations,
    claims,
    configurations,
    foreign,
    orders,
    presence,
    rosters,
    studies,
    wishes,
)
from search.space import spaces
from search.storage.databases import Database
from search.training.objectives import Failed, Network, Result, Trial
from search.worker import endings, hearts, mishaps, notifiers, occupancies, ownership, signals, threads
from search.worker.settings import Settings

log = logging.getLogger("search")

IDLE_SECONDS = 0.1
IDLE_LIMIT_SECONDS = 2.0
NAMED = 20  # trials in a line
DEFAULTS = Settings()
# there may be work later, whether or not the worker stays for an extension
WAITS = (allocations.NoTrial.WAIT, allocations.NoTrial.ENGINE, allocations.NoTrial.PAUSED)


class Worker:
    """Works on a study, from any process on any machine that reaches the storage.

    Args:
        objective: trains a trial; what it raises fails the trial and not the worker.
        stop: set to end the worker; the running trial is handed over.
        settings: its slots are trained in a thread each where there are several; see `threads.Admission`.
        stay: wait for an extension where the study is finished.
        parent: end where this process is no longer the parent.
        health_file: touched with every beat.
        network: where networks are trained, what with.
        occupied: by which processes their GPU is; see `threads.Admission`.
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
        network: Network | None = None,
        occupied: occupancies.Occupancy | None = None,
    ) -> None:
        self._database, self._study, self._objective, self._settings = database, study, objective, settings
        self._stop, self._stay, self._parent, self._health_file = stop, stay, parent, health_file
        self._me, self._watch = presence.Identity.this(), presence.Watch(settings.grace_seconds)
        self._network, self._endings = network, endings.Endings(database, self._me, network is not None)
        self._able = abilities.Ability(None if network is None else network.backends, settings.grace_seconds)
        self._entry = rosters.Entry(
            *(study, self._me, settings.training_device, settings.grace_seconds), backends=self._able.line
        )
        self._history = database.history(study.study_id)
        self._wished = wishes.of(database, study, self._history)
        self._admission = threads.Admission(settings.at_once, threads.free_bytes, occupied)

    def run(self) -> allocations.NoTrial | None:
        """Works until there is nothing left; returns why, or None where it was asked to stop.

        Raises:
            errors.StorageError: the database stayed away for too long.
        """
        try:
            seat = hearts.Seat(self._database, self._study, self._watch, self._entry)
            with notifiers.Notifier(self._database, self._study.study_id, self._stop):
                with hearts.Heart(self._database, seat, self._stop, self._parent, self._health_file) as beating:
                    ended = self._work(beating)
                beating.check()
                return ended
        except errors.Interrupted:
            return None  # a trial that could not be handed over is adopted by another worker

    def _work(self, beating: hearts.Heart) -> allocations.NoTrial | None:
        idle = IDLE_SECONDS
        with threads.Threads(self._settings.at_once, self._stop) as pool:
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
        asking = (self._database, self._study, self._me, self._watch, beating.owners)
        found = allocations.take(*asking, *said, able=self._able)
        if found is allocations.NoTrial.ENGINE:
            self._able.look(self._database, self._study)
        else:
            self._able.forget()
        return found

    def _say_wait(self, why: allocations.NoTrial) -> None:
        """Once, where a wait is more than a moment."""
        study_id = self._study.study_id
        others = self._database.read(lambda connection: foreign.waited_for(connection, study_id))
        if others:
            retry = f"search retry {words.typed(self._study.name)} {' '.join(map(str, others[:NAMED]))}"
            told = (why.value, len(others), f"{retry} puts back what has ended there", self._me.name)
            log.info("event=waiting reason=%r other_tools=%d note=%r worker=%s", *told)
        else:
            log.info("event=waiting reason=%r worker=%s", why.value, self._me.name)

    def _run_trial(self, claim: claims.Claim, beating: hearts.Heart, pool: threads.Threads) -> None:
        """Gives the trial its configuration here, one trial after another, and trains it in a slot."""
        self._endings.say_begin(claim)
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
                self._endings.part(trial, parting)
            except errors.DuplicateConfiguration as error:
                self._endings.refuse(trial, error)
            except errors.TrialTimeout as error:
                self._endings.fail(trial, error)
            except errors.SearchError:
                raise  # the trial or the database is lost: nothing that the configuration did
            except KeyboardInterrupt as error:
                if not signals.are_handled():  # somebody at a notebook
                    raise
                self._endings.fail(trial, error)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a configuration does, the study goes on
                self._endings.check_device(trial, error)
                if is_objective and not mishaps.is_the_machines(error):
                    self._endings.fail(trial, error)
                else:
                    self._endings.put_off(trial, error)
        except errors.TrialLost as lost:
            log.info("trial=%d event=lost reason=%r worker=%s", trial.number, str(lost), self._me.name)
        return False

    def _prepare(self, trial: ownership.OwnedTrial, place: contextlib.ExitStack) -> None:
        if self._network is not None and self._settings.at_once > 1:  # the budget may have grown
            self._network.expect(self._database.read(lambda found: orders.read(found, self._study)).trials)
        params = configurations.configure(self._database, self._study, trial.claim, self._history, self._choose)
        trial.backend = trial.claim.backend or self._choose(params)
        # one that has taken its workers with it takes no other trial along to its last try
        last_try = trial.claim.stalls >= adoptions.STALL_LIMIT - 1
        bill = self._enter(trial, params, place, alone=last_try)
        trial.begin(params, bill)
        trial.check_stop()

    def _enter(
        self, trial: ownership.OwnedTrial, params: spaces.Params, place: contextlib.ExitStack, alone: bool
    ) -> Callable[[], float]:
        """Waits for room where it is trained; returns the clock by which it is billed there."""
        need, device = 0, "cuda" if self._settings.has_gpus else "cpu"
        if self._network is not None and trial.backend is not None:
            need, device = self._network.need(params, trial.backend), backends.parse(trial.backend).device
        place.enter_context(self._admission.enter(need, trial.check_stop, alone, device))
        return self._admission.clock(device)

    def _choose(self, params: spaces.Params) -> str | None:
        return None if self._network is None else self._network.choose(params)

    def _train(self, trial: ownership.OwnedTrial, place: contextlib.ExitStack) -> None:
        try:
            result = self._objective(trial)
        except Exception as error:
            # a process of own code was alone already: another try is the queue's to give, and is counted
            if not mishaps.is_out_of_memory(error) or (isinstance(error, Failed) and not self._admission.is_shared):
                raise
            log.warning("trial=%d event=out-of-memory note='once more, alone' reason=%r", trial.number, str(error))
            result = None
        if result is None:  # outside the except: the traceback would keep all that filled the memory
            self._admission.crowded()
            trial.stand_by()
            place.close()
            mishaps.free_memory()
            self._enter(trial, trial.params, place, alone=True)
            trial.go_back()
            result = self._objective(trial)
        else:
            self._admission.went_well()
        self._endings.tell(trial, result.state, result.value, result.attrs)
