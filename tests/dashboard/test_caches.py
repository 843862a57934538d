"""A dashboard that stays up while studies go and others come under their ids."""

import json
import pathlib
from typing import Any

import optuna
import pytest
from conftest import quick_text
from doors import ask, ask_bytes
from optuna.trial import TrialState
from trials import Make, take

from search.dashboard import servers
from search.ledger import claims, configurations, lives, orders, pauses, studies
from search.storage import databases, schema
from search.study import specs

PICTURE = "/artifacts/{0}/{1}/00000000-0000-0000-0000-{1:012x}"


def fill(database: databases.Database, study: studies.Study, values: list[float]) -> list[int]:
    """Complete trials with these values; returns their ids."""
    ids = []
    for value in values:
        claim = take(database, study)
        configurations.configure(database, study, claim, database.history(study.study_id))
        claims.tell(database, claim, TrialState.COMPLETE, value, {}, 36.0, {1: value})
        ids.append(claim.trial_id)
    return ids


def seen(door: servers.Door, study_id: int) -> dict[str, Any]:
    """What the dashboard's pages and `/metrics` show of a study."""
    detail = json.loads(ask(door, f"/api/studies/{study_id}?after=0")[1])
    importances = json.loads(ask(door, f"/api/studies/{study_id}/param_importances")[1])["param_importances"]
    lines = ask(door, "/metrics")[1].splitlines()
    return {
        "name": detail["name"],
        "values": [trial["values"] for trial in detail["trials"]],
        "best": [trial["values"] for trial in detail["best_trials"]],
        "space": sorted(each["name"] for each in detail["union_search_space"]),
        "attributes": sorted(each["key"] for each in detail["union_user_attrs"]),
        "importances": [(each["name"], round(each["importance"], 3)) for each in importances[0]],
        "csv": ask(door, f"/csv/{study_id}")[1],
        "plot": ask(door, f"/api/studies/{study_id}/plot/edf")[1],
        "metrics": [line for line in lines if line.startswith(("search_trials", "search_best", "search_epochs_total"))],
    }


@pytest.mark.filterwarnings("ignore:Some regimes")
def test_a_study_made_anew_is_shown_as_it_is(opened: databases.Database, make_study: Make, url: str) -> None:
    """Its trials, best, space, plots, pictures and metrics are its own, though SQLite gives it the ids of the old."""
    door, other = servers.Door(opened), databases.Database(url)
    study = make_study(trials=9)
    ids = fill(opened, study, [0.91, 0.92, 0.93])
    old = seen(door, study.study_id)
    pictures = [ask_bytes(door, PICTURE.format(study.study_id, each))[1] for each in ids]
    assert (old["best"], len(set(pictures))) == ([[0.93]], 3)
    optuna.delete_study(study_name="quick", storage=url)
    again = make_study(trials=5)
    new_ids = fill(other, again, [0.4, 0.12, 0.11])
    if opened.engine.dialect.name == "sqlite":
        assert (again.study_id, new_ids) == (study.study_id, ids)  # else the test shows nothing
    found = seen(door, again.study_id)
    assert found == seen(servers.Door(other), again.study_id)
    assert (found["values"], found["best"]) == ([[0.4], [0.12], [0.11]], [[0.4]])
    assert 'search_best_value{study="quick"} 0.4' in found["metrics"]
    again_pictures = [ask_bytes(door, PICTURE.format(again.study_id, each)) for each in new_ids]
    assert {status for status, _ in again_pictures} == {200}
    assert not {picture for _, picture in again_pictures} & set(pictures)
    other.close()


def test_what_is_gone_is_shown_no_more(opened: databases.Database, make_study: Make, url: str) -> None:
    """A study that was deleted elsewhere is 404, has no pictures, and is out of the metrics."""
    door, study = servers.Door(opened), make_study()
    (trial_id,) = fill(opened, study, [0.9])
    picture = PICTURE.format(study.study_id, trial_id)
    assert seen(door, study.study_id)["values"] == [[0.9]]
    assert ask_bytes(door, picture)[0] == 200
    optuna.delete_study(study_name="quick", storage=url)
    assert ask(door, f"/api/studies/{study.study_id}?after=0")[0] == 404
    assert ask_bytes(door, picture)[0] != 200
    assert "quick" not in ask(door, "/metrics")[1]


def test_studies_of_other_tools_are_told_apart_too(opened: databases.Database, url: str) -> None:
    """One of the same name that began later is another one."""
    door, found = servers.Door(opened), []
    for value in (0.25, 0.75):
        study = optuna.create_study(study_name="plain", storage=url)
        study.optimize(lambda trial, value=value: value + 0 * trial.suggest_float("x", 0, 1), n_trials=3)  # type: ignore[misc]
        detail = json.loads(ask(door, f"/api/studies/{study._study_id}?after=0")[1])
        found.append([trial["values"] for trial in detail["trials"]])
        optuna.delete_study(study_name="plain", storage=url)
    assert found == [[[0.25]] * 3, [[0.75]] * 3]


def test_a_new_name_is_shown(opened: databases.Database, make_study: Make) -> None:
    """A study renamed elsewhere has it in its pages and its metrics."""
    door, study = servers.Door(opened), make_study()
    fill(opened, study, [0.9, 0.8])
    assert seen(door, study.study_id)["name"] == "quick"
    stored = studies.stored(opened, "quick")
    assert stored is not None
    lives.rename(opened, stored, "new")
    found = seen(door, study.study_id)
    assert (found["name"], found["values"]) == ("new", [[0.9], [0.8]])
    assert 'search_best_value{study="new"} 0.9' in found["metrics"]


@pytest.mark.parametrize("table", ["study_user_attributes", "study_system_attributes", "study_directions", "trials"])
def test_rows_that_are_nobody_s_hide_no_study(tmp_path: pathlib.Path, table: str) -> None:
    """The list and the other studies' pages are there; the bad one's says what is wrong, where it cannot be shown."""
    database = databases.Database(f"sqlite:///{tmp_path}/x.db")
    made = [studies.create(database, specs.parse(quick_text(name), "quick.toml")) for name in ("first", "bad", "last")]
    database.write(lambda c: c.execute(schema.trials.insert().values(study_id=2, number=0, state="COMPLETE")))
    statements = {
        "study_directions": "UPDATE study_directions SET direction = 'SIDEWAYS' WHERE study_id = 2",
        "trials": "UPDATE trials SET state = 'FROZEN' WHERE study_id = 2",
    }
    broken = f"INSERT INTO {table} (study_id, key, value_json) VALUES (2, 'x', '{{oops')"
    database.write(lambda connection: connection.exec_driver_sql(statements.get(table, broken)))
    door = servers.Door(databases.open_to_read(database.url))
    listed = json.loads(ask(door, "/api/studies")[1])["study_summaries"]
    assert [each["study_name"] for each in listed] == ["first", "bad", "last"]
    pages = [ask(door, f"/api/studies/{study.study_id}?after=0") for study in made]
    assert [pages[0][0], pages[2][0]] == [200, 200]
    if table in statements:
        assert (pages[1][0], "study 'bad': its rows cannot be read" in json.loads(pages[1][1])["reason"]) == (500, True)
    metrics = ask(door, "/metrics")
    assert metrics[0] == 200
    assert 'search_budget_trials{study="first"}' in metrics[1]
    assert 'search_budget_trials{study="last"}' in metrics[1]
    database.close()


def test_a_woken_trial_waits_again(opened: databases.Database) -> None:
    """A dashboard that stays up shows trials that an extension woke as they are, and how many have paused."""
    pausing = 'hopeless = false\npruner = "asha"\n'
    text = quick_text(trials=3).replace("hopeless = true\n", pausing)
    study = studies.create(opened, specs.parse(text, "quick.toml"))
    for value in (0.1, 0.2, 0.3):
        claim = take(opened, study)
        configurations.configure(opened, study, claim, opened.history(study.study_id))
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        if pauses.settle(opened, study, claim, claims.NOTHING, 1, value):
            claims.tell(opened, claim, TrialState.COMPLETE, value, {})
    take(opened, study)
    door = servers.Door(opened)

    def states() -> list[str]:
        detail = json.loads(ask(door, f"/api/studies/{study.study_id}?after=0")[1])
        assert [trial["state"] for trial in detail["trials"]] == [
            json.loads(ask(servers.Door(opened), f"/api/studies/{study.study_id}?after=0")[1])["trials"][place]["state"]
            for place in range(3)
        ]
        return [trial["state"] for trial in detail["trials"]]

    assert states() == ["Pruned", "Pruned", "Complete"]
    assert 'search_paused_trials{study="quick"} 0.0' in ask(door, "/metrics")[1]
    orders.extend(opened, study, add=1)
    assert states() == ["Waiting", "Waiting", "Complete"]
    assert 'search_paused_trials{study="quick"} 2.0' in ask(door, "/metrics")[1]
