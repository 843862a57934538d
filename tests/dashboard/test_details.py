"""A study's page from our own code, and the same from optuna-dashboard's: the same words, in few statements."""

import contextlib
import gzip
import json
from collections.abc import Iterator
from typing import Any

import optuna
import optuna_dashboard
import pytest
import sqlalchemy
from doors import HASH, PASSWORD, ask, asked, basic, fill, finish
from optuna.trial import TrialState
from optuna_dashboard import preferential
from trials import Make, take

from search.dashboard import archives, curves, servers
from search.storage import databases, schema


@contextlib.contextmanager
def counted(database: databases.Database) -> Iterator[list[str]]:
    """The statements that a database is given meanwhile."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    sqlalchemy.event.remove(database.engine, "before_cursor_execute", note)


def normal(detail: dict[str, Any]) -> dict[str, Any]:
    """Without the order of what optuna-dashboard takes from sets and rows as they come."""
    for trial in [*detail["trials"], *detail["best_trials"]]:
        trial["user_attrs"].sort(key=lambda each: each["key"])
        trial["artifacts"].sort(key=lambda each: each["artifact_id"])
    for each in [*detail["union_search_space"], *detail["intersection_search_space"]]:
        if "choices" in each["distribution"]:
            each["distribution"]["choices"].sort(key=lambda choice: choice["value"])
    for key in ("union_search_space", "intersection_search_space"):
        detail[key].sort(key=lambda each: (each["name"], each["distribution"]["type"]))
    for key in ("union_user_attrs", "user_attrs"):
        detail[key].sort(key=lambda each: each["key"])
    return detail


def theirs(database: databases.Database, study_id: int, after: int = 0) -> dict[str, Any]:
    """What optuna-dashboard answers by itself, with learning curves among the artifacts."""
    application = optuna_dashboard.wsgi(curves.Gallery(database), None)
    return normal(json.loads(asked(application, f"/api/studies/{study_id}?after={after}")[2]))


def ours(door: servers.Door, study_id: int, after: int = 0) -> dict[str, Any]:
    return normal(json.loads(ask(door, f"/api/studies/{study_id}?after={after}")[1]))


@pytest.mark.parametrize(
    "directions", [["minimize"], ["maximize"], ["minimize", "maximize"], ["minimize"] * 3], ids=len
)
def test_the_words_are_optuna_dashboard_s(url: str, directions: list[str]) -> None:
    """Field by field, whatever trials hold: infinities, notes, artifacts, constraints, attributes of any length."""
    study = fill(url, directions)
    database = databases.Database(url)
    door = servers.Door(database)
    for after in (0, 1, 24, 25, 1_000):
        expected = theirs(database, study._study_id, after)
        if len(directions) == 1:  # of equally good ones the database gives any; ours is the first
            assert (
                ours(door, study._study_id, after)["best_trials"][0]["values"] == expected["best_trials"][0]["values"]
            )
            expected["best_trials"] = ours(door, study._study_id, after)["best_trials"]
        assert ours(door, study._study_id, after) == expected
    database.close()


def test_what_changes_is_seen(opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that begin, go on and end, notes of ended ones, across packs; the page's own way of asking finds all."""
    monkeypatch.setattr(archives, "IN_A_PACK", 3)
    study, door = make_study(trials=20), servers.Door(opened, password_hash=HASH)
    claimed = take(opened, study)
    for count in range(7):
        finish(opened, study, [0.1 * count, 0.5], TrialState.COMPLETE if count % 2 else TrialState.PRUNED)
        for after in (0, count, count + 1):
            assert ours(door, study.study_id, after) == theirs(opened, study.study_id, after)
    opened.optuna.set_trial_intermediate_value(claimed.trial_id, 1, 0.75)
    ended = theirs(opened, study.study_id)["trials"][2]["trial_id"]
    body = json.dumps({"body": "good", "version": 1}).encode()
    path = f"/api/studies/{study.study_id}/{ended}/note"
    assert ask(door, path, "PUT", body, HTTP_AUTHORIZATION=basic(PASSWORD))[0] == 204
    found = ours(door, study.study_id)
    assert found == theirs(opened, study.study_id)
    assert (found["trials"][0]["intermediate_values"], found["trials"][2]["note"]["body"]) == (
        [{"step": 1, "value": 0.75}],
        "good",
    )


def test_what_the_page_has_is_not_sent_again(opened: databases.Database, make_study: Make) -> None:
    """An unchanged study is 304 and ten statements, none of them of its ended trials' rows; gzip is one file."""
    study, door = make_study(trials=20), servers.Door(opened)
    for number in range(12):
        finish(opened, study, [0.1, 0.01 * number], TrialState.COMPLETE)
    path = f"/api/studies/{study.study_id}"
    status, headers, packed = asked_packed(door, path)
    assert (status, json.loads(gzip.decompress(packed))) == (200, json.loads(ask(door, path)[1]))
    assert int(headers["Content-Length"]) == len(packed)
    with counted(opened) as statements:
        again, _, body = asked_packed(door, path, HTTP_IF_NONE_MATCH=headers["ETag"])
    assert (again, body) == (304, b"")
    assert len([each for each in statements if each != "BEGIN"]) <= 10
    assert not [each for each in statements if "trial_params" in each or "trial_intermediate_values" in each]
    assert asked_packed(door, path, REQUEST_METHOD="HEAD")[1:] == (headers, b"")
    finish(opened, study, [0.1, 0.9], TrialState.COMPLETE)
    assert asked_packed(door, path, HTTP_IF_NONE_MATCH=headers["ETag"])[0] == 200


def asked_packed(door: servers.Door, path: str, **environ: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for a client that takes gzip."""
    return asked(door, path, HTTP_ACCEPT_ENCODING="gzip, deflate", **environ)


def test_a_page_does_not_wait_for_what_takes_long(opened: databases.Database, make_study: Make) -> None:
    """It gets what is read by then, is told how much is not, and has all of it with its next requests."""
    from search.dashboard import details

    study = make_study(trials=20)
    rows = [{"study_id": study.study_id, "number": number, "state": "COMPLETE"} for number in range(1_200)]
    opened.write(lambda connection: connection.execute(schema.trials.insert(), rows))
    best = {"trial_id": opened.optuna.get_all_trials(study.study_id)[1_000]._trial_id, "objective": 0, "value": 0.5}
    opened.write(lambda connection: connection.execute(schema.values.insert(), [best | {"value_type": "FINITE"}]))
    door = servers.Door(opened)
    before, details.COLD_SECONDS = details.COLD_SECONDS, 0.0
    try:
        first = json.loads(ask(door, f"/api/studies/{study.study_id}?after=0")[1])
    finally:
        details.COLD_SECONDS = before
    assert (len(first["trials"]), first["search_unread"]) == (archives.AT_ONCE, 1_200 - archives.AT_ONCE)
    assert [trial["number"] for trial in first["best_trials"]] == [1_000]
    rest = json.loads(ask(door, f"/api/studies/{study.study_id}?after={archives.AT_ONCE}")[1])
    numbers = [trial["number"] for trial in first["trials"] + rest["trials"]]
    assert (numbers, "search_unread" in rest) == ([*range(1_200)], False)


def test_preferential_studies_are_optuna_dashboard_s(url: str) -> None:
    """People compare their trials one by one: they have all that belongs to it."""
    made = preferential.create_study(
        n_generate=2, study_name="taste", storage=url, sampler=optuna.samplers.RandomSampler()
    )
    for _ in range(3):
        made.ask()
    study_id = made._study._study_id
    database = databases.Database(url)
    found = ours(servers.Door(database), study_id)
    assert (found["is_preferential"], "preferences" in found) == (True, True)
    database.close()


def test_wrong_requests_are_answered_as_before(opened: databases.Database, make_study: Make) -> None:
    """No such study is 404, a wrong place to begin 400; no answer is an error page."""
    study, door = make_study(), servers.Door(opened)
    path = f"/api/studies/{study.study_id}"
    assert [ask(door, f"/api/studies/{number}")[0] for number in (999, 99_999_999_999)] == [404, 404]
    assert ask(door, f"{path}?after=-1")[0] == 400
    assert ask(door, f"{path}/?after=3")[0] == 200
    assert ask(door, f"{path}?after=x")[0] == 500
