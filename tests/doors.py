"""Requests to the dashboard's door, without a network; the real command too, and trials that it may show."""

import base64
import io
import json
import re
import subprocess
import wsgiref.util
from collections.abc import Callable
from typing import Any

import optuna
import optuna_dashboard
from conftest import Processes
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.dashboard import passwords, servers
from search.ledger import allocations, claims, configurations, presence, studies
from search.storage import databases

PASSWORD = "to write"  # noqa: S105
HASH = passwords.hash_password(PASSWORD)
ME = presence.Identity.this()
SPACE = {
    "rate": FloatDistribution(1e-5, 1.0, log=True),
    "depth": IntDistribution(0, 6),
    "kind": CategoricalDistribution(("Rélu", None, True, 1.5)),
}


def ask(door: servers.Door, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, str]:
    """The door's answer to a request: status and text."""
    status, out = ask_bytes(door, path, method, body, **headers)
    return status, out.decode()


def ask_bytes(
    door: servers.Door, path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    status, _, answer = asked(door, path, method, body, **headers)
    return status, answer


def asked(
    application: Callable[..., Any], path: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Any application's answer: status, headers and body."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {"HTTP_HOST": "localhost:8080", "REQUEST_METHOD": method, "PATH_INFO": path}
    environ |= {"QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
    environ |= {"CONTENT_TYPE": "application/json"} | headers
    wsgiref.util.setup_testing_defaults(environ)
    seen: list[tuple[str, Any]] = []
    answer = b"".join(application(environ, lambda status, headers, *more: seen.append((status, headers))))
    return int(seen[0][0].split()[0]), dict(seen[0][1]), answer


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def finish(
    database: databases.Database, study: studies.Study, values: list[float], state: TrialState, reason: str = ""
) -> int:
    """A trial with these values, ended; returns its id."""
    claim = allocations.take(database, study, ME, presence.Watch(30.0))
    assert isinstance(claim, claims.Claim)
    configurations.configure(database, study, claim, database.history(study.study_id))
    attrs = {"search:worker": "host:1", **({"search:reason": reason} if reason else {})}
    value = values[-1] if values and state != TrialState.FAIL else None
    claims.tell(database, claim, state, value, attrs, 36.0, dict(enumerate(values, 1)))
    return claim.trial_id


def started(processes: Processes, *options: str, **environment: str) -> tuple[subprocess.Popen[str], int]:
    """`search dashboard` on a free port, once it says that it serves."""
    server = processes.start("dashboard", "--port", "0", *options, **environment)
    line = server.stdout.readline() if server.stdout else ""
    found = re.search(r" at http://127\.0\.0\.1:(\d+)[ /]", line)
    assert found, line + (server.stdout.read() if server.stdout else "")
    return server, int(found.group(1))


def odd(number: int, count: int = 1) -> FrozenTrial:
    """A trial in which something is unusual."""
    state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING][
        number % 5
    ]
    params = {"rate": 0.1 / (number + 1), "depth": number % 7, "kind": SPACE["kind"].choices[number % 4]}  # type: ignore[attr-defined]
    names = [*SPACE][: 3 - number % 2] if state != TrialState.WAITING else []
    steps = {3: 1e-7, 1: float("nan"), 2: float("inf"), 10: float("-inf"), 0: 5.0}
    values = {0: [float("inf")] * count, 1: [0.1 + number] * count, 2: [float("-inf")] * count}
    return create_trial(
        state=state,
        values=values.get(number // 5 % 4, [1.0] * count) if state == TrialState.COMPLETE else None,
        params={name: params[name] for name in names},
        distributions={name: SPACE[name] for name in names},
        user_attrs={"long": ["é" * 9] * 300, "n": number, "x": 1e-9, "b": True, "s": 'a"b\\\n<é>', "none": None},
        system_attrs={"constraints": [0.5, -1.0], "fixed_params": {"rate": 0.5}} if number % 3 else {},
        intermediate_values=steps if number % 2 else {},
    )


def fill(url: str, directions: list[str], count: int = 25) -> optuna.Study:
    """A study of plain Optuna's with odd trials, notes and artifacts."""
    study = optuna.create_study(study_name="odd", storage=url, directions=directions)
    study.add_trials([odd(number, len(directions)) for number in range(count)])
    trials = study.get_trials(deepcopy=False)
    optuna_dashboard.save_note(study, "of the *study*")
    for trial in (trials[0], trials[3]):
        prefix = f"dashboard:{trial._trial_id}:"
        study._storage.set_study_system_attr(study._study_id, f"{prefix}note_ver", 2)
        study._storage.set_study_system_attr(study._study_id, f"{prefix}note_str:0", "of a trial")
    entry = {"artifact_id": "ab", "filename": "x.png", "mimetype": "image/png", "encoding": None}
    of_trial = f"dashboard:artifacts:{trials[1]._trial_id}:ab"
    for key, value in ((of_trial, json.dumps(entry)), ("artifacts:cd", json.dumps(entry)), ("artifacts:ef", "null")):
        study._storage.set_study_system_attr(study._study_id, key, value)
    study._storage.set_study_system_attr(
        study._study_id, "study:metric_names", [f"m{n}" for n in range(len(directions))]
    )
    study.set_user_attr("why", {"because": 1})
    return study
