"""A study that follows its edited file."""

import json
import pathlib
from typing import Any

import pytest
from conftest import quick_text
from optuna.trial import TrialState
from trials import PARAMS, Make, begin, fail, succeed, take

from search.ledger import allocations, amendments, backups, copies, failures, lives, orders, studies, summaries
from search.storage import databases, schema
from search.study import notes, specs

EDITED = quick_text(
    trials=7,
    sampler="tpe",
    hopeless="false",
    more="max_failures = 2\nhours = 1.5\nepoch_seconds = 60.5\n"
    "[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 7\ndepth = 0\n[[enqueue]]\ndepth = 0\n",
)


def attributes(database: databases.Database, study: studies.Study) -> dict[str, object]:
    table = schema.study_system_attributes
    rows = database.read(lambda c: c.execute(table.select().where(table.c.study_id == study.study_id)).all())
    return {row.key: json.loads(row.value_json) for row in rows if row.key.startswith(notes.PREFIX)}


def test_all_that_a_file_says_is_taken_over(opened: databases.Database, make_study: Make) -> None:
    """Budget, sampler, pruning, queue and what the dashboard shows; afterwards there is nothing to note."""
    study, edited = make_study(trials=10), specs.parse(EDITED, "quick.toml")
    found = {change.place: (change.stored, change.given) for change in amendments.amend(opened, study, edited)}
    assert found["budget.trials"] == (10, 7)
    assert found["budget.hours"] == (None, 1.5)
    assert set(found) == {
        *("budget.trials", "budget.hours", "budget.epoch_seconds", "budget.max_failures"),
        *("sampler.name", "pruning.hopeless", "enqueue"),
    }
    again = studies.load(opened, "quick")
    assert again.spec == edited
    order = opened.read(lambda c: orders.read(c, study))
    assert order == orders.Order(trials=7, hours=1.5, max_failures=2, epoch_seconds=60.5)
    assert summaries.whole(opened, again).count(TrialState.WAITING) == 2
    assert attributes(opened, study) == notes.attributes(edited)
    assert studies.find_same(opened, edited) == (again, [])
    assert amendments.amend(opened, again, edited) == []
    assert begin(opened, again).params == PARAMS or summaries.whole(opened, again).trials[0].params == PARAMS


def unsaid(**settings: Any) -> str:
    """A file that leaves open by which images its trials are judged."""
    return quick_text(**settings).replace('evaluate_on = "test"\n', "")


@pytest.mark.parametrize("of_before", [True, False], ids=["an earlier version's study", "a new one"])
def test_what_a_file_leaves_open_stays_what_it_was(opened: databases.Database, of_before: bool) -> None:
    """Taken over, the file means to the study what it meant when that was made, on the dashboard too."""
    parse = specs.parse_stored if of_before else specs.parse
    study = studies.create(opened, parse(unsaid(trials=3), "quick.toml"))
    edited = specs.parse(unsaid(trials=4), "quick.toml")
    assert [change.place for change in amendments.amend(opened, study, edited)] == ["budget.trials"]
    again = studies.load(opened, "quick")
    assert again.spec.training is not None
    assert again.spec.training.evaluate_on == ("test" if of_before else "validation")
    assert again.spec.text == (unsaid(trials=4) if of_before else edited.text)
    assert attributes(opened, study) == notes.attributes(again.spec)
    assert studies.find_same(opened, edited) == (again, [])


def test_no_way_changes_what_judged_a_study(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Copied, renamed, backed up and restored, a study stored without the key keeps its text and the test set."""
    text = unsaid(trials=3)
    studies.create(opened, specs.parse_stored(text, "an earlier version's"))
    stored = studies.load_stored(opened, "quick")
    copies.copy(opened, stored, "copied")
    lives.rename(opened, stored, "renamed")
    backups.write(opened, studies.load(opened, "renamed"), tmp_path / "study.db")
    lives.delete(opened, studies.load_stored(opened, "renamed"))
    backups.read(opened, tmp_path / "study.db")
    for name in ("copied", "renamed"):
        spec = studies.load(opened, name).spec
        assert spec.training is not None
        assert (spec.training.evaluate_on, spec.text) == ("test", text), name


def test_what_was_extended_meanwhile_stays(opened: databases.Database, make_study: Make) -> None:
    """A key that the file does not change is not set back to what it was."""
    study = make_study(trials=3)
    orders.extend(opened, study, add=5)
    edited = specs.parse(quick_text(trials=3, more="max_failures = 4"), "quick.toml")
    assert [change.place for change in amendments.amend(opened, study, edited)] == ["budget.max_failures"]
    order = opened.read(lambda c: orders.read(c, study))
    assert (order.trials, order.max_failures) == (8, 4)


def test_a_note_that_somebody_wrote_is_kept(opened: databases.Database, make_study: Make) -> None:
    """On the dashboard."""
    study = make_study(trials=3)
    opened.optuna.set_study_system_attr(study.study_id, notes.VERSION, 2)
    before = attributes(opened, study)
    amendments.amend(opened, study, specs.parse(quick_text(trials=4), "quick.toml"))
    assert attributes(opened, study) == before


def test_what_is_there_is_not_queued_again(opened: databases.Database, make_study: Make) -> None:
    """A configuration that a trial of ours has."""
    more = "[[enqueue]]\nlearning_rate = 0.1\nbatch_size = 7\ndepth = 0\n"
    study = make_study(name="quick", trials=3, more=more)
    succeed(opened, begin(opened, study))
    edited = specs.parse(EDITED, "quick.toml")
    plain = studies.create(opened, specs.parse(quick_text(name="plain", trials=3), "plain.toml"))
    amendments.amend(opened, study, edited)
    assert summaries.whole(opened, study).count(TrialState.WAITING) == 1
    assert summaries.whole(opened, plain).trials == ()


def test_a_study_that_failures_ended_goes_on(opened: databases.Database, make_study: Make) -> None:
    """Where the file bears more of them now, also one that had stopped itself."""
    study = make_study(trials=9, more="max_failures = 1")
    for number in range(2):
        fail(opened, begin(opened, study), f"RuntimeError: {'ab'[number]}")
    assert take(opened, study) is allocations.NoTrial.FAILURES
    amendments.amend(opened, study, specs.parse(quick_text(trials=9, more="max_failures = 20"), "quick.toml"))
    study = studies.load(opened, "quick")
    for _ in range(failures.EARLY_LIMIT):
        fail(opened, begin(opened, study), "RuntimeError: no")
    assert take(opened, study) is allocations.NoTrial.STOPPED
    amendments.amend(opened, study, specs.parse(quick_text(trials=9, more="max_failures = 30"), "quick.toml"))
    assert opened.read(lambda c: orders.read(c, study)).state is orders.StudyState.ACTIVE
