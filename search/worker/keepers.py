"""Keeps files of a trial that this process owns in the study's store, under the fence of its claim."""

import contextlib
import dataclasses
import functools
import logging
import os
import pathlib
import threading

from search import errors
from search.ledger import artifacts, checkpoint_files, checkpoints, claims, studies
from search.storage import addresses, stores
from search.storage.databases import Database
from search.training import objectives

log = logging.getLogger("search")

CHECKPOINT_SECONDS = 5.0


class Keeper:
    """The store of a trial; nothing is asked of it before a file is kept.

    Args:
        stop: ends a wait for the store early.
        place: see `stores.location`; the study's own comes first.
    """

    def __init__(
        self, database: Database, study: studies.Study, claim: claims.Claim, stop: threading.Event, place: str | None
    ) -> None:
        self._database, self._study, self._claim, self._stop, self._place = database, study, claim, stop, place
        saved = claim.saved.payload if claim.saved else None
        self._has_checkpoints = bool(saved and saved.place)
        self._is_swept = claim.generation == 1  # it had no owner before

    @functools.cached_property
    def store(self) -> stores.Store:
        """Where files of the trial are kept."""
        of_study, url = self._study.spec.trial.store, self._database.url
        place = stores.location(of_study, url, self._place)
        is_named = of_study or self._place or os.environ.get(stores.VARIABLE)
        if not is_named and addresses.sqlite_file(url) is None:
            log.warning("event=local-store folder=%s note='workers elsewhere do not see it: --store names one'", place)
        return stores.Store(place, self._database.patience_seconds, self._stop)

    def keep(self, path: pathlib.Path, name: str) -> str:
        """See `artifacts.keep`; what former owners left half done goes with the first.

        Raises:
            errors.HandOver: the worker was asked to stop while it waited for a store that is away.
        """
        try:
            kept = artifacts.keep(self._database, self._study.token, self._claim, self.store, path, name)
            if not self._is_swept:
                self._is_swept = True
                artifacts.sweep(self._database, self._study.token, self._claim, self.store)
        except errors.StorageError as error:
            if self._stop.is_set():
                raise errors.HandOver from error
            raise
        log.info("trial=%d event=artifact name=%r id=%s", self._claim.number, name, kept)
        return kept

    def placed(self, checkpoint: objectives.Checkpoint | None) -> objectives.Checkpoint | None:
        """The checkpoint as a row holds it: what is too large goes into the store first; None where it cannot."""
        payload = checkpoint.payload if checkpoint is not None else None
        if checkpoint is None or payload is None or payload.place or payload.size <= checkpoints.LIMIT_BYTES:
            return checkpoint
        put = checkpoint_files.put(self._study, self._claim, self._impatient, payload)
        self._has_checkpoints = self._has_checkpoints or put is not None
        return None if put is None else dataclasses.replace(checkpoint, payload=put)

    def fetch(self, payload: objectives.Payload, target: pathlib.Path) -> bool:
        """Puts a checkpoint of the store into a file; whether it is there, and as it was.

        Raises:
            errors.HandOver: the store stays away, so the trial waits.
        """
        try:
            checkpoint_files.fetch(payload, target, self.store, self._database.patience_seconds)
            return True
        except checkpoint_files.Damaged as damaged:
            log.warning("trial=%d event=checkpoint-damaged reason=%r", self._claim.number, str(damaged))
            return False
        except errors.StorageError as error:
            log.warning("trial=%d event=store-away reason=%r", self._claim.number, str(error))
            raise errors.HandOver from error

    @functools.cached_property
    def _impatient(self) -> stores.Store:
        """The same place for checkpoints on the way, which a training must not wait for long."""
        return stores.Store(self.store.url, CHECKPOINT_SECONDS, self._stop)

    def sweep(self) -> None:
        """What no row names any more goes, of checkpoints of this trial in the store."""
        if self._has_checkpoints:
            with contextlib.suppress(errors.StorageError):  # the next one does it
                checkpoint_files.sweep(self._database, self._study, self.store, self._claim.number)


def sweep(
    database: Database, study: studies.Study, place: str | None, patience_seconds: float, stop: threading.Event
) -> None:
    """Removes what killed workers have left of a study's checkpoints in its store; where that is away, the next does.

    Args:
        place: see `stores.location`; the study's own comes first.
    """
    if study.spec.code is None:
        return
    with contextlib.suppress(errors.StorageError):
        store = stores.Store(stores.location(study.spec.trial.store, database.url, place), patience_seconds, stop)
        checkpoint_files.sweep(database, study, store)
