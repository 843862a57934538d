"""What a model is shown of a study, read from a database."""

import numpy
from optuna.trial import TrialState
from pausing import begin, complete, create, reach
from trials import take

from search.ledger import allocations, claims, orders, studies, trainings
from search.storage import databases
from search.surrogates.trainings import Stage, Training


def read(database: databases.Database, study: studies.Study, seen: trainings.Trainings) -> trainings.Known:
    return database.read(lambda connection: seen.read(connection, study))


def by_number(known: trainings.Known) -> dict[int, Training]:
    return {each.number: each for each in known.trainings}


def test_trials_in_every_state(opened: databases.Database) -> None:
    """Complete, pruned, paused and running trials are told apart, with curves and seconds; a failed one only takes."""
    study = create(opened, trials=8)
    paused, pruned, failed = begin(opened, study), begin(opened, study), begin(opened, study)
    assert not reach(opened, study, paused, 1, 0.3)
    claims.tell(opened, pruned, TrialState.PRUNED, 0.1, {}, 2.0, steps={1: 0.15, 2: 0.1})
    claims.tell(opened, failed, TrialState.FAIL, None, {})
    done, running = begin(opened, study), begin(opened, study)
    claims.tell(opened, done, TrialState.COMPLETE, 0.9, {}, 7.0, steps={1: 0.5, 2: 0.9})
    known = read(opened, study, trainings.Trainings())
    found = by_number(known)
    stages = {number: each.stage for number, each in found.items()}
    assert stages == {0: Stage.PAUSED, 1: Stage.ENDED, 3: Stage.COMPLETE, 4: Stage.RUNNING}
    assert (found[3].values.tolist(), found[3].value, found[3].seconds) == ([0.5, 0.9], 0.9, 7.0)
    assert (found[0].values.tolist(), found[0].value, found[0].seconds) == ([0.3], None, 1.0)
    assert found[1].last == 0.1
    assert (known.waiting, known.regret) == ([found[0]], None)
    assert found[4].params == running_params(opened, running)
    assert len(known.taken) == known.count == 5
    assert (known.used, known.budget, known.ended) == (4 / 8, 8, 2)


def test_seconds_count_less_where_trials_are_few() -> None:
    """With hardly a trial in the budget a place is all, with sixty seconds are; they count less the more there were."""

    def known(used: float, budget: float, count: int) -> trainings.Known:
        return trainings.Known([], frozenset(), used, budget, count, count)

    assert [known(0.0, budget, 0).scarcity for budget in (15, 60, 1000)] == [0.75, 0.0, 0.0]
    assert [known(0.0, budget, 0).thrift for budget in (15, 60, 1000)] == [0.25, 1.0, 1.0]
    assert [known(0.0, 1e6, count).thrift for count in (60, 120)] == [1 / 2, 1 / 3]
    assert known(1.0, 60, 60).thrift == 0.0


def running_params(database: databases.Database, claim: claims.Claim) -> dict[str, object]:
    return dict(database.optuna.get_trial(claim.trial_id).params)


def test_a_memory_is_as_good_as_a_fresh_look(opened: databases.Database) -> None:
    """After pauses, promotions, ends and a waking, what was kept and what changed are what a new worker reads."""
    study, seen = create(opened, trials=4), trainings.Trainings()
    waiting: list[list[int]] = []

    def same() -> dict[int, Training]:
        old, new = read(opened, study, seen), read(opened, study, trainings.Trainings())
        assert [(t.number, t.params, t.stage, t.values.tolist(), t.value, t.seconds) for t in old.trainings] == [
            (t.number, t.params, t.stage, t.values.tolist(), t.value, t.seconds) for t in new.trainings
        ]
        assert (old.taken, old.used, old.count, old.ended) == (new.taken, new.used, new.count, new.ended)
        waiting.append([each.number for each in old.waiting])
        assert waiting[-1] == [each.number for each in new.waiting]
        return by_number(old)

    same()
    for value in (0.3, 0.2, 0.1):
        assert not reach(opened, study, begin(opened, study), 1, value)
        same()
    again = begin(opened, study)
    assert (again.number, same()[0].stage) == (0, Stage.RUNNING)
    complete(opened, again, 0.5)
    assert same()[0].values.tolist() == [0.3, 0.5]
    assert not reach(opened, study, begin(opened, study), 1, 0.05)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    told = same()
    assert (told[3].stage, told[3].value) == (Stage.PAUSED, 0.05)
    assert orders.extend(opened, study, add=1).wakings == 1
    woken = same()
    assert (woken[3].stage, woken[3].value) == (Stage.PAUSED, None)
    assert waiting == [[], [0], [0, 1], [0, 1, 2], [1, 2], [1, 2], [], [1, 2, 3]]


def test_the_best_are_shown_and_others_stand_for_all() -> None:
    """Of many trials the best and an even sample are shown, mixed from the front, and all that run."""
    made = [
        Training(n, {"x": n}, Stage.COMPLETE, numpy.array([n / 1000]), n / 1000, 1.0)
        for n in numpy.random.default_rng(0).permutation(1000).tolist()
    ]
    running = Training(1000, {"x": 1}, Stage.RUNNING, numpy.empty(0))
    shown = trainings._shown([*made, running], maximize=True)
    assert len(shown) == trainings.SHOWN + 1
    assert {each.number for each in shown} >= {*range(1000 - trainings.BEST, 1000), 1000}
    others = [each.number for each in shown if each.number < 1000 - trainings.BEST]
    assert 300 < numpy.mean(others) < 550
    assert max(numpy.diff(sorted(others))) < 40
    first = [each.number >= 1000 - trainings.BEST for each in shown[:100]]
    assert sum(first) == 50
