"""The files that trials have kept, from the stores of their studies; learning curves are drawn elsewhere (`curves`).

A file is the user's own, and may be a page with a script: browsers show it as one from nowhere, which can read nothing
here and knows no password.
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO
from urllib import parse

from search import errors
from search.dashboard import details
from search.dashboard.pages import READS, Application, Environ, StartResponse
from search.ledger import artifacts, belongings
from search.storage import artifact_stores, stores
from search.storage.databases import Database

PATH = re.compile(r"/artifacts/(\d{1,9})/(\d{1,9})/([0-9a-fA-F-]{36})")
PIECE_BYTES = 1 << 18
PATIENCE_SECONDS = 5.0  # somebody waits at a browser
ALONE = ("Content-Security-Policy", "sandbox allow-scripts allow-downloads")


class Artifacts:
    """The WSGI application of kept files; whatever else is asked for goes on.

    Args:
        place: see `stores.location`.
    """

    def __init__(self, database: Database, dashboard: Application, place: str | None = None) -> None:
        self._database, self._dashboard, self._place = database, dashboard, place
        self._store = functools.lru_cache(16)(lambda url: stores.Store(url, PATIENCE_SECONDS))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        asked = PATH.fullmatch(environ["PATH_INFO"])
        if environ["REQUEST_METHOD"] not in READS or asked is None:
            return self._dashboard(environ, start_response)
        try:
            found = self._find(int(asked[1]), int(asked[2]), asked[3])
            if found is None:
                return self._dashboard(environ, start_response)
            kept, store = found
            path = artifact_stores.path_of(kept.artifact_id)
            size = store.size(path)
            content = store.open(path) if environ["REQUEST_METHOD"] == "GET" else None
        except stores.Missing as error:
            return details.fail(environ, start_response, "404 Not Found", error)
        except errors.SearchError as error:
            return details.fail(environ, start_response, "503 Service Unavailable", error)
        name = parse.quote(kept.name.rpartition("/")[2])
        start_response(
            "200 OK",
            [
                (
                    "Content-Type",
                    kept.mimetype
                    if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kept.mimetype, re.ASCII)
                    else artifacts.OTHERWISE,
                ),
                ("Content-Length", str(size)),
                ("Content-Disposition", f"inline; filename*=UTF-8''{name}"),
                ALONE,
            ],
        )
        return [] if content is None else _pieces(content)

    def _find(self, study_id: int, trial_id: int, artifact_id: str) -> tuple[artifacts.Artifact, stores.Store] | None:
        """What a trial has kept, and where; None where it has kept no such thing."""
        known = {each.artifact_id: each for each in artifacts.of_trial(self._database, trial_id)}
        if (kept := known.get(artifact_id)) is None:
            return None
        return kept, self._store(belongings.location(self._database, study_id, self._place))


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    with contextlib.closing(content):
        while piece := content.read(PIECE_BYTES):
            yield piece
