"""All studies at once, the bad ones among them."""

import optuna
import pytest
import sqlalchemy
from trials import Make, take

from search.ledger import listings, studies, summaries
from search.storage import databases, schema


def test_a_bad_study_hides_no_other(opened: databases.Database, make_study: Make, url: str) -> None:
    """Another tool's copy, a file of a newer version, one that is gone, rows that are unknown: each with its reason."""
    names = ["first", "newer", "gone", "odd", "broken", "last"]
    made = {name: make_study(name=name) for name in names}
    optuna.copy_study(from_study_name="first", from_storage=url, to_storage=url, to_study_name="a [bold] copy")
    optuna.create_study(study_name="plain", storage=url)
    file = studies.STUDY_FILE
    opened.optuna.set_study_user_attr(made["newer"].study_id, file, made["newer"].spec.text + "wings = 2\n")
    opened.optuna.set_study_user_attr(made["gone"].study_id, file, None)
    odd = schema.orders.update().where(schema.orders.c.study_id == made["odd"].study_id).values(state="frozen")
    opened.write(lambda connection: connection.execute(odd))
    wave = {"trial_id": take(opened, made["broken"]).trial_id, "param_name": "x", "param_value": 0.5}
    wave["distribution_json"] = '{"name": "WaveDistribution", "attributes": {}}'
    opened.write(lambda connection: connection.execute(schema.params.insert().values(wave)))
    found = listings.read(opened)
    assert [each.study.name for each in found if isinstance(each, summaries.Summary)] == ["first", "last"]
    reasons = {each.name: each.reason for each in found if isinstance(each, listings.Unreadable)}
    assert reasons == {
        "newer": "study 'newer': its file cannot be read by this version: budget.wings is not a known key, got 2",
        "gone": "study 'gone': its study file is gone; another tool has changed it",
        "odd": "study 'odd': an order of the study has the state 'frozen', which this version does not know",
        "broken": "study 'broken': its rows cannot be read by this version: ValueError: Unknown distribution class: "
        "WaveDistribution",
        "a [bold] copy": "study 'a [bold] copy' is a copy that another tool made: it has a study file and trials, but "
        "no budget; `search copy 'a [bold] copy' NEW` makes one that workers take up",
    }
    assert studies.names(opened) == names


def test_a_study_deleted_meanwhile_is_left_out(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that goes between the list and its summary is no unreadable one."""
    study, other = make_study(), make_study(name="other")

    read = studies.Stored.read

    def deleted(stored: studies.Stored) -> studies.Study:
        """Between the list and the summary."""
        if stored.name == "quick":
            opened.optuna.delete_study(study.study_id)
        return read(stored)

    monkeypatch.setattr(studies.Stored, "read", deleted)
    found = listings.read(opened)
    assert [each.study for each in found if isinstance(each, summaries.Summary)] == [other]
    assert len(found) == 1
    assert opened.read(lambda c: c.execute(sqlalchemy.select(schema.studies.c.study_name)).scalars().all()) == ["other"]
