"""Keeps files of a trial that this process owns in the study's store, under the fence of its claim."""

import functools
import logging
import pathlib
import threading

from search.ledger import artifacts, claims, studies
from search.storage import stores
from search.storage.databases import Database

log = logging.getLogger("search")


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
        self._is_swept = claim.generation == 1  # it had no owner before

    @functools.cached_property
    def store(self) -> stores.Store:
        """Where files of the trial are kept."""
        place = stores.location(self._study.spec.trial.store, self._database.url, self._place)
        return stores.Store(place, self._database.patience_seconds, self._stop)

    def keep(self, path: pathlib.Path, name: str) -> str:
        """See `artifacts.keep`; what former owners left half done goes with the first."""
        kept = artifacts.keep(self._database, self._study.token, self._claim, self.store, path, name)
        if not self._is_swept:
            self._is_swept = True
            artifacts.sweep(self._database, self._study.token, self._claim, self.store)
        log.info("trial=%d event=artifact name=%r id=%s", self._claim.number, name, kept)
        return kept
