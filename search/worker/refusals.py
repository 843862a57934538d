"""Studies that cannot be worked on here: passed by for a while, with one line of the log for each reason."""

import dataclasses
import logging
import time
from collections.abc import Collection

from models import errors as models
from search import errors
from search.ledger import offers
from search.worker import mishaps

log = logging.getLogger("search")

REFUSED_SECONDS = 600.0  # until one is tried again


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a study is passed by, and until when, by this process's clock."""

    error: BaseException
    until: float

    @property
    def is_meant(self) -> bool:
        """Whether whoever started the worker wants it so."""
        return isinstance(self.error, errors.NotAllowed)

    @property
    def exit_code(self) -> int:
        """What a worker ends with that has nothing else to do."""
        return self.error.exit_code if isinstance(self.error, errors.TookItselfOut) else 1

    @property
    def reason(self) -> str:
        """In a line."""
        is_said = isinstance(self.error, errors.SearchError | models.ModelError)
        return str(self.error) if is_said else mishaps.told(self.error)[0]


class Refusals:
    """Those of one worker."""

    def __init__(self) -> None:
        self._known: dict[str, Refusal] = {}  # by the study's token

    def add(self, offer: offers.Offer, error: BaseException) -> None:
        """Passes a study by; why is logged, unless that was said of it before."""
        before, found = self._known.get(offer.token), Refusal(error, time.monotonic() + REFUSED_SECONDS)
        self._known[offer.token] = found
        if before is None or before.reason != found.reason:
            log.warning("study=%r event=passed-by reason=%r", offer.name, found.reason)

    def find(self, offer: offers.Offer) -> Refusal | None:
        """Why a study is passed by now."""
        found = self._known.get(offer.token)
        return found if found is not None and time.monotonic() < found.until else None

    def keep(self, tokens: Collection[str]) -> None:
        """Forgets the others, which are gone."""
        self._known = {token: refusal for token, refusal in self._known.items() if token in tokens}
