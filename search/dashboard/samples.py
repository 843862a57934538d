"""What optuna-dashboard computes from all trials, computed from a spread of them where there are many.

The importance of parameters and the plots that a server draws take every trial as an object of Optuna's: 36 KB each.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Container, Iterable, Iterator

from optuna.trial import FrozenTrial, TrialState

from search import errors
from search.dashboard import curves, details
from search.dashboard.pages import READS, Application, Environ, StartResponse
from search.ledger import identities
from search.storage import rows, trials
from search.storage.databases import Database

PATH = re.compile(r"/api/studies/(\d{1,9})/(param_importances|plot/.*)")
LARGEST = 3_000  # trials; of more, every so many-th
AT_ONCE = 500
GROWTH = 1.01  # of a study of more, until what was computed is computed again
KEPT = 64  # answers
Answer = tuple[str, list[tuple[str, str]], list[bytes]]


class SampledGallery(curves.Gallery):
    """A gallery that answers a thread with a spread of the trials where it asks for that."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._asking = threading.local()

    @contextlib.contextmanager
    def sampled(self, trial_ids: list[int]) -> Iterator[None]:
        """While this thread is in it, these are all trials of any study."""
        self._asking.trial_ids, self._asking.found = trial_ids, None
        try:
            yield
        finally:
            self._asking.trial_ids = self._asking.found = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials by number, with their artifacts; or a spread."""
        trial_ids = getattr(self._asking, "trial_ids", None)
        if trial_ids is None:
            return super().get_all_trials(study_id, deepcopy, states)
        if self._asking.found is None:  # a plot asks several times
            with self._told(study_id):
                self._asking.found = list(
                    frozen(self._database, study_id, trial_ids, attributes=len(trial_ids) < LARGEST)
                )
        return [trial for trial in self._asking.found if states is None or trial.state in states]


class Samples:
    """The WSGI application of what is computed from all trials; the rest goes on."""

    def __init__(self, database: Database, gallery: SampledGallery, dashboard: Application) -> None:
        self._database, self._gallery, self._dashboard = database, gallery, dashboard
        self._lock = threading.Lock()  # one at a time: each takes a processor, and memory
        self._known: dict[tuple[str, identities.Identity], tuple[int, Answer]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        asked = PATH.fullmatch(environ["PATH_INFO"].rstrip("/"))
        if environ["REQUEST_METHOD"] not in READS or asked is None:
            return self._dashboard(environ, start_response)
        try:
            with self._lock:
                plain = {**environ, "REQUEST_METHOD": "GET", "PATH_INFO": asked[0]}
                status, headers, body = self._answer(plain, int(asked[1]))
        except errors.StorageError as error:
            return details.fail(environ, start_response, "503 Service Unavailable", error)
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def _answer(self, environ: Environ, study_id: int) -> Answer:
        identity = identities.of_studies(self._database, [study_id]).get(study_id)
        trial_ids = rows.ids(self._database, study_id)
        key = None if identity is None else (environ["PATH_INFO"], identity)
        if key is not None and len(trial_ids) > LARGEST and key in self._known:
            count, answer = self._known[key]
            if len(trial_ids) < count * GROWTH:
                return answer
        answer = self._ask(environ, study_id, spread(trial_ids))
        if key is not None and answer[0].startswith("200"):
            while len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = (len(trial_ids), answer)
        return answer

    def _ask(self, environ: Environ, study_id: int, trial_ids: list[int]) -> Answer:
        begun: list[tuple[str, list[tuple[str, str]]]] = []
        self._gallery.forget_pages(study_id)
        try:
            with self._gallery.sampled(trial_ids):
                body = list(self._dashboard(environ, lambda status, headers, *more: begun.append((status, headers))))
        finally:
            self._gallery.forget_pages(study_id)
        return (*begun[0], body)


def spread(trial_ids: list[int]) -> list[int]:
    """All, or `LARGEST` of them at even distances, the first and the last among them."""
    if len(trial_ids) <= LARGEST:
        return trial_ids
    step = (len(trial_ids) - 1) / (LARGEST - 1)
    return [trial_ids[round(index * step)] for index in range(LARGEST)]


def frozen(database: Database, study_id: int, trial_ids: list[int], attributes: bool = True) -> Iterator[FrozenTrial]:
    """Optuna's trials, made as they are asked for.

    Args:
        attributes: attributes and steps too, without which they are small.
    """
    wanted: tuple[()] | None = None if attributes else ()
    for begin in range(0, len(trial_ids), AT_ONCE):
        some = trial_ids[begin : begin + AT_ONCE]
        read = functools.partial(trials.read, study_id=study_id, ids=some, attributes=wanted, steps=attributes)
        yield from database.read(read)
