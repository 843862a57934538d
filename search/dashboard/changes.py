"""Studies deleted and renamed on the dashboard, as the commands do it; and other tools' studies left as they are.

optuna-dashboard deletes row by row, which on Postgres does nothing, and says nothing, while a worker writes; and it
renames by a copy, which has no budget. Its notes, attributes and preferences are written to studies of ours only.
"""

import json
import re
from typing import Any

from optuna_dashboard import _serializer

from search import errors
from search.ledger import belongings, identities, lives, studies
from search.storage.databases import Database

READS = ("GET", "HEAD")
REQUESTS = {"DELETE": re.compile(r"/api/studies/(\d{1,9})"), "POST": re.compile(r"/api/studies/(\d{1,9})/rename")}
# all else that writes to a study or to a trial
OTHERS = re.compile(r"/api/(?P<kind>studies|trials|artifacts)/(?P<number>\d{1,9})/.*")
STATUSES: dict[type[errors.SearchError], str] = {
    errors.StudyInUse: "409 Conflict",
    errors.StudyExists: "409 Conflict",
    errors.StudyNotFound: "404 Not Found",
    errors.InputError: "400 Bad Request",
    errors.SearchError: "503 Service Unavailable",
}


def carry_out(
    database: Database, environ: dict[str, Any], path: str, store: str | None = None
) -> tuple[str, str] | None:
    """Deletes or renames where that is asked for, and returns what is answered: status and body.

    Refuses what else would be written to a study that is not ours. None for any other request, and where one that is
    not ours is to be renamed: optuna-dashboard does it.

    Args:
        store: where files of trials are, see `stores.location`.
    """
    method = environ["REQUEST_METHOD"]
    path = path.encode("latin-1", "replace").decode("utf-8", "replace")  # as optuna-dashboard reads it
    if method in READS:
        return None
    if method not in REQUESTS or (asked := REQUESTS[method].fullmatch(path)) is None:
        return _refuse(database, path)
    try:
        study = studies.stored(database, study_id=int(asked[1]))
        if study is None:
            raise errors.StudyNotFound(f"there is no study {asked[1]}")
        if method == "DELETE":
            belongings.delete(database, study, store)
            return "204 No Content", ""
        return None if study.token is None else ("201 Created", _rename(database, study, environ))
    except errors.SearchError as error:
        return next(status for kind, status in STATUSES.items() if isinstance(error, kind)), f"{error}\n"


def _refuse(database: Database, path: str) -> tuple[str, str] | None:
    if (asked := OTHERS.fullmatch(path)) is None:
        return None
    number = int(asked["number"])
    try:
        if asked["kind"] == "trials":
            found = identities.of_trial(database, number)
        else:
            found = identities.of_studies(database, [number]).get(number)
    except errors.SearchError as error:
        return STATUSES[errors.SearchError], f"{error}\n"
    if found is None or found[1] is not None:
        return None
    return "403 Forbidden", f"study {found[0]!r} is another tool's, not one of ours: nothing is written to it here\n"


def _rename(database: Database, study: studies.Stored, environ: dict[str, Any]) -> str:
    try:
        asked = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
    except ValueError:
        asked = None
    name = asked.get("study_name") if isinstance(asked, dict) else None
    if not isinstance(name, str):
        raise errors.InputError(f"study_name must be the new name of study {study.name!r}, got {name!r}")
    lives.rename(database, study, name)
    found = database.call(database.optuna.get_all_studies)
    renamed = next((each for each in found if each._study_id == study.study_id), None)
    if renamed is None:
        raise lives.gone(study)
    return json.dumps(_serializer.serialize_frozen_study(renamed))
