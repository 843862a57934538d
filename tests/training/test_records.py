"""What is recorded of a trial."""

import math
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.training import records


def trial(**attrs: Any) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        user_attrs={f"search:{name}": value for name, value in attrs.items()},
    )


@pytest.mark.parametrize(
    ("stored", "found"),
    [(12.5, 12.5), (12, 12.0), (None, None), ("long", None), (True, None), ([1.0], None), ({}, None)],
)
def test_a_number_is_read_as_one_or_not_at_all(stored: object, found: float | None) -> None:
    """What another tool has stored under a name of ours as something else counts as absent."""
    assert records.SECONDS.find(trial(seconds=stored)) == found
    assert records.SECONDS.read(trial(seconds=stored), 7.0) == (7.0 if found is None else found)


@pytest.mark.parametrize(
    ("stored", "repeat"), [(3, 3), (0, 0), (True, 0), ("3", 0), (3.0, 0), ("fold-3", 0), (-1, 0), (10**400, 0)]
)
def test_a_repeat_is_a_whole_number(stored: object, repeat: int) -> None:
    """Which training seed; the study's own where nothing of the kind is stored."""
    assert records.repeat_of(trial(repeat=stored)) == repeat
    assert records.repeat_of(trial()) == 0


ODD = (
    "12 s",
    {"a": 1},
    True,
    None,
    [],
    [[]],
    ["a"],
    [None],
    [{}],
    [[1.0, "x"]],
    10**400,
    -1,
    -0.5,
    1e308,
    math.nan,
    math.inf,
)
RANGE = {"from": 1, "to": 2, "with": {"engine": "cpu"}}


@pytest.mark.parametrize("name", sorted(records.ATTRIBUTES))
def test_what_another_tool_stores_is_never_half_ours(name: str) -> None:
    """Whatever stands under a name of ours reads as what is ours there, or as nothing."""
    attribute = records.ATTRIBUTES[name]
    for value in (*ODD, [RANGE, {}], [{**RANGE, "with": {"engine": 3}}], [{**RANGE, "from": "one"}], [1.0, True]):
        stored = optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={name: value})
        found = attribute.find(stored)
        if found is None:
            continue
        assert isinstance(found, attribute.kind)
        if attribute in (records.SECONDS, records.CPU_SECONDS):
            assert 0 <= found < 1e12
        elif attribute is records.TRAINED:
            assert all(set(part) == {"from", "to", "with"} for part in found)
        elif attribute.kind is list:
            flat = [each for part in found for each in (part if isinstance(part, list) else [part])]
            assert flat
            assert all(type(each) in (int, float) for each in flat)
        elif attribute.kind is int:
            assert found >= 0
    whole = optuna.trial.create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs={"search:trained": [RANGE]})
    assert records.TRAINED.find(whole) == [RANGE]


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
