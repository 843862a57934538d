"""Studies deleted and renamed on the dashboard."""

import base64
import json

import optuna
import pytest
from doors import HASH, PASSWORD, ask
from trials import Make, take

from search.dashboard import servers
from search.ledger import orders, presence, rosters, studies, summaries
from search.storage import databases

KEY = {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"anybody:{PASSWORD}".encode()).decode()}


@pytest.fixture
def door(opened: databases.Database) -> servers.Door:
    return servers.Door(opened, password_hash=HASH)


def rename(door: servers.Door, study_id: int, name: object) -> tuple[int, str]:
    return ask(door, f"/api/studies/{study_id}/rename", "POST", json.dumps({"study_name": name}).encode(), **KEY)


def test_under_workers_neither_is_done(opened: databases.Database, make_study: Make, door: servers.Door) -> None:
    """409 with one line that names the command; after the stop it is done."""
    study = make_study()
    entry = rosters.Entry(study, presence.Identity.this(), "cpu", 30.0)
    entry.show(opened)
    line = "while 1 worker is alive: `search stop quick --now` ends them\n"
    path = f"/api/studies/{study.study_id}"
    for status, text in (ask(door, path, "DELETE", b"{}", **KEY), rename(door, study.study_id, "new")):
        assert (status, text.endswith(line), text.count("\n")) == (409, True, 1)
    assert studies.names(opened) == ["quick"]
    orders.set_state(opened, study, orders.StudyState.STOPPED)
    assert rename(door, study.study_id, "new")[0] == 201
    assert ask(door, path, "DELETE", b"{}", **KEY) == (204, "")
    assert studies.all_stored(opened) == []
    status, text = ask(door, path, "DELETE", b"{}", **KEY)
    assert (status, text) == (404, f"there is no study {study.study_id}\n")


def test_a_renamed_study_stays_ours(opened: databases.Database, make_study: Make, door: servers.Door) -> None:
    """It keeps id, trials, budget and claims; the answer is what optuna-dashboard's page takes up."""
    study = make_study(trials=4)
    take(opened, study)
    status, text = rename(door, study.study_id, "new")
    found = studies.find(opened, "new")
    assert found is not None
    listed = json.loads(ask(door, "/api/studies")[1])["study_summaries"]
    assert (status, [json.loads(text)]) == (201, listed)
    assert (found.study_id, found.token, summaries.whole(opened, found).budget) == (study.study_id, study.token, 4)
    assert take(opened, study).number == 1


@pytest.mark.parametrize("name", ["a\nb", "", None, 7, "other"])
def test_a_name_that_cannot_be_is_refused(
    opened: databases.Database, make_study: Make, door: servers.Door, name: object
) -> None:
    """One line, and nothing has changed."""
    study = make_study()
    make_study(name="other")
    status, text = rename(door, study.study_id, name)
    assert (status, text.count("\n")) == (409 if name == "other" else 400, 1)
    assert studies.names(opened) == ["quick", "other"]


def test_the_password_is_asked_first(opened: databases.Database, make_study: Make, door: servers.Door) -> None:
    """Without it nothing is deleted or renamed, nor is said whether there is such a study."""
    study = make_study()
    for study_id in (study.study_id, 99):
        assert ask(door, f"/api/studies/{study_id}", "DELETE", b"{}")[0] == 401
        assert ask(door, f"/api/studies/{study_id}/rename", "POST", b"{}")[0] == 401
    assert studies.names(opened) == ["quick"]


def test_studies_of_other_tools_too(opened: databases.Database, door: servers.Door, url: str) -> None:
    """They are renamed as optuna-dashboard does it, to any name, and deleted."""
    plain = optuna.create_study(study_name="plain", storage=url)
    plain.optimize(lambda trial: 0.5, n_trials=2)
    status, text = rename(door, plain._study_id, "it's [bold] / ä")
    assert status == 201
    study_id = json.loads(text)["study_id"]
    detail = json.loads(ask(door, f"/api/studies/{study_id}?after=0")[1])
    assert (detail["name"], len(detail["trials"])) == ("it's [bold] / ä", 2)
    assert ask(door, f"/api/studies/{study_id}", "DELETE", b"{}", **KEY) == (204, "")
    assert opened.optuna.get_all_studies() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/studies/{study}/note"),
        ("PUT", "/api/studies/{study}/{trial}/note"),
        ("POST", "/api/trials/{trial}/user-attrs"),
        ("POST", "/api/trials/{trial}/tell"),
        ("POST", "/api/studies/{study}/{trial}/skip"),
        ("POST", "/api/studies/{study}/preference"),
    ],
)
def test_other_tools_studies_are_left_as_they_are(
    opened: databases.Database, make_study: Make, door: servers.Door, url: str, method: str, path: str
) -> None:
    """Notes, attributes and preferences go to studies of ours; to another tool's not with the password either."""
    make_study()
    theirs = optuna.create_study(study_name="theirs", storage=url)
    trial = theirs.ask()._trial_id
    body = json.dumps({"body": "mine", "version": 1, "user_attrs": {"a": 1}, "state": "Complete", "values": [1.0]})
    answered = ask(door, path.format(study=theirs._study_id, trial=trial), method, body.encode(), **KEY)
    assert answered == (403, "study 'theirs' is another tool's, not one of ours: nothing is written to it here\n")
    attrs = opened.optuna.get_study_system_attrs(theirs._study_id)
    assert (attrs, theirs.trials[0].user_attrs, theirs.trials[0].state.name) == ({}, {}, "RUNNING")


def test_who_only_looks_writes_nothing(opened: databases.Database, make_study: Make, url: str) -> None:
    """The password opens nothing of a database that is only looked at."""
    study = make_study()
    door = servers.Door(databases.open_to_read(url), password_hash=HASH)
    body = json.dumps({"body": "mine", "version": 2, "study_name": "new"}).encode()
    for method, path in (("PUT", "/note"), ("POST", "/rename"), ("DELETE", "")):
        answered = ask(door, f"/api/studies/{study.study_id}{path}", method, body, **KEY)
        assert answered == (405, "this dashboard only reads\n")
    assert ask(door, f"/api/studies/{study.study_id}?after=0")[0] == 200
    assert studies.names(opened) == ["quick"]
