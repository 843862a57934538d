"""A trial that this process owns, as its objective sees it: fenced reports, and when it must end."""

import logging
import math
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

from optuna.trial import TrialState

from search import errors
from search.ledger import adoptions, claims, failures, pauses, presence, rivals, studies, wishes
from search.storage.databases import Database
from search.training import objectives
from search.worker import keepers, savepoints, timeouts, transcripts

log = logging.getLogger("search")

WRITE_SECONDS = 1.0  # reports that come sooner after one another are written together


class OwnedTrial:
    """The objective's view of a claim: every report is fenced and carries the time spent so far.

    Reports of quick epochs are written together, within a second; those by which other trials are judged at once: with
    a population pruner all, with one that pauses each rung.

    Args:
        stop: set where the worker is to end.
        save_seconds: of training after which the next report carries a checkpoint.
        wished: asks the study's sampler whether a trial goes on at a rung; None where it has no such wishes.
        clock: seconds that training takes; a simulation has one of its own.
        place: see `stores.location`; the study's own comes first.
    """

    def __init__(
        self,
        database: Database,
        study: studies.Study,
        claim: claims.Claim,
        stop: threading.Event,
        save_seconds: float = objectives.SAVE_SECONDS,
        wished: wishes.Wishes | None = None,
        clock: Callable[[], float] = time.perf_counter,
        place: str | None = None,
    ) -> None:
        self._now = self._bill = clock
        self.keeper = keepers.Keeper(database, study, claim, stop, place)
        self.claim, self.number, self.repeat, self.is_new = claim, claim.number, claim.repeat, claim.generation <= 1
        self.backend, self.params = claim.backend, dict[str, Any]()
        self.released = False
        self.lost: errors.SearchError | None = None
        self._database, self._study, self._stop = database, study, stop
        self._values = claim.saved.curve if claim.saved else {}
        self._reported, self._stands = claim.saved.epoch if claim.saved else -1, claim.stands
        # seconds before, and since when it runs; it stands until the training begins. One tuple: the heart reads it
        self._clock: tuple[float, float | None] = (claim.seconds, None)
        self._timeouts = timeouts.Timeouts(claim.epoch_seconds, study.spec.trial, lambda: self._bill(), clock)
        self.answering = self._timeouts.answering  # see `objectives.Trial`
        self._savepoints = savepoints.Savepoints(claim.saved, save_seconds, clock, self.keeper)
        self._last_write = self._now()
        self._ladder, self._wished, self._passed = pauses.ladder_of(study), wished, claim.passed
        judged_at_once = study.spec.pruning.pruner is not None and self._ladder is None
        self._write_seconds = 0.0 if judged_at_once else WRITE_SECONDS
        self._unwritten: dict[int, float] = {}
        self._unwritten_attrs: dict[str, Any] = {}
        self._writing = threading.RLock()
        self.transcript = transcripts.Transcript(database, claim)

    def begin(self, params: dict[str, Any], bill: Callable[[], float] | None = None) -> None:
        """The training starts now, with this configuration; `bill` is the clock of its seconds if not the wall's."""
        self.params, self._bill = params, bill or self._bill
        self._go_on()
        self._last_write = self._savepoints.begin()

    @property
    def saved(self) -> objectives.Checkpoint | None:
        """See `objectives.Trial`."""
        return self._savepoints.saved

    def stand_by(self) -> None:
        """The training stands still, and its clock, until it goes on."""
        self._clock = self.seconds, None

    def go_back(self) -> None:
        """To the last epoch that was finished, or the start: the training begins there once more."""
        saved = self._savepoints.go_back()
        self._values, self._reported = (saved.curve, saved.epoch) if saved else ({}, -1)
        with self._writing:
            self._unwritten = {step: value for step, value in self._unwritten.items() if step <= self._reported}
            self._stands = adoptions.fall_back(self._database, self.claim, saved)
        self._go_on()

    def _go_on(self) -> None:
        self._timeouts.begin(self.saved.epoch + 1 if self.saved else 1)
        self._clock = self.seconds, self._timeouts.started

    @property
    def seconds(self) -> float:
        """Training time of all owners so far."""
        spent, since = self._clock
        return round(spent + (self._bill() - since if since is not None else 0.0), 3)

    def check_stop(self) -> None:
        """See `objectives.Trial`."""
        if (ending := self.ending()) is not None:
            raise ending

    def ending(self) -> errors.SearchError | None:
        """Why the training must not go on, or None."""
        if self._stop.is_set() or self.released:
            return errors.HandOver()
        if self.lost is not None:
            return self.lost
        return None if self._clock[1] is None else self._timeouts.passed(self.seconds)

    def watch(self, printed: objectives.Printed, finish: Callable[[], None]) -> None:
        """See `objectives.Trial`."""
        self.transcript.begin(printed, finish)

    def heard(self) -> None:
        """See `objectives.Trial`."""
        self._timeouts.heard()

    def report(
        self, step: int, value: float, attrs: dict[str, Any], after: objectives.Checkpoint | None = None
    ) -> None:
        """See `objectives.Trial`."""
        log.debug("trial=%d event=epoch epoch=%d value=%.4f", self.number, step, value)
        is_new, self._reported = step > self._stands, step
        self._values[step] = value
        after = after or self._savepoints.take_ahead(self._values)
        stored = self._savepoints.due(after)
        with self._writing:
            if is_new:  # what others have been compared with stays
                self._unwritten[step] = value
            self._unwritten_attrs.update(attrs)
            self.write_if_due(stored, step if is_new and self._is_rung(step) else None)
        self._timeouts.begin(step + 1)
        self._savepoints.hold(stored or after, stored is not None)

    def checkpoint(self, payload: objectives.Payload, step: int | None = None) -> None:
        """See `objectives.Trial`."""
        if step is not None and step > self._reported:
            self._savepoints.put_ahead(step, payload)
            return
        after = savepoints.after(max(0, self._reported) if step is None else step, payload, self._values)
        if (stored := self._savepoints.due(after)) is not None:
            with self._writing:
                self.write_if_due(stored)
        self._savepoints.hold(stored or after, stored is not None)

    def fetch(self, payload: objectives.Payload, target: pathlib.Path) -> bool:
        """See `objectives.Trial`."""
        if not (is_whole := self.keeper.fetch(payload, target)):
            self._savepoints.forget()
            self.go_back()
        return is_whole

    def keep(self, attrs: dict[str, Any]) -> None:
        """See `objectives.Trial`."""
        with self._writing:
            self._unwritten_attrs.update(attrs)

    def artifact(self, path: pathlib.Path, name: str) -> str:
        """See `objectives.Trial`."""
        return self.keeper.keep(path, name)

    def _is_rung(self, step: int) -> bool:
        return self._ladder is not None and step in self._ladder.rungs

    def write_if_due(self, after: objectives.Checkpoint | None = None, rung: int | None = None) -> None:
        """Writes what was reported, with a checkpoint or a rung at once, or where the last time was a while ago.

        Raises:
            errors.TrialLost: the trial has another owner by now.
        """
        with self._writing:
            early = self._now() - self._last_write < self._write_seconds
            if after is None and rung is None and (not self._unwritten or early):
                return
            if rung is None:
                claims.report(self._database, self.claim, self._unwritten, self.seconds, self._unwritten_attrs, after)
            else:
                progress = claims.Progress(self.seconds, self._unwritten, self._unwritten_attrs, after)
                pauses.report(self._database, self._study, self.claim, progress, rung, self._unwritten[rung])
            self._take_unwritten()
            self._last_write = self._now()

    def tell(self, state: TrialState, value: float | None, attrs: dict[str, Any]) -> None:
        """Ends the trial, with all that was reported; see `claims.tell`."""
        self.transcript.write()
        steps, further = self._take_unwritten()
        claims.tell(self._database, self.claim, state, value, {**further, **attrs}, self.seconds, steps)

    def hand_over(self) -> None:
        """Gives the trial back as it is after its last epoch; see `claims.hand_over`."""
        self.transcript.write()
        claims.hand_over(self._database, self.claim, self.seconds, self._savepoints.rest(), *self._take_unwritten())

    def leave(self) -> None:
        """Lets go of it, as if this process had ended; see `claims.leave`."""
        claims.leave(self._database, self.claim, self.seconds)

    def put_off(self, worker: presence.Identity, error: str, attrs: dict[str, Any]) -> bool:
        """Notes a failure that is not the objective's; whether the trial has failed for good. See `failures.fault`."""
        self.transcript.write()
        steps, further = self._take_unwritten()
        progress = claims.Progress(self.seconds, steps, further, self._savepoints.rest())
        return failures.fault(self._database, self.claim, worker, error, attrs, progress)

    def _take_unwritten(self) -> tuple[dict[int, float], dict[str, Any]]:
        with self._writing:
            taken = self._unwritten, self._unwritten_attrs
            self._unwritten, self._unwritten_attrs = {}, {}
            return taken

    def should_prune(self) -> str | None:
        """See `objectives.Trial`."""
        if self._study.spec.pruning.pruner is None or not self._values:
            return None
        if self._ladder is not None:
            return self._settle(max(self._values))
        return rivals.reason(self._database, self._study, self.claim.trial_id, self.number, self._values)

    def _settle(self, step: int) -> str | None:
        """At a rung it goes on, or pauses: then it is nobody's.

        Raises:
            errors.Paused: it pauses.
        """
        value = self._values[step]
        if step <= self._passed or not self._is_rung(step):
            return None
        if math.isnan(value):
            return f"asha after epoch {step}: the value is nan"
        wished, goes_on = self._wished, None
        if wished is not None:
            goes_on = wished.goes_on(self.claim, self.params, self._values, self.seconds)
        unsaved = self._savepoints.rest()
        with self._writing:
            progress = claims.Progress(self.seconds, self._unwritten, self._unwritten_attrs, unsaved)
            if not pauses.settle(self._database, self._study, self.claim, progress, step, value, goes_on):
                self._take_unwritten()
                raise errors.Paused(f"after epoch {step}")
        self._passed = step
        return None
