"""What is recorded of a trial."""

from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.training import records


def trial(**attrs: Any) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        user_attrs={f"{records.PREFIX}{name}": value for name, value in attrs.items()},
    )


@pytest.mark.parametrize(
    ("stored", "found"),
    [(12.5, 12.5), (12, 12.0), (None, None), ("long", None), (True, None), ([1.0], None), ({}, None)],
)
def test_a_number_is_read_as_one_or_not_at_all(stored: object, found: float | None) -> None:
    """What another tool has stored under a name of ours as something else counts as absent."""
    assert records.SECONDS.find(trial(seconds=stored)) == found
    assert records.SECONDS.read(trial(seconds=stored), 7.0) == (7.0 if found is None else found)


@pytest.mark.parametrize(("stored", "repeat"), [(3, 3), (0, 0), (True, 0), ("3", 0), (3.0, 0)])
def test_a_repeat_is_a_whole_number(stored: object, repeat: int) -> None:
    """Which training seed; the study's own where nothing of the kind is stored."""
    assert records.repeat_of(trial(repeat=stored)) == repeat
    assert records.repeat_of(trial()) == 0


def test_every_attribute_is_registered_once() -> None:
    """Names are unique, each with its writer, which is a module of ours, and its meaning."""
    assert len(records.ATTRIBUTES) >= 16
    for name, attribute in records.ATTRIBUTES.items():
        assert attribute.name == name
        assert attribute.meaning
        __import__(f"search.{attribute.writer}")


def test_a_cause_has_no_figures() -> None:
    """Trials that ended for the same reason are counted together."""
    assert records.cause(trial(reason="hopeless after epoch 2: 3 %")) == "hopeless after epoch 2"
    assert records.cause(trial()) is None


def test_a_record_goes_on_where_it_was() -> None:
    """What a checkpoint keeps of it makes the same record again, the rule's memory too; later epochs change nothing."""
    before = records.Record(
        [0.5], [1.5], None, [{"from": 1, "to": 1, "with": {}}], [0.6], [[2.0]], 2, 3.5, [0.1, [], True]
    )
    history = before.history()
    after = records.Record.after(before.values, history)
    assert after == before
    before.losses.append(9.0)
    assert history["losses"] == [1.5]
