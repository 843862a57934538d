"""A study's page as optuna-dashboard asks for it, answered from an archive: in its words, at any number of trials.

The page asks for all trials but the first ones that it knows and that are finished. What it has got already is not
sent again where the browser names it.
"""

import collections
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib import parse

from optuna.study._frozen import FrozenStudy
from optuna_dashboard import _serializer
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects  # type: ignore[import-untyped]
from optuna_dashboard.preferential import _study as preferential  # type: ignore[import-untyped]

from search import errors
from search.dashboard import archives, packs, serials
from search.dashboard.pages import READS, Application, Environ, StartResponse
from search.ledger import identities, listings
from search.storage.databases import Database

PATH = re.compile(r"/api/studies/(\d{1,9})")
KEPT_BYTES = 48 << 20  # of archives; the one that was asked for least recently goes first
COLD_SECONDS = 1.8  # of reading before the page gets what is there; its next request gets the rest


class Details:
    """The WSGI application of study pages; whatever else is asked for goes to optuna-dashboard.

    Preferential studies go there too: people look at all their trials one by one.
    """

    def __init__(self, database: Database, dashboard: Application) -> None:
        self._database, self._dashboard = database, dashboard
        self._lock = threading.Lock()
        self._archives: collections.OrderedDict[tuple[int, identities.Identity], archives.Archive] = (
            collections.OrderedDict()
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        asked = PATH.fullmatch(environ["PATH_INFO"].rstrip("/"))
        after = parse.parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[-1]
        if environ["REQUEST_METHOD"] not in READS or asked is None or not re.fullmatch(r"\d{1,9}", after):
            return self._dashboard(environ, start_response)
        study_id = int(asked[1])
        try:
            identity = identities.of_studies(self._database, [study_id]).get(study_id)
            if identity is None:
                return self._dashboard(environ, start_response)
            with listings.named(identity[0]):
                found = self._answer(study_id, identity, int(after))
        except errors.StudyNotFound:
            found = None
        except errors.InputError as error:
            return _fail(environ, start_response, "500 Internal Server Error", error)
        except errors.StorageError as error:
            return _fail(environ, start_response, "503 Service Unavailable", error)
        return self._dashboard(environ, start_response) if found is None else _send(environ, start_response, found)

    def _answer(self, study_id: int, identity: identities.Identity, after: int) -> list[packs.Pack] | None:
        """The JSON; None where optuna-dashboard is to answer."""
        study = self._database.call(lambda: self._study(study_id, identity[0]))
        if study.system_attrs.get(preferential._SYSTEM_ATTR_PREFERENTIAL_STUDY, False):
            return None
        archive = self._archive(study_id, identity)
        special = serials.of_trials(study.system_attrs)
        with archive.lock:
            unread = archive.refresh(special, time.monotonic() + COLD_SECONDS)
            if unread:
                threading.Thread(target=self._go_on, args=(archive, special), daemon=True).start()
            best = self._best(study, archive) if unread else archive.texts(archive.best(study.directions))
            return list(_detail(study, archive, after, unread, best))

    def _best(self, study: FrozenStudy, archive: archives.Archive) -> list[str]:
        """The best of all trials while some are unread; where there are several objectives, of those that are read."""
        if len(study.directions) > 1:
            return archive.texts(archive.best(study.directions))
        ask = self._database.optuna
        try:
            found = self._database.call(lambda: ask._get_best_trial_id(study._study_id, study.directions[0]))
        except ValueError:  # none is complete
            return []
        return archive.written([found])

    def _study(self, study_id: int, name: str) -> FrozenStudy:
        ask = self._database.optuna
        directions = ask.get_study_directions(study_id)
        if not directions:
            raise LookupError("no direction is stored")
        user, system = ask.get_study_user_attrs(study_id), ask.get_study_system_attrs(study_id)
        return FrozenStudy(name, None, user, system, study_id, directions=directions)

    def _archive(self, study_id: int, identity: identities.Identity) -> archives.Archive:
        """Under id, name and token: SQLite gives the ids of deleted studies out again."""
        with self._lock:
            for key in [key for key in self._archives if key[0] == study_id and key[1] != identity]:
                del self._archives[key]
            archive = self._archives.setdefault((study_id, identity), archives.Archive(self._database, study_id))
            self._archives.move_to_end((study_id, identity))
            while len(self._archives) > 1 and sum(each.size for each in self._archives.values()) > KEPT_BYTES:
                self._archives.popitem(last=False)
            return archive

    def _go_on(self, archive: archives.Archive, special: dict[int, dict[str, Any]]) -> None:
        """Reads the rest, so that the next request finds it; what fails now fails there again, and is told there."""
        with contextlib.suppress(Exception), archive.lock:
            archive.refresh(special)


def _detail(
    study: FrozenStudy, archive: archives.Archive, after: int, unread: int, best: list[str]
) -> Iterator[packs.Pack]:
    """What optuna-dashboard tells of a study without trials, with the trials put in."""
    extra, keys = archive.writer.extra, sorted(archive.writer.keys.items())
    told = _serializer.serialize_study_detail(
        study,
        [],
        [],
        extra.intersection_search_space,
        extra.union_search_space,
        keys,
        extra.has_intermediate_values,
        get_plotly_graph_objects(study.system_attrs),
        [],
    )
    if unread:
        told["search_unread"] = unread
    rest = "".join(
        f",{json.dumps(key)}:{json.dumps(told[key])}" for key in told if key not in ("trials", "best_trials")
    )
    yield packs.pack(b'{"trials":[')
    yield from archive.after(after)
    yield packs.pack(f'],"best_trials":[{",".join(best)}]{rest}}}'.encode())


def _send(environ: Environ, start_response: StartResponse, found: list[packs.Pack]) -> Iterable[bytes]:
    """Compressed where the client takes that, and not at all where it has it."""
    digest = hashlib.sha256(repr([(each.checksum, each.size) for each in found]).encode()).hexdigest()
    is_packed = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    tag = f'"{digest[:24]}{"-gzip" if is_packed else ""}"'
    headers = [("ETag", tag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
    if tag in environ.get("HTTP_IF_NONE_MATCH", ""):
        start_response("304 Not Modified", headers)
        return []
    headers.append(("Content-Type", "application/json"))
    pieces: Iterable[bytes]
    if is_packed:
        pieces = packs.gzipped(found)
        headers += [("Content-Encoding", "gzip"), ("Content-Length", str(sum(map(len, pieces))))]
    else:
        pieces = (each.unpacked() for each in found)
        headers.append(("Content-Length", str(sum(each.size for each in found))))
    start_response("200 OK", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else pieces


def _fail(environ: Environ, start_response: StartResponse, status: str, error: Exception) -> Iterable[bytes]:
    body = json.dumps({"reason": str(error)}).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
