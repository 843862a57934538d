"""One suite for every storage: who gets which trial, and what a late owner may not do."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy
from conftest import quick_text
from optuna.trial import TrialState
from sqlalchemy import exc

from search import errors
from search.ledger import adoptions, allocations, claims, configurations, orders, presence, queues, studies, summaries
from search.storage import databases, schema
from search.study import specs

Make = Callable[..., studies.Study]
GONE = presence.Identity("gone:1", "another-host", 1, 0.0)
ME = presence.Identity("me:2", "another-host", 2, 0.0)
PARAMS = {"learning_rate": 0.1, "batch_size": 7, "depth": 0}


class Clock:
    """Makes the grace pass without waiting for it: looks at the study as an observer in contact would."""

    def __init__(self, database: databases.Database, study: studies.Study, grace: float = 30) -> None:
        self.watch = presence.Watch(grace)
        running = database.read(lambda c: adoptions.running(c, study.study_id))
        now = time.monotonic()
        for step in range(7):
            self.watch.look(running, now - 35 + 5 * step, database.interruptions)


def take(
    database: databases.Database,
    study: studies.Study,
    worker: presence.Identity = ME,
    watch: presence.Watch | None = None,
) -> Any:
    return allocations.take(database, study, worker, watch or presence.Watch())


def state(database: databases.Database, study: studies.Study, number: int) -> Any:
    return summaries.summary(database, study).trials[number]


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
    assert orders.extend(opened, study.study_id, add=1).trials == 3
    assert take(opened, study).number == 2
    assert take(opened, study) is allocations.NoTrial.WAIT
    assert orders.extend(opened, study.study_id, to=2).trials == 2
    assert take(opened, study) is allocations.NoTrial.WAIT


def test_a_failure_frees_its_slot_up_to_a_limit(opened: databases.Database, make_study: Make) -> None:
    """A FAIL is made up for by another trial; more than max_failures end the study."""
    study = make_study(trials=1, more="max_failures = 2")
    for number in range(3):
        claim = take(opened, study)
        assert claim.number == number
        claims.tell(opened, claim, TrialState.FAIL, None, {"reason": "test"})
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
    assert orders.extend(opened, study.study_id, add=2).trials == 5
    assert take(opened, study).number == 3
    assert take(opened, study).number == 4
    assert take(opened, study) is allocations.NoTrial.WAIT


def test_an_orphan_is_adopted_before_anything_else(opened: databases.Database, make_study: Make) -> None:
    """A trial whose owner fell silent goes on under its number, with its parameters, its stored steps cleared."""
    study = make_study(trials=5)
    claim = take(opened, study, GONE)
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    claims.report(opened, claim, {1: 0.3}, 12.0, {})
    queues.enqueue(opened, study, {**PARAMS, "batch_size": 99})
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert (adopted.number, adopted.how) == (claim.number, "adopted")
    assert adopted.params == params
    assert adopted.generation == claim.generation + 1
    assert adopted.seconds == 12.0
    assert state(opened, study, 0).intermediate_values == {}
    assert take(opened, study).number == 1  # the enqueued one, then new ones
    assert len(summaries.summary(opened, study).trials) == 2


def test_a_beat_in_time_prevents_adoption(opened: databases.Database, make_study: Make) -> None:
    """An owner that beats between the observer's last look and its claim keeps the trial."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    clock = Clock(opened, study)
    assert claims.beat(opened, [(claim, None)]) == []
    assert take(opened, study, watch=clock.watch) is allocations.NoTrial.WAIT


def test_an_orphan_is_adopted_once(opened: databases.Database, make_study: Make) -> None:
    """Two observers that both saw it silent: one gets it, the other waits."""
    study = make_study(trials=1)
    take(opened, study, GONE)
    first, second = Clock(opened, study), Clock(opened, study)
    assert take(opened, study, watch=first.watch).how == "adopted"
    assert take(opened, study, watch=second.watch) is allocations.NoTrial.WAIT


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
        lambda: claims.report(opened, late, {1: 0.1}, 99.0, {"avg_losses": [9]}),
        lambda: claims.report(opened, late, {2: 0.1}, 99.0, {}),
        lambda: claims.tell(opened, late, TrialState.COMPLETE, 0.1, {"avg_loss": 9}),
        lambda: claims.hand_over(opened, late),
    ):
        with pytest.raises(errors.TrialLost):
            attempt()
    assert state(opened, study, 0) == before
    claims.tell(opened, owner, TrialState.COMPLETE, 0.8, {})
    with pytest.raises(errors.TrialLost):
        claims.tell(opened, late, TrialState.FAIL, None, {})
    assert (state(opened, study, 0).state, state(opened, study, 0).value) == (TrialState.COMPLETE, 0.8)


def test_three_dead_owners_in_a_row_fail_the_trial(opened: databases.Database, make_study: Make) -> None:
    """What kills its worker three times without an epoch is FAIL with its reason; the next trial is new."""
    study = make_study(trials=1)
    take(opened, study, GONE)
    for _ in range(2):
        assert take(opened, study, GONE, Clock(opened, study).watch).how == "adopted"
    following = take(opened, study, GONE, Clock(opened, study).watch)
    assert (following.number, following.how) == (1, "created")
    assert state(opened, study, 0).state == TrialState.FAIL
    assert "died 3 times in a row" in state(opened, study, 0).user_attrs["reason"]


def test_owners_that_advanced_do_not_count_as_dead_in_a_row(opened: databases.Database, make_study: Make) -> None:
    """An owner that got further than any before starts the count again; nor does a hand-over count."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    for step in range(1, 5):
        claims.report(opened, claim, {step: 0.5}, 1.0, {})
        claim = take(opened, study, GONE, Clock(opened, study).watch)
        assert claim.how == "adopted"
    for _ in range(4):
        claims.hand_over(opened, claim)
        claim = take(opened, study, GONE)
        assert claim.how == "waiting"
    assert claim.number == 0


def test_what_kills_its_worker_at_the_same_point_again_and_again_fails(
    opened: databases.Database, make_study: Make
) -> None:
    """Epochs that an earlier owner had finished too are no progress: the fourth owner to die there was the last."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    for _ in range(4):
        assert (claim.number, state(opened, study, 0).state) == (0, TrialState.RUNNING)
        claims.report(opened, claim, {1: 0.5}, 1.0, {})
        claim = take(opened, study, GONE, Clock(opened, study).watch)
    assert (claim.number, claim.how) == (1, "created")
    assert state(opened, study, 0).state == TrialState.FAIL
    assert "without getting further" in state(opened, study, 0).user_attrs["reason"]


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


class Forgetful(databases.Database):
    """A real store whose connection breaks after a commit: the work is done, and the caller does not know it."""

    losses = 0

    def _run(self, work: Callable[[sqlalchemy.Connection], Any], immediate: bool) -> Any:
        result = super()._run(work, immediate)
        if immediate and self.losses:
            self.losses -= 1
            raise exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        return result


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
    assert lossy(lambda: orders.extend(database, study.study_id, add=3)).trials == 5
    assert lossy(lambda: orders.extend(database, study.study_id, to=3)).trials == 3
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
    assert len(summaries.summary(database, study).trials) == 3


def test_a_trial_appears_whole(opened: databases.Database, make_study: Make) -> None:
    """A trial has no parameter, and then all of them: never a part."""
    study = make_study(trials=3)
    claim = take(opened, study)
    assert state(opened, study, 0).params == {}
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    assert state(opened, study, 0).params == params
    assert study.spec.space.is_complete(params)


def test_no_configuration_twice_until_the_space_is_exhausted(opened: databases.Database, make_study: Make) -> None:
    """A space of 7 configurations gives 7 different trials to 4 workers, then says that it is exhausted."""
    text = quick_text(trials=100).replace("[1e-4, 1e-2, 1e-1]", "[0.1]").replace("low = 1, high = 128", "choices = [5]")
    text = text.replace("high = 6", "high = 2").replace("[8, 16, 32]", "[8]")
    study = studies.create(opened, specs.parse(text, "x"))
    assert study.spec.space.size == 1 + 2 * 3
    ends: list[Any] = []

    def grab() -> None:
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})
        ends.append(claim)

    threads = [threading.Thread(target=grab) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trials = summaries.summary(opened, study).trials
    assert Counter(study.spec.space.key(t.params) for t in trials).most_common(1)[0][1] == 1
    assert len(trials) == 7
    assert set(ends) <= {allocations.NoTrial.EXHAUSTED, allocations.NoTrial.WAIT}
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED


def test_an_enqueued_duplicate_is_refused_when_enqueued(opened: databases.Database, make_study: Make) -> None:
    """The error names the trial that has the configuration, whatever became of it."""
    study = make_study(trials=3)
    queues.enqueue(opened, study, {**PARAMS, "batch_size": 50})
    queues.enqueue(opened, study, PARAMS)
    with pytest.raises(errors.DuplicateConfiguration, match="trial 1 has this configuration already"):
        queues.enqueue(opened, study, PARAMS)
    assert len(summaries.summary(opened, study).trials) == 2


def test_two_workers_on_one_configuration(opened: databases.Database, make_study: Make) -> None:
    """The reservation is the database's: the second of two equal proposals is refused and writes nothing."""
    study = make_study(trials=3)
    one, two = take(opened, study), take(opened, study)
    assert configurations.assign(opened, study, one, PARAMS) == PARAMS
    assert configurations.assign(opened, study, two, PARAMS) is None
    assert state(opened, study, 1).params == {}
    assert configurations.assign(opened, study, two, {**PARAMS, "depth": 0, "batch_size": 8}) is not None


def test_repeats_are_asked_for_explicitly(opened: databases.Database, make_study: Make) -> None:
    """The same configuration again, with training seeds it has not had, inside the budget; no other trial gets it."""
    study = make_study(trials=5)
    history = opened.history(study.study_id)
    assert queues.enqueue(opened, study, PARAMS) == 0
    assert queues.repeat(opened, study, PARAMS, 2) == [1, 2]
    assert queues.repeat(opened, study, PARAMS, 1) == [3]
    with pytest.raises(errors.DuplicateConfiguration):
        queues.enqueue(opened, study, PARAMS)
    taken = [take(opened, study) for _ in range(5)]
    assert [claim.repeat for claim in taken] == [0, 1, 2, 3, 0]
    params = [configurations.configure(opened, study, claim, history) for claim in taken]
    assert params[:4] == [PARAMS] * 4
    assert params[4] != PARAMS
    claims.tell(opened, taken[1], TrialState.FAIL, None, {})
    assert queues.repeat(opened, study, PARAMS, 1) == [5]
    again = take(opened, study)
    assert (again.number, again.repeat) == (5, 4)
    assert [t.user_attrs.get("repeat") for t in summaries.summary(opened, study).trials] == [None, 1, 2, 3, None, 4]
    claims.hand_over(opened, again)
    assert take(opened, study).repeat == 4
    with pytest.raises(errors.InputError, match=r"a repeat needs a whole configuration, \['batch_size'\] is not given"):
        queues.repeat(opened, study, {"learning_rate": 0.1, "depth": 0}, 1)


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


def test_optunas_own_tools_may_enqueue(opened: databases.Database, make_study: Make, url: str) -> None:
    """`study.enqueue_trial` of plain Optuna is honoured, partial ones are completed, bad ones fail with a reason."""
    study = make_study(trials=10)
    plain = optuna.load_study(study_name=study.name, storage=url)
    plain.enqueue_trial(PARAMS)
    plain.enqueue_trial({"depth": 3, "activation": "GELU"})
    plain.enqueue_trial({"learning_rate": 7.0})
    plain.enqueue_trial(PARAMS)
    history = opened.history(study.study_id)
    assert configurations.configure(opened, study, take(opened, study), history) == PARAMS
    completed = configurations.configure(opened, study, take(opened, study), history)
    assert (completed["depth"], completed["activation"]) == (3, "GELU")
    assert study.spec.space.is_complete(completed)
    with pytest.raises(ValueError, match=r"learning_rate must be one of 0.0001, 0.01, 0.1, got 7.0"):
        configurations.configure(opened, study, take(opened, study), history)
    with pytest.raises(errors.DuplicateConfiguration):
        configurations.configure(opened, study, take(opened, study), history)


def test_a_trial_of_another_tool_without_a_beat_is_adopted_after_the_grace(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """A RUNNING trial that plain Optuna left behind counts from when it was first seen."""
    study = make_study(trials=2)
    plain = optuna.load_study(study_name=study.name, storage=url)
    plain.ask()
    assert take(opened, study).number == 1
    assert take(opened, study) is allocations.NoTrial.WAIT
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert adopted.how == "adopted"


def test_optuna_reads_our_trials(opened: databases.Database, make_study: Make, url: str) -> None:
    """`optuna.load_study` on the address sees states, parameters, steps, values and attributes as its own."""
    study = make_study(trials=3)
    history = opened.history(study.study_id)
    one, two, three = (take(opened, study) for _ in range(3))
    params = [configurations.configure(opened, study, claim, history) for claim in (one, two, three)]
    for step, value in enumerate((0.2, float("nan"), 0.6), 1):
        claims.report(opened, one, {step: value}, 1.0, {"avg_losses": [1.0] * step})
    claims.tell(opened, one, TrialState.COMPLETE, 0.6, {"engine": "reference", "seconds": 1.0})
    claims.tell(opened, two, TrialState.PRUNED, None, {"reason": "hopeless"})
    plain = optuna.load_study(study_name=study.name, storage=url)
    assert [t.state.name for t in plain.trials] == ["COMPLETE", "PRUNED", "RUNNING"]
    assert [t.params for t in plain.trials] == params
    assert plain.best_trial.number == 0
    assert plain.best_value == 0.6
    steps = plain.trials[0].intermediate_values
    assert (steps[1], steps[3], len(steps)) == (0.2, 0.6, 3)
    assert plain.trials[0].user_attrs["engine"] == "reference"
    assert plain.trials[1].user_attrs["reason"] == "hopeless"
    finished = plain.trials[0]
    assert finished.duration is not None
    assert finished.duration.total_seconds() >= 0
    assert plain.direction == optuna.study.StudyDirection.MAXIMIZE
    assert plain.metric_names == ["accuracy"]
    optuna.trial.Trial(plain, plain.trials[2]._trial_id).report(0.5, 1)


def test_deleting_a_study_takes_our_rows_along(opened: databases.Database, make_study: Make, url: str) -> None:
    """Deleted by plain Optuna (as the dashboard does), a study leaves nothing behind, and its name is free again."""
    study = make_study(trials=3)
    configurations.configure(opened, study, take(opened, study), opened.history(study.study_id))
    optuna.delete_study(study_name=study.name, storage=url)
    for table in (schema.claims, schema.orders):
        rows = opened.read(lambda c, table=table: c.execute(sqlalchemy.select(table)).all())  # type: ignore[misc]
        assert rows == []
    again = make_study(trials=2)
    assert take(opened, again).number == 0


def test_a_second_study_of_a_name_is_refused(opened: databases.Database, make_study: Make) -> None:
    """Creating twice is an error that says how to go on, and changes nothing."""
    make_study(trials=3)
    with pytest.raises(errors.StudyExists, match="study 'quick' exists already; `search run quick` resumes it"):
        make_study(trials=4)
    found = studies.find(opened, "quick")
    assert found is not None
    assert summaries.summary(opened, found).budget == 3


def test_one_worker_and_a_seed_repeat_a_study(opened: databases.Database) -> None:
    """Two studies of one seed get the same configurations, trial by trial; another seed gets others."""
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        text = quick_text(name=name, sampler="tpe", trials=15).replace("seed = 1", f"seed = {seed}")
        study = studies.create(opened, specs.parse(text, "x"))
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            params = configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 1 - float(params["depth"]) / 10, {})
        found.append([t.params for t in summaries.summary(opened, study).trials])
    assert found[0] == found[1] != found[2]


def test_a_deleted_study_is_one_line(opened: databases.Database, make_study: Make, url: str) -> None:
    """Deleted in a dashboard under running workers, a study ends them with an error that says so."""
    study = make_study(trials=3)
    claim = take(opened, study)
    history = opened.history(study.study_id)
    summaries.summary(opened, study, history)
    optuna.delete_study(study_name=study.name, storage=url)
    with pytest.raises(errors.TrialLost):
        claims.report(opened, claim, {1: 0.5}, 1.0, {})
    for call in (
        lambda: take(opened, study),
        lambda: summaries.summary(opened, study, history),
        lambda: orders.extend(opened, study.study_id, add=1),
    ):
        with pytest.raises(errors.StudyNotFound, match="was deleted"):
            call()


def test_a_grid_is_walked_by_all_workers_in_order(opened: databases.Database) -> None:
    """Four workers walk one grid: each point once, none lost, and a budget larger than the grid ends with it."""
    text = quick_text(trials=100, sampler="grid").replace("low = 1, high = 128", "choices = [5, 9]")
    text = text.replace("high = 6", "high = 1").replace("[8, 16, 32]", "[8]")
    study = studies.create(opened, specs.parse(text, "x"))
    assert study.spec.space.size == 3 * 2 * (1 + 3)

    def walk() -> None:
        history = opened.history(study.study_id)
        while isinstance(claim := take(opened, study), claims.Claim):
            configurations.configure(opened, study, claim, history)
            claims.tell(opened, claim, TrialState.COMPLETE, 0.5, {})

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    walked = [study.spec.space.key(trial.params) for trial in summaries.summary(opened, study).trials]
    assert sorted(walked) == sorted(study.spec.space.key(params) for params in study.spec.space.configurations())
    assert take(opened, study) is allocations.NoTrial.EXHAUSTED


def test_one_worker_walks_the_grid_in_the_files_order(opened: databases.Database) -> None:
    """The lab's values come in the order in which the study file lists them."""
    text = (
        quick_text(trials=3, sampler="grid")
        .replace("low = 1, high = 128", "choices = [9, 5]")
        .replace("low = 0", "low = 3")
    )
    study = studies.create(opened, specs.parse(text, "x"))
    history = opened.history(study.study_id)
    got = [configurations.configure(opened, study, take(opened, study), history) for _ in range(3)]
    assert [p["activation"] for p in got] == ["ReLU", "Sigmoid", "GELU"]
    assert {(p["learning_rate"], p["batch_size"], p["width"]) for p in got} == {(1e-4, 9, 8)}
