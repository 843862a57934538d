"""What a study is told to do: more trials, more hours, a pause, a stop; on every storage."""

from collections.abc import Callable

import pytest
from optuna.trial import TrialState
from trials import GONE, ME, Clock, take

from search import errors
from search.ledger import adoptions, allocations, claims, orders, queues, studies, summaries
from search.storage import databases

Make = Callable[..., studies.Study]


def in_force(database: databases.Database, study: studies.Study) -> orders.Order:
    return database.read(lambda connection: orders.read(connection, study))


@pytest.mark.parametrize(
    ("state", "answer"),
    [(orders.StudyState.PAUSED, allocations.NoTrial.PAUSED), (orders.StudyState.STOPPED, allocations.NoTrial.STOPPED)],
)
def test_no_trial_begins_while_paused_or_stopped(
    opened: databases.Database, make_study: Make, state: orders.StudyState, answer: allocations.NoTrial
) -> None:
    """Neither a new nor a waiting nor an orphaned trial is taken; what runs may be told; then all goes on."""
    study = make_study(trials=4)
    lost, kept = take(opened, study, GONE), take(opened, study)
    queues.enqueue(opened, study, {"learning_rate": 0.1, "batch_size": 7, "depth": 0})
    clock = Clock(opened, study)
    assert claims.beat(opened, [(kept, None)]) == []
    assert orders.set_state(opened, study, state).state is orders.StudyState.ACTIVE
    assert take(opened, study, watch=clock.watch) is answer
    claims.tell(opened, kept, TrialState.COMPLETE, 0.5, {})
    assert orders.set_state(opened, study, orders.StudyState.ACTIVE).state is state
    taken = [take(opened, study, watch=clock.watch) for _ in range(3)]
    assert [claim.number for claim in taken] == [lost.number, 2, 3]
    assert [claim.how for claim in taken] == ["adopted", "waiting", "created"]


def test_an_extension_keeps_the_state(opened: databases.Database, make_study: Make) -> None:
    """A paused study that is extended stays paused, with the new budget."""
    study = make_study(trials=1)
    orders.set_state(opened, study, orders.StudyState.PAUSED, at_once=True)
    assert orders.extend(opened, study, add=2) == orders.Order(3, None, orders.StudyState.PAUSED, True)
    assert in_force(opened, study).trials == 3


def test_hours_are_training_time_over_all_trials_and_owners(opened: databases.Database, make_study: Make) -> None:
    """What every owner has spent counts, finished or not, and more hours go on; running trials are finished."""
    study = make_study(trials=9, more="hours = 0.5")
    first, second = take(opened, study, GONE), take(opened, study)
    claims.report(opened, first, {1: 0.5}, 700.0, {})
    assert claims.beat(opened, [(second, 500.0)]) == []
    assert summaries.whole(opened, study).seconds == 1200.0
    clock = Clock(opened, study)
    assert claims.beat(opened, [(second, 600.0)]) == []
    adopted = take(opened, study, watch=clock.watch)
    assert (adopted.number, adopted.seconds) == (0, 700.0)
    claims.tell(opened, adopted, TrialState.COMPLETE, 0.5, {}, 1200.0)
    assert take(opened, study) is allocations.NoTrial.WAIT
    claims.hand_over(opened, second, 650.0)
    assert summaries.whole(opened, study).seconds == 1850.0
    assert take(opened, study) is allocations.NoTrial.HOURS
    assert orders.extend(opened, study, hours=0.5) == orders.Order(9, 1.0)
    assert take(opened, study).how == "waiting"


def test_hours_cannot_be_added_to_no_limit(opened: databases.Database, make_study: Make) -> None:
    """Nothing changes where the study file gave no hours; the message says so."""
    study = make_study(trials=2)
    with pytest.raises(errors.InputError, match="the study has no budget.hours"):
        orders.extend(opened, study, add=1, hours=1)
    assert in_force(opened, study) == orders.Order(2)


def test_a_budget_must_fit_the_database(opened: databases.Database, make_study: Make) -> None:
    """A budget beyond what a column holds is refused with the rule, not by the database."""
    study = make_study(trials=2)
    with pytest.raises(errors.InputError, match="from 1 to 2147483647 trials, got 2147483648"):
        orders.extend(opened, study, add=2**31 - 2)
    assert in_force(opened, study).trials == 2


def test_a_trial_ended_by_another_tool_is_not_adopted(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan that is due to fail, and is ended from outside in that moment, stays as it was ended."""
    study = make_study(trials=2)
    monkeypatch.setattr(adoptions, "STALL_LIMIT", 1)
    claim = take(opened, study, GONE)
    clock = Clock(opened, study)
    sightings = opened.read(lambda connection: adoptions.running(connection, study.study_id))
    opened.optuna.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [0.5])
    monkeypatch.setattr(adoptions, "running", lambda *_: sightings)
    assert allocations.take(opened, study, ME, clock.watch).number == 1
    assert opened.optuna.get_trial(claim.trial_id).state == TrialState.COMPLETE
