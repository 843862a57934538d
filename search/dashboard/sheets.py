"""A study's trials as CSV, with optuna-dashboard's columns, sent while they are read."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib import parse

from optuna.study.study import _SYSTEM_ATTR_METRIC_NAMES

from search import errors
from search.dashboard import samples
from search.dashboard.pages import READS, Application, Environ, StartResponse
from search.ledger import identities, listings
from search.storage import rows
from search.storage.databases import Database

PATH = re.compile(r"/csv/(\d{1,9})")
NUMBERS = re.compile(r"\s*\d+\s*(,\s*\d+\s*)*")
IN_A_PIECE = 500  # trials


class Sheets:
    """The WSGI application of tables; the rest goes on."""

    def __init__(self, database: Database, dashboard: Application) -> None:
        self._database, self._dashboard = database, dashboard

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers a request."""
        asked = PATH.fullmatch(environ["PATH_INFO"].rstrip("/"))
        wanted = parse.parse_qs(environ.get("QUERY_STRING", "")).get("trial_ids", [""])[-1]
        if environ["REQUEST_METHOD"] not in READS or asked is None or (wanted and not NUMBERS.fullmatch(wanted)):
            return self._dashboard(environ, start_response)
        study_id = int(asked[1])
        numbers = [int(each) for each in wanted.split(",")] if wanted else None
        try:
            identity = identities.of_studies(self._database, [study_id]).get(study_id)
            trial_ids = [] if identity is None else rows.ids(self._database, study_id, numbers=numbers)
            if identity is None or (numbers is not None and not trial_ids):
                return self._dashboard(environ, start_response)
            with listings.named(identity[0]):
                head = self._head(study_id, trial_ids if numbers is not None else None)
                pieces = self._pieces(study_id, head, trial_ids)
                first = next(pieces)
        except errors.SearchError as error:
            body = f"{error}\n".encode()
            length = ("Content-Length", str(len(body)))
            start_response("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8"), length])
            return [body]
        name = "-".join(re.sub(r'[\\/:*?"<>|]+', "", identity[0]).split(" "))
        place = f"attachment; filename=study-{study_id}.csv; filename*=UTF-8''{parse.quote(name, safe='')}.csv"
        start_response("200 OK", [("Content-Type", "text/csv; charset=utf-8"), ("Content-Disposition", place)])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else _chained(first, pieces)

    def _head(self, study_id: int, trial_ids: list[int] | None) -> tuple[list[str], list[str], list[str]]:
        """Names of the values, the parameters and the user attributes."""
        params, keys = rows.names(self._database, study_id, trial_ids)
        ask = self._database.optuna
        count = len(self._database.call(lambda: ask.get_study_directions(study_id)))
        metrics = self._database.call(lambda: ask.get_study_system_attrs(study_id)).get(_SYSTEM_ATTR_METRIC_NAMES)
        known = metrics if metrics is not None else [f"Objective {each}" for each in range(count)]
        return ["Value"] if metrics is None and count == 1 else list(known), params, keys

    def _pieces(
        self, study_id: int, head: tuple[list[str], list[str], list[str]], trial_ids: list[int]
    ) -> Iterator[bytes]:
        values, params, keys = head
        columns = ["Number", "State", *values]
        found = [[*columns, *(f"Param {each}" for each in params), *(f"UserAttribute {each}" for each in keys)]]
        for trial in samples.frozen(self._database, study_id, trial_ids):
            told: list[Any] = [trial.number, trial.state.name, *(trial.values or [None] * len(values))]
            told += [trial.params.get(name) for name in params]
            found.append(told + [trial.user_attrs.get(name) for name in keys])
            if len(found) >= IN_A_PIECE:
                yield _written(found)
                found = []
        yield _written(found)


def _chained(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _written(found: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(found)
    return text.getvalue().encode()
