"""How a trial ends or is put off at a worker: what is told, and its line in the log."""

import contextlib
import logging
from typing import Any

from optuna.trial import TrialState

from search import errors
from search.ledger import abilities, claims, failures, presence
from search.storage.databases import Database
from search.training import records
from search.training.objectives import Failed
from search.worker import mishaps, ownership

log = logging.getLogger("search")


class Endings:
    """Of the trials of one worker.

    Args:
        is_inside: they are trained in this process, so that an error of its device is one of them all.
    """

    def __init__(self, database: Database, worker: presence.Identity, is_inside: bool) -> None:
        self._database, self._me, self._is_inside = database, worker, is_inside

    def say_begin(self, claim: claims.Claim) -> None:
        """How the worker came by it, and from where it goes on."""
        log.info("trial=%d event=%s worker=%s", claim.number, claim.how, self._me.name)
        if claim.former is not None:
            note = f"no worker was left that trains with {abilities.label(claim.former)}"
            log.warning("trial=%d event=begun-anew reason=%r worker=%s", claim.number, note, self._me.name)
        if claim.saved is not None:
            log.info("trial=%d event=resumed epoch=%d", claim.number, claim.saved.epoch)

    def check_device(self, trial: ownership.OwnedTrial, error: BaseException) -> None:
        """Passes an error that is not of the device that all trials of this process are trained on.

        Nobody can tell whose doing it was: nothing is told of any trial, those that met it are adopted, and one that
        takes its workers with it again and again fails as it does wherever a worker dies.

        Raises:
            errors.DeviceFailed: it is.
        """
        if self._is_inside and mishaps.is_spoiled(error) and not mishaps.is_out_of_memory(error):
            reason, _ = mishaps.told(error)
            log.error("event=device-failed reason=%r worker=%s", reason, self._me.name)
            with contextlib.suppress(errors.SearchError):  # it is left by the end of this process then
                trial.leave()
            raise errors.DeviceFailed(f"the device can no longer be used in this process, so it ends: {reason}")

    def part(self, trial: ownership.OwnedTrial, parting: errors.SearchError) -> None:
        """It waits: handed over, or paused, which has given it back already."""
        if isinstance(parting, errors.HandOver):
            trial.hand_over()
            log.info("trial=%d event=handed-over worker=%s", trial.number, self._me.name)
        else:
            log.info("trial=%d event=paused reason=%r worker=%s", trial.number, str(parting), self._me.name)

    def fail(self, trial: ownership.OwnedTrial, error: BaseException) -> None:
        """The objective's doing."""
        reason, trace = mishaps.told(error)
        self.tell(trial, TrialState.FAIL, None, {records.REASON.name: reason, records.TRACEBACK.name: trace})

    def refuse(self, trial: ownership.OwnedTrial, error: errors.SearchError) -> None:
        """The doing of whoever queued it."""
        reason, _ = mishaps.told(error)
        failures.refuse(self._database, trial.claim, reason, {records.WORKER.name: self._me.name})
        _log_end(trial.claim, "refused", None, {records.REASON.name: reason})

    def put_off(self, trial: ownership.OwnedTrial, error: BaseException) -> None:
        """Nobody's doing: for another try, here or elsewhere."""
        reason, trace = mishaps.told(error)
        is_ours = not isinstance(error, Failed)  # a process of the user's own has said all there is
        # first the write: where the trial is lost, with its study maybe, the error has no other cause
        is_over = trial.put_off(self._me, reason, {records.TRACEBACK.name: trace, records.WORKER.name: self._me.name})
        log.warning("trial=%d event=fault reason=%r worker=%s", trial.number, reason, self._me.name, exc_info=is_ours)
        if is_over:
            _log_end(trial.claim, "failed", None, {records.REASON.name: reason})

    def tell(self, trial: ownership.OwnedTrial, state: TrialState, value: float | None, attrs: dict[str, Any]) -> None:
        """What the training has come to."""
        attrs = {**attrs, records.SECONDS.name: trial.seconds, records.WORKER.name: self._me.name}
        trial.tell(state, value, attrs)
        _log_end(trial.claim, "failed" if state == TrialState.FAIL else state.name.lower(), value, attrs)


def _log_end(claim: claims.Claim, event: str, value: float | None, attrs: dict[str, Any]) -> None:
    fields = {"value": value}
    for name, attribute in (("seconds", records.SECONDS), ("reason", records.REASON), ("worker", records.WORKER)):
        fields[name] = attrs.get(attribute.name)
    known = {name: field for name, field in fields.items() if field is not None}
    log.info(" ".join(["trial=%d event=%s", *(f"{name}=%r" for name in known)]), claim.number, event, *known.values())
