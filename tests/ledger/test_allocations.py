"""One suite for every storage: who gets which trial, within the budget."""

import threading
from typing import Any

from conftest import quick_text
from optuna.trial import TrialState
from trials import PARAMS, Make, take

from search.ledger import allocations, claims, configurations, orders, queues, studies
from search.storage import databases
from search.study import specs


def test_the_budget_is_given_out_exactly(opened: databases.Database, make_study: Make) -> None:
    """Eight workers at once get the budget and not one more, with numbers 0 to N-1; then the rest wait."""
    study = make_study(trials=40)
    got: list[Any] = []

    def grab() -> None:
        for _ in range(10):
            got.append(take(opened, study))

    threads = [threading.Thread(target=grab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claimed = [one for one in got if isinstance(one, claims.Claim)]
    assert sorted(claim.number for claim in claimed) == list(range(40))
    assert len({claim.owner for claim in claimed}) == 40
    assert got.count(allocations.NoTrial.WAIT) == 40


def test_a_finished_study_says_so_until_it_is_extended(opened: databases.Database, make_study: Make) -> None:
    """COMPLETE and PRUNED use budget up; an extension gives out exactly its trials."""
    study = make_study(trials=2)
    for outcome in (TrialState.COMPLETE, TrialState.PRUNED):
        claims.tell(opened, take(opened, study), outcome, 0.5, {})
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert orders.extend(opened, study, add=1).trials == 3
    assert take(opened, study).number == 2
    assert take(opened, study) is allocations.NoTrial.WAIT
    assert orders.extend(opened, study, to=2).trials == 2
    assert take(opened, study) is allocations.NoTrial.WAIT


def test_a_failure_frees_its_slot_up_to_a_limit(opened: databases.Database, make_study: Make) -> None:
    """A FAIL is made up for by another trial; more than max_failures end the study."""
    study = make_study(trials=1, more="max_failures = 2")
    for number in range(3):
        claim = take(opened, study)
        assert claim.number == number
        claims.tell(opened, claim, TrialState.FAIL, None, {"search:reason": "test"})
    assert take(opened, study) is allocations.NoTrial.FAILURES


def test_enqueued_trials_come_first_and_within_the_budget(opened: databases.Database, make_study: Make) -> None:
    """Waiting trials are taken before new ones are made, in order, and both together never exceed the budget."""
    study = make_study(trials=3)
    numbers = [queues.enqueue(opened, study, {**PARAMS, "batch_size": size}) for size in (1, 2, 3, 4)]
    assert numbers == [0, 1, 2, 3]
    taken = [take(opened, study) for _ in range(3)]
    assert [claim.number for claim in taken] == [0, 1, 2]
    assert [claim.fixed["batch_size"] for claim in taken] == [1, 2, 3]
    assert take(opened, study) is allocations.NoTrial.WAIT
    for claim in taken:
        claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert orders.extend(opened, study, add=2).trials == 5
    assert take(opened, study).number == 3
    assert take(opened, study).number == 4
    assert take(opened, study) is allocations.NoTrial.WAIT


def test_repeats_do_not_exhaust_a_space(opened: databases.Database) -> None:
    """A finite space ends when each configuration has been tried, however often some were repeated."""
    text = quick_text(trials=9, hopeless="false").replace("depth = { low = 0, high = 6 }", "depth = [0]")
    text = text.replace("batch_size = { low = 1, high = 128 }", "batch_size = [7]")
    study = studies.create(opened, specs.parse(text, "x"))
    assert study.spec.space.size == 3
    queues.repeat(opened, study, PARAMS, 3)
    history = opened.history(study.study_id)
    found = []
    while isinstance(claim := take(opened, study), claims.Claim):
        found.append(configurations.configure(opened, study, claim, history))
        claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
    assert claim is allocations.NoTrial.EXHAUSTED
    assert len(found) == 5
    assert len({study.spec.space.key(params) for params in found}) == 3
