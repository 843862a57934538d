"""What an owner may write, and a late one may not."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import quick_text
from forgetful import Forgetful
from optuna.trial import TrialState
from trials import GONE, PARAMS, Clock, Make, state, take

from search import errors
from search.ledger import allocations, amendments, claims, configurations, orders, queues, studies, summaries
from search.storage import databases
from search.study import specs


def test_a_late_owner_changes_nothing(opened: databases.Database, make_study: Make) -> None:
    """After an adoption, the former owner's beat, parameters, report, tell and hand-over are lost, not stored."""
    study = make_study(trials=1)
    late = take(opened, study, GONE)
    configurations.configure(opened, study, late, opened.history(study.study_id))
    owner = take(opened, study, watch=Clock(opened, study).watch)
    claims.report(opened, owner, {1: 0.7}, 1.0, {})
    before = state(opened, study, 0)
    assert claims.beat(opened, [(late, 99.0), (owner, 1.0)]) == [late]
    for attempt in (
        lambda: configurations.assign(opened, study, late, PARAMS),
        lambda: claims.report(opened, late, {1: 0.1}, 99.0, {"search:avg_losses": [9]}),
        lambda: claims.report(opened, late, {2: 0.1}, 99.0, {}),
        lambda: claims.tell(opened, late, TrialState.COMPLETE, 0.1, {"search:avg_loss": 9}),
        lambda: claims.hand_over(opened, late),
    ):
        with pytest.raises(errors.TrialLost):
            attempt()
    assert state(opened, study, 0) == before
    claims.tell(opened, owner, TrialState.COMPLETE, 0.8, {})
    with pytest.raises(errors.TrialLost):
        claims.tell(opened, late, TrialState.FAIL, None, {})
    assert (state(opened, study, 0).state, state(opened, study, 0).value) == (TrialState.COMPLETE, 0.8)


def test_a_handed_over_trial_keeps_its_parameters(opened: databases.Database, make_study: Make) -> None:
    """It waits, as Optuna means it, and the next worker goes on with the same configuration and number."""
    study = make_study(trials=2)
    claim = take(opened, study)
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    claims.report(opened, claim, {1: 0.5}, 3.0, {})
    claims.hand_over(opened, claim)
    waiting = state(opened, study, 0)
    assert (waiting.state, waiting.params, waiting.datetime_start) == (TrialState.WAITING, params, None)
    again = take(opened, study)
    assert (again.number, again.params, again.seconds) == (0, params, 3.0)
    assert configurations.configure(opened, study, again, opened.history(study.study_id)) == params
    assert state(opened, study, 0).datetime_start is not None


def test_lost_acknowledgements_do_nothing_twice(url: str) -> None:
    """Create, extend, enqueue, claim, adopt, assign, report, tell: each is done once though it was sent twice."""
    database = Forgetful(url, patience_seconds=30)

    def lossy(call: Callable[[], Any]) -> Any:
        database.losses = 1
        result = call()
        assert database.losses == 0
        return result

    study = lossy(lambda: studies.create(database, specs.parse(quick_text(trials=2), "x")))
    assert studies.names(database) == ["quick"]
    assert lossy(lambda: orders.extend(database, study, add=3)).trials == 5
    assert lossy(lambda: orders.extend(database, study, to=3)).trials == 3
    assert lossy(lambda: queues.enqueue(database, study, PARAMS)) == 0
    assert lossy(lambda: queues.enqueue(database, study, {"depth": 1})) == 1
    first = lossy(lambda: take(database, study))
    second = lossy(lambda: take(database, study))
    third = lossy(lambda: take(database, study, GONE))
    assert [c.number for c in (first, second, third)] == [0, 1, 2]
    assert take(database, study) is allocations.NoTrial.WAIT
    assert lossy(lambda: configurations.configure(database, study, first, database.history(study.study_id))) == PARAMS
    sampled = lossy(lambda: configurations.configure(database, study, third, database.history(study.study_id)))
    assert state(database, study, 2).params == sampled
    lossy(lambda: claims.report(database, first, {1: 0.5}, 2.0, {}))
    lossy(lambda: claims.tell(database, first, TrialState.COMPLETE, 0.5, {}))
    assert (state(database, study, 0).state, state(database, study, 0).value) == (TrialState.COMPLETE, 0.5)
    clock = Clock(database, study)
    clock.watch.look([], time.monotonic(), database.interruptions)
    claims.tell(database, second, TrialState.PRUNED, None, {})
    fresh = Clock(database, study)
    adopted = lossy(lambda: take(database, study, watch=fresh.watch))
    assert (adopted.number, adopted.generation, adopted.params) == (2, 2, sampled)
    with pytest.raises(errors.TrialLost):  # which its worker takes for what it is: nothing more to do
        lossy(lambda: claims.hand_over(database, adopted))
    assert state(database, study, 2).state == TrialState.WAITING
    assert len(summaries.whole(database, study).trials) == 3
    edited = specs.parse(quick_text(trials=2, more="max_failures = 11\n[[enqueue]]\ndepth = 6\n"), "x")
    assert len(lossy(lambda: amendments.amend(database, study, edited))) == 2
    assert len(summaries.whole(database, study).trials) == 4
