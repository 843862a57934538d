"""What pruners hear of the other trials is what is stored, and ended trials are read once."""

import math
from typing import Any

import numpy
import pytest
import sqlalchemy
from optuna.trial import TrialState
from trials import Make, take

from search.ledger import claims, lives, rivals, studies
from search.storage import databases

Seen = dict[int, tuple[bool, float]]


def seen(database: databases.Database, study: studies.Study, claim: claims.Claim, step: int) -> Seen:
    """By number, whether the trial is complete, and its value."""
    known = rivals.of(database, study)
    found = database.read(lambda c: known.others(c, claim.trial_id, step))
    columns = found.numbers.tolist(), found.complete.tolist(), found.values.tolist()
    return {number: (complete, value) for number, complete, value in zip(*columns, strict=True)}


def test_one_steps_values_are_read(opened: databases.Database, make_study: Make) -> None:
    """Of the others, whatever their state, exactly the values at that step, nan and infinity included."""
    study = make_study(trials=9)
    told = {0: math.nan, 1: math.inf, 2: 0.5, 3: 0.75}
    taken: dict[int, Any] = {number: take(opened, study) for number in range(6)}
    for number, value in told.items():
        claims.report(opened, taken[number], {1: 0.1}, 1.0, {})
        claims.report(opened, taken[number], {2: value}, 1.0, {})
    claims.report(opened, taken[4], {1: 0.2}, 1.0, {})
    claims.report(opened, taken[5], {2: 0.9}, 1.0, {})
    claims.tell(opened, taken[0], TrialState.PRUNED, None, {})
    claims.tell(opened, taken[1], TrialState.COMPLETE, 1.0, {})
    claims.hand_over(opened, taken[3])
    by_number = seen(opened, study, taken[5], 2)
    assert sorted(by_number) == [0, 1, 2]
    complete, value = by_number[0]
    assert not complete
    assert math.isnan(value)
    assert by_number[1] == (True, math.inf)
    assert by_number[2] == (False, 0.5)


def stored(database: databases.Database, study: studies.Study, claim: claims.Claim, step: int) -> Seen:
    """The same from Optuna's own trials."""
    return {
        trial.number: (trial.state == TrialState.COMPLETE, trial.intermediate_values[step])
        for trial in database.optuna.get_all_trials(study.study_id)
        if trial._trial_id != claim.trial_id and step in trial.intermediate_values and trial.state != TrialState.WAITING
    }


@pytest.mark.parametrize("whole_from", [rivals.WHOLE_FROM, 2])
def test_what_is_remembered_is_what_is_stored(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch, whole_from: int
) -> None:
    """Trials report, end, and are handed over and taken up again: at each step the others are those of the database."""
    monkeypatch.setattr(rivals, "WHOLE_FROM", whole_from)
    study, rng = make_study(trials=200), numpy.random.default_rng(7)
    running: dict[int, claims.Claim] = {}
    for _ in range(40):
        claim = take(opened, study)
        running[claim.number] = claim
        for number in list(running):
            one = running[number]
            if rng.random() < 0.5:
                claims.report(opened, one, {int(rng.integers(1, 3)): float(rng.normal())}, 1.0, {})
            if rng.random() < 0.2:
                claims.hand_over(opened, running.pop(number))
            elif rng.random() < 0.3:
                state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL][int(rng.integers(3))]
                claims.tell(opened, running.pop(number), state, 0.5 if state == TrialState.COMPLETE else None, {})
        step = int(rng.integers(1, 3))
        assert seen(opened, study, claim, step) == stored(opened, study, claim, step)


def test_ended_trials_are_read_once(opened: databases.Database, make_study: Make) -> None:
    """What a report asks the database for names the trials that run, whatever has ended before."""
    study = make_study(trials=40)
    for number in range(30):
        claim = take(opened, study)
        claims.report(opened, claim, {1: number / 30}, 1.0, {})
        claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
    mine, other = take(opened, study), take(opened, study)
    claims.report(opened, other, {1: 0.25}, 1.0, {})
    assert len(seen(opened, study, mine, 1)) == 31
    asked: list[Any] = []

    def note(*details: Any) -> None:
        asked.append(details[2:4])

    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", note)
    assert len(seen(opened, study, mine, 1)) == 31
    sqlalchemy.event.remove(opened.engine, "before_cursor_execute", note)
    asked = [(text, values) for text, values in asked if "search_orders" not in text]  # whether trials have woken
    named = [value for _, values in asked for value in (values.values() if isinstance(values, dict) else values)]
    ids = {mine.trial_id, other.trial_id}
    assert set(named) <= ids | {study.study_id, 1}
    assert all("trial_id IN" in text or "trial_id >" in text for text, values in asked if values)


def test_a_study_that_is_made_again_remembers_nothing(opened: databases.Database, make_study: Make) -> None:
    """SQLite gives the ids of a deleted study out again; what pruners hear is the new study's."""
    study = make_study(trials=3)
    claim = take(opened, study)
    claims.report(opened, claim, {1: 0.1}, 1.0, {})
    claims.tell(opened, claim, TrialState.COMPLETE, 0.1, {})
    second = take(opened, study)
    assert seen(opened, study, second, 1) == {0: (True, 0.1)}
    claims.tell(opened, second, TrialState.COMPLETE, 0.1, {})
    lives.delete(opened, studies.load_stored(opened, study.name))
    again = make_study(trials=3)
    first = take(opened, again)
    assert seen(opened, again, first, 1) == {}
