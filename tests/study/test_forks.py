"""The text of a study that begins where another one is."""

from typing import Any

import mine
import pytest
from conftest import quick_text

from search import errors
from search.study import forks, specs

SPACE = 'x = { low = 0.0, high = 1.0 }\nn = { choices = [1, 2], when = "x > 0.5" }'
SOURCE = specs.parse(mine.text(space=SPACE) + "[[enqueue]]\nx = 0.25\n", "own.toml")


def fork(changes: dict[str, Any]) -> specs.StudySpec:
    return forks.spec(SOURCE, "next", changes, "changes.toml")


def test_tables_are_merged() -> None:
    """What is not named stays; a parameter may take another form and keeps its condition; a key may go."""
    found = fork(
        {"space": {"n": {"low": 1, "high": 4}, "y": [1, 2]}, "budget": {"trials": 9, "max_failures": {"none": True}}}
    )
    by_name = {p.name: p for p in found.space.parameters}
    assert (found.name, found.budget.trials, found.budget.max_failures) == ("next", 9, 10)
    assert (by_name["n"].values, str(by_name["n"].when), set(by_name)) == (range(1, 5), "x > 0.5", {"x", "n", "y"})
    assert by_name["x"].distribution == SOURCE.space.parameters[0].distribution
    assert found.warm_start is not None
    assert (found.warm_start.source, found.enqueue) == ("own", ())


def test_what_an_old_study_left_out_means_what_it_did() -> None:
    """One that an earlier version judged by the test set goes on so, though a new file would mean the hold-out."""
    text = quick_text().replace('evaluate_on = "test"\nvalue = "last"\n', "")
    old = specs.parse_stored(text, "old")
    new = forks.spec(old, "next", {}, "fork")
    assert old.training is not None
    assert new.training is not None
    assert (old.training.evaluate_on, new.training.evaluate_on) == ("test", "test")
    changed = forks.spec(old, "next", {"training": {"evaluate_on": "validation"}}, "fork")
    assert changed.training is not None
    assert changed.training.evaluate_on == "validation"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {"trial": 3}}, "changes.toml: budget.trial is not a known key, got 3"),
        ({"space": {"x": {"low": 2.0}}}, "changes.toml: space.x"),
        ({"study": {"direction": "minimize"}}, "changes.toml: study.direction must be 'maximize', as of study 'own'"),
        ({"study": {"metric": "loss"}}, "changes.toml: study.metric must be "),
        ({"budget": 3}, "changes.toml: budget must be a table, got 3"),
        ({"study": {"name": "other"}}, "changes.toml: study.name must be left out, or 'next', got 'other'"),
        ({"warm_start": {"from": "a"}}, "changes.toml: warm_start must be left out: a fork begins with study 'own'"),
        ({"space": {"z": {"none": True}}}, "changes.toml: space.z must be in the study to go, and is not"),
    ],
)
def test_what_no_file_may_say_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the file of changes, key, rule and value."""
    with pytest.raises(errors.StudyFileError) as error:
        fork(changes)
    assert str(error.value).startswith(message)
