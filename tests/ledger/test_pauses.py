"""Trials that pause at a rung: who goes on, what is kept of them, how the study ends and is extended."""

import collections
import dataclasses
import pathlib
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy
import optuna
import pytest
import sqlalchemy
from conftest import Server, quick_text
from forgetful import Forgetful
from optuna.trial import TrialState
from pausing import begin, complete, create, reach, text
from trials import ME, SAVED, Clock, state, take

from search import errors
from search.cli import tables
from search.ledger import (
    adoptions,
    allocations,
    amendments,
    backups,
    checkpoints,
    checks,
    claims,
    configurations,
    copies,
    counts,
    digests,
    identities,
    orders,
    pauses,
    presence,
    rivals,
    rungs,
    sentences,
    studies,
    summaries,
)
from search.storage import databases, schema
from search.study import specs
from search.training import records
from search.worker import ownership


def waiting(database: databases.Database, study: studies.Study) -> dict[int, int]:
    """Number to epoch."""
    rows = database.read(lambda connection: connection.execute(pauses.WAITING, {"study": study.study_id}).all())
    return {row.number: row.paused for row in rows}


def exact(database: databases.Database, study: studies.Study) -> None:
    assert [each for each in checks.look(database, study) if not each.holds] == []


class Plain:
    """Asynchronous successive halving in plain Python, promotion form: Li et al. 2018, algorithm 2."""

    def __init__(self, rungs: tuple[int, ...], factor: int, budget: int, maximize: bool) -> None:
        self.rungs, self.factor, self.budget, self.sign = rungs, factor, budget, -1 if maximize else 1
        self.seen: dict[int, list[tuple[float, int]]] = {rung: [] for rung in rungs}
        self.paused: dict[int, int] = {}
        self.made = 0

    def best(self, rung: int) -> list[int]:
        ranked = sorted(self.seen[rung])
        return [number for _, number in ranked[: len(ranked) // self.factor]]

    def report(self, number: int, rung: int, value: float) -> bool:
        self.seen[rung].append((self.sign * value, number))
        goes_on = number in self.best(rung)
        if not goes_on:
            self.paused[number] = rung
        return goes_on

    def take(self, running: int, is_complete: bool) -> int | None:
        """The number to train; None where there is nothing."""
        for rung in reversed(self.rungs):
            for number in self.best(rung):
                if self.paused.get(number) == rung:
                    del self.paused[number]
                    return number
        if self.made < self.budget:
            self.made += 1
            return self.made - 1
        if not running and not is_complete and self.paused:
            furthest = max(self.paused.values())
            number = next(n for _, n in sorted(self.seen[furthest]) if self.paused.get(n) == furthest)
            del self.paused[number]
            return number
        return None


@pytest.mark.parametrize("seed", range(3))
def test_promotions_are_those_of_successive_halving(opened: databases.Database, seed: int) -> None:
    """Several workers, in any order: what is taken, goes on and pauses is what the rule in plain Python says."""
    chance = random.Random(seed)
    direction = "maximize" if seed % 2 else "minimize"
    own = text(trials=30, epochs=10)
    study = studies.create(opened, specs.parse(own, "x"))
    if direction == "minimize":  # of which only objectives of the user's own are
        section = study.spec.study.model_copy(update={"direction": direction})
        study = dataclasses.replace(study, spec=dataclasses.replace(study.spec, study=section))
    plain = Plain((1, 3), 3, 30, direction == "maximize")
    running: list[tuple[claims.Claim, int]] = []
    done = 0
    while True:
        if len(running) < 4 and (not running or chance.random() < 0.6):
            expected = plain.take(len(running), done > 0)
            found = allocations.take(opened, study, ME, presence.Watch(), {claim.owner for claim, _ in running})
            if expected is None:
                assert not isinstance(found, claims.Claim)
                if not running:
                    assert found is allocations.NoTrial.FINISHED
                    break
            else:
                assert isinstance(found, claims.Claim), (found, expected)
                assert found.number == expected
                configurations.configure(opened, study, found, opened.history(study.study_id))
                running.append((found, found.passed))
                continue
        claim, passed = running.pop(chance.randrange(len(running)))
        rung = next((rung for rung in (1, 3) if rung > passed), None)
        value = round(chance.random(), 1)  # some are equal
        if rung is None:
            complete(opened, claim, value)
            done += 1
        elif chance.random() < 0.1:  # hopeless: it competes where it has reported
            pauses.report(opened, study, claim, claims.Progress(1.0, {rung: value}), rung, value)
            plain.seen[rung].append((plain.sign * value, claim.number))
            claims.tell(opened, claim, TrialState.PRUNED, value, {})
        else:
            goes_on = plain.report(claim.number, rung, value)
            assert reach(opened, study, claim, rung, value) == goes_on
            if goes_on:
                running.append((claim, rung))
        assert waiting(opened, study) == plain.paused
    trials = summaries.whole(opened, study).trials
    assert collections.Counter(trial.state for trial in trials) == {
        TrialState.COMPLETE: done,
        TrialState.PRUNED: 30 - done,
    }
    keys = [study.spec.space.key(trial.params) for trial in trials]
    assert len(set(keys)) == len(keys) == 30
    exact(opened, study)


def test_a_paused_trial_waits_with_all_that_it_has(opened: databases.Database) -> None:
    """WAITING for Optuna, with parameters, steps and time; it holds a slot, is no orphan, and anybody may take it."""
    study = create(opened, trials=3)
    first = begin(opened, study)
    params = state(opened, study, 0).params
    assert not reach(opened, study, first, 1, 0.5)
    waiting_now = state(opened, study, 0)
    assert (waiting_now.state, waiting_now.params) == (TrialState.WAITING, params)
    assert waiting_now.intermediate_values == {1: 0.5}
    found = opened.read(lambda connection: counts.read(connection, study.study_id))
    assert (found.of(TrialState.WAITING), found.paused) == (1, 1)
    assert opened.read(lambda connection: counts.spent_seconds(connection, study.study_id)) == 1.0
    assert not reach(opened, study, begin(opened, study), 1, 0.4)
    third = begin(opened, study)
    assert reach(opened, study, third, 1, 0.6)  # of three the best goes on
    complete(opened, third, 0.7)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    exact(opened, study)


def test_at_the_end_they_are_told_with_their_reason(opened: databases.Database) -> None:
    """In one transaction: PRUNED with the last value, the reason and the time; the budget is used up exactly."""
    study = create(opened, trials=4)
    for value in (0.0, 0.1, 0.2, 0.15):
        claim = begin(opened, study)
        if reach(opened, study, claim, 1, value):
            assert not reach(opened, study, claim, 3, value)
    last = begin(opened, study)  # none is complete: the one that came furthest goes on, though it is the first there
    assert (last.number, last.how, last.passed) == (2, "promoted", 3)
    complete(opened, last, 0.9)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    told = state(opened, study, 1)
    assert (told.state, told.value) == (TrialState.PRUNED, 0.1)
    reason = "paused after epoch 1 and not taken up again: 0.1000 is not among the best 1/3 of 4 trials"
    assert told.user_attrs[records.REASON.name] == reason
    assert told.user_attrs[records.SECONDS.name] == 1.0
    assert told.duration.total_seconds() == pytest.approx(1.0, abs=0.01)
    summary = summaries.summary(opened, study)
    assert (summary.done, summary.count(TrialState.PRUNED), summary.is_at_rest) == (4, 3, True)
    exact(opened, study)


def test_an_extension_wakes_them(opened: databases.Database) -> None:
    """Under their numbers, in their slots, with what they have; later promotions take them, the count stays exact."""
    study = create(opened, trials=3)
    for value in (0.1, 0.2, 0.9):
        claim = begin(opened, study)
        if reach(opened, study, claim, 1, value):
            assert claim.number == 2
            assert not reach(opened, study, claim, 3, value)
    complete(opened, begin(opened, study), 0.95)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    before = orders.extend(opened, study, to=3)
    assert (before.wakings, waiting(opened, study)) == (0, {})
    order = orders.extend(opened, study, add=3)
    assert (order.trials, order.wakings) == (6, 1)
    assert waiting(opened, study) == {0: 1, 1: 1}
    woken = state(opened, study, 1)
    assert (woken.state, woken.value, woken.datetime_complete) == (TrialState.WAITING, None, None)
    assert records.REASON.find(woken) is None
    exact(opened, study)
    for _ in range(3):
        assert not reach(opened, study, begin(opened, study), 1, 0.05)
    assert begin(opened, study).number == 1  # the second best of six
    exact(opened, study)


def test_used_up_hours_end_them(opened: databases.Database) -> None:
    """They are told PRUNED with that reason; more hours wake them."""
    study = studies.create(opened, specs.parse(text(trials=9).replace("trials = 9", "trials = 9\nhours = 0.001"), "x"))
    claim = begin(opened, study)
    pauses.report(opened, study, claim, claims.Progress(9.0, {1: 0.5}), 1, 0.5)
    assert not pauses.settle(opened, study, claim, claims.NOTHING, 1, 0.5)
    assert take(opened, study) is allocations.NoTrial.HOURS
    assert "training time of budget.hours is used up" in str(records.REASON.find(state(opened, study, 0)))
    assert orders.extend(opened, study, hours=1.0).wakings == 1
    assert waiting(opened, study) == {0: 1}
    exact(opened, study)


def test_a_sampler_may_decide_who_goes_on(opened: databases.Database) -> None:
    """What it wishes first is taken before a new one, what it wishes besides where none can begin, else all ends."""
    study = create(opened, trials=3)
    for value in (0.1, 0.2):
        claim = begin(opened, study, wish=pauses.Wish())
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        assert not pauses.settle(opened, study, claim, claims.NOTHING, 1, value, goes_on=False)
    again = begin(opened, study, wish=pauses.Wish(first=(7, 0, 1)))
    assert (again.number, again.how) == (0, "promoted")
    complete(opened, again, 0.3)
    new = begin(opened, study, wish=pauses.Wish(rest=(1,)))
    assert new.number == 2
    assert pauses.settle(opened, study, new, claims.NOTHING, 1, 0.0, goes_on=True)
    rest = begin(opened, study, wish=pauses.Wish(rest=(1,)))
    assert rest.number == 1
    assert not pauses.settle(opened, study, rest, claims.NOTHING, 3, 0.2, goes_on=False)
    assert allocations.take(opened, study, ME, presence.Watch(), {new.owner}, pauses.Wish()) is allocations.NoTrial.WAIT
    complete(opened, new, 0.1)
    assert allocations.take(opened, study, ME, presence.Watch(), wish=pauses.Wish()) is allocations.NoTrial.FINISHED
    exact(opened, study)


def test_lost_acknowledgements_pause_nothing_twice(url: str) -> None:
    """A report of a rung, a pause, a promotion, the end and a waking: each is done once though it was sent twice."""
    database = Forgetful(url, patience_seconds=30)

    study = create(database, trials=2)
    claim = begin(database, study)
    database.lossy(lambda: pauses.report(database, study, claim, claims.Progress(1.0, {1: 0.5}), 1, 0.5))
    assert not database.lossy(lambda: pauses.settle(database, study, claim, claims.NOTHING, 1, 0.5))
    assert not reach(database, study, begin(database, study), 1, 0.4)
    again = database.lossy(lambda: take(database, study))
    assert (again.number, again.passed, again.params) == (0, 1, state(database, study, 0).params)
    assert database.lossy(lambda: pauses.settle(database, study, again, claims.NOTHING, 3, 0.5, goes_on=True))
    complete(database, again, 0.6)
    assert database.lossy(lambda: take(database, study)) is allocations.NoTrial.FINISHED
    assert database.lossy(lambda: orders.extend(database, study, add=1)).wakings == 1
    assert waiting(database, study) == {1: 1}
    exact(database, study)
    with pytest.raises(errors.TrialLost):
        pauses.settle(database, study, again, claims.NOTHING, 3, 0.5)


def test_samplers_see_them_as_pruned_there(opened: databases.Database) -> None:
    """With their last value, as Optuna's pruned trials; running again while they run; and pruned or woken later."""
    study = create(opened, trials=3)
    history = opened.history(study.study_id)

    def seen() -> dict[int, tuple[TrialState, dict[int, float]]]:
        shown = history.study(fresh=True).get_trials(deepcopy=False)
        return {trial.number: (trial.state, trial.intermediate_values) for trial in shown}

    first = begin(opened, study)
    assert seen() == {0: (TrialState.RUNNING, {})}
    assert not reach(opened, study, first, 1, 0.5)
    assert seen() == {0: (TrialState.PRUNED, {1: 0.5})}
    for _ in range(2):
        assert not reach(opened, study, begin(opened, study), 1, 0.4)
    again = begin(opened, study)
    assert again.number == 0
    assert seen()[0] == (TrialState.RUNNING, {})
    complete(opened, again, 0.9)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert seen()[1] == (TrialState.PRUNED, {1: 0.4})
    orders.extend(opened, study, add=3)
    assert seen()[1] == (TrialState.PRUNED, {1: 0.4})
    for _ in range(3):
        assert not reach(opened, study, begin(opened, study), 1, 0.1)
    assert begin(opened, study).number == 1
    assert seen()[1] == (TrialState.RUNNING, {})


def test_a_plain_worker_may_take_one(opened: databases.Database) -> None:
    """Optuna pops a paused trial as any that waits: it pauses no more, and nothing is counted twice."""
    study = create(opened, trials=2)
    assert not reach(opened, study, begin(opened, study), 1, 0.5)
    plain = optuna.load_study(study_name=study.name, storage=optuna.storages.RDBStorage(opened.url))
    popped = plain.ask()
    assert (popped.number, waiting(opened, study)) == (0, {})
    exact(opened, study)
    claim = begin(opened, study)
    assert claim.number == 1
    popped.report(0.5, 1)
    popped.report(0.6, 2)
    plain.tell(popped, 0.7)
    assert reach(opened, study, claim, 1, 0.4) is False
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert summaries.summary(opened, study).done == 2
    exact(opened, study)


def test_only_the_best_keep_their_checkpoints(opened: databases.Database) -> None:
    """As many as the file says: the furthest first, of these the best; through the end, for whoever is woken."""
    study = create(opened, trials=5, more="checkpoints = 2\n")
    for value in (0.1, 0.3, 0.2, 0.05):
        claim = begin(opened, study, wish=pauses.Wish())
        saved = dataclasses.replace(SAVED, epoch=1)
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        assert not pauses.settle(opened, study, claim, claims.Progress(saved=saved), 1, value, goes_on=False)
    kept = sqlalchemy.select(schema.checkpoints.c.trial_id).order_by(schema.checkpoints.c.trial_id)

    def numbers() -> list[int]:
        ids = opened.read(lambda connection: connection.execute(kept).scalars().all())
        return [trial.number for trial in summaries.whole(opened, study).trials if trial._trial_id in ids]

    assert numbers() == [1, 2]
    best = begin(opened, study)
    assert (best.number, best.saved is not None) == (1, True)
    complete(opened, best, 0.5)
    complete(opened, begin(opened, study), 0.4)  # a new one, which reported no rung
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert numbers() == [2]
    orders.extend(opened, study, add=1)
    assert (numbers(), waiting(opened, study)) == ([2], {0: 1, 2: 1, 3: 1})
    exact(opened, study)


def test_a_promoted_trial_is_adopted_like_any_other(opened: databases.Database) -> None:
    """What it reported up to its rung stands, though no checkpoint is left; it is not judged there again."""
    study = create(opened, trials=3)
    for value in (0.1, 0.2, 0.3):
        claim = begin(opened, study)
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        assert not pauses.settle(opened, study, claim, claims.NOTHING, 1, value, goes_on=False)
    promoted = begin(opened, study)
    claims.report(opened, promoted, {2: 0.5}, 2.0, {})
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert (adopted.number, adopted.how, adopted.saved, adopted.passed, adopted.stands) == (2, "adopted", None, 1, 1)
    assert state(opened, study, 2).intermediate_values == {1: 0.3}


def test_what_is_stored_stands(opened: databases.Database) -> None:
    """A trial that is trained again reports its first values again: they are not written twice, nor changed."""
    study = create(opened, trials=3)
    for value in (0.1, 0.2, 0.3):
        claim = begin(opened, study)
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        assert not pauses.settle(opened, study, claim, claims.NOTHING, 1, value, goes_on=False)
    trial = ownership.OwnedTrial(opened, study, begin(opened, study), threading.Event())
    trial.begin(state(opened, study, 2).params)
    trial.report(1, 0.7, {})
    assert trial.should_prune() is None
    trial.report(2, 0.8, {})
    trial.report(3, 0.9, {})
    with pytest.raises(errors.Paused):
        trial.should_prune()
    assert state(opened, study, 2).intermediate_values == {1: 0.3, 2: 0.8, 3: 0.9}
    assert waiting(opened, study) == {0: 1, 1: 1, 2: 3}


@pytest.mark.parametrize("way", ["backup", "copy"])
def test_a_study_comes_back_with_its_pauses(opened: databases.Database, tmp_path: pathlib.Path, way: str) -> None:
    """A backup and a copy hold what trials had at their rungs, and go on as the study would."""
    study = create(opened, trials=4)
    for value in (0.1, 0.3, 0.2):
        claim = begin(opened, study)
        pauses.report(opened, study, claim, claims.Progress(1.0, {1: value}), 1, value)
        assert not pauses.settle(opened, study, claim, claims.NOTHING, 1, value, goes_on=False)
    if way == "backup":
        backups.write(opened, study, tmp_path / "study.db")
        database = databases.Database(f"sqlite:///{tmp_path}/other.db")
        again = backups.read(database, tmp_path / "study.db")
    else:
        database, again = opened, copies.copy(opened, studies.load_stored(opened, study.name), "again")
    assert waiting(database, again) == {0: 1, 1: 1, 2: 1}
    promoted = begin(database, again)
    assert (promoted.number, promoted.passed) == (1, 1)
    assert not reach(database, again, begin(database, again), 1, 0.25)
    exact(database, again)


def test_a_limit_ends_what_paused_and_lifted_it_wakes(opened: databases.Database) -> None:
    """A target: told PRUNED with the reason, none of them finished for patience; another target wakes them."""
    study = studies.create(opened, specs.parse(text() + "target = 0.8\npatience = 3\n", "x"))
    first, second = begin(opened, study), begin(opened, study)
    assert not reach(opened, study, first, 1, 0.2)
    complete(opened, second, 0.85)
    assert take(opened, study) is allocations.NoTrial.TARGET
    found = summaries.summary(opened, study)
    assert (found.count(TrialState.PRUNED), found.standing.unimproved) == (1, 0)
    assert "a trial has reached budget.target" in state(opened, study, 0).user_attrs[records.REASON.name]
    orders.extend(opened, study, target=0.9)
    assert waiting(opened, study) == {0: 1}
    assert isinstance(take(opened, study), claims.Claim)
    exact(opened, study)


def test_memories_of_ended_trials_go_with_a_waking(opened: databases.Database) -> None:
    """A pruner's, and an identity's, under which the dashboard keeps its own: a woken trial is no ended one."""
    study = create(opened, trials=3)
    first = [begin(opened, study) for _ in range(3)]
    for claim, value in zip(first, (0.1, 0.2, 0.3), strict=True):
        assert reach(opened, study, claim, 1, value) == (claim.number == 2)
    complete(opened, first[2], 0.5)
    assert take(opened, study) is allocations.NoTrial.FINISHED
    known = rivals.of(opened, study)

    def seen() -> set[int]:
        return set(opened.read(lambda connection: known.others(connection, -1, 1)).numbers.tolist())

    assert seen() == {0, 1, 2}
    before = identities.of_studies(opened, [study.study_id])
    orders.extend(opened, study, add=1)
    assert seen() == {2}
    after = identities.of_studies(opened, [study.study_id])
    assert before[study.study_id] == (*after[study.study_id][:3], 0)
    assert after[study.study_id][3] == 1


def test_what_is_said_of_them(opened: databases.Database) -> None:
    """Counts, JSON, a sentence, a forecast that does not take them for trials to come; with all trials, the epoch."""
    study = create(opened, trials=9)
    for value in (0.1, 0.2, 0.3):
        reach(opened, study, begin(opened, study), 1, value)
    summary = summaries.whole(opened, study)
    assert (summary.paused, summary.pauses, summary.paused_after) == (2, {1: 2}, {0: 1, 1: 1})
    assert sentences.state_counts(summary) == "1 running, 2 waiting (2 paused)"
    assert sentences.paused(summary).startswith("paused: 2 after epoch 1; ")
    assert summary.as_json()["paused"] == 2
    assert summary.as_json()["trials"]["waiting"] == 2
    assert tables.states(summary.trials, summary.paused_after).cells == ["paused after 1", "paused after 1", "running"]
    (digest,) = opened.read(lambda connection: digests.read(connection, [study])).values()
    assert digest.paused == 2


def test_an_amended_study_knows_its_new_rungs(opened: databases.Database) -> None:
    """What trials have stored at steps that are rungs now counts there; one that paused at another goes on by it."""
    study = studies.create(opened, specs.parse(quick_text(trials=9, epochs=10, hopeless="false"), "x"))
    for value in (0.1, 0.2, 0.3, 0.4):
        claim = begin(opened, study)
        claims.tell(opened, claim, TrialState.COMPLETE, value, {}, steps={1: value, 2: value, 3: value})
    amended = specs.parse(text(trials=9), "x")
    amendments.amend(opened, study, amended)
    study = studies.load(opened, study.name)
    claim = begin(opened, study)
    assert not reach(opened, study, claim, 1, 0.25)
    assert opened.read(lambda c: [rungs.count(c, study.study_id, rung) for rung in (1, 2, 3)]) == [5, 0, 4]
    amendments.amend(opened, study, specs.parse(text(trials=9, more="reduction_factor = 2\nmin_resource = 2\n"), "x"))
    study = studies.load(opened, study.name)
    assert opened.read(lambda c: [rungs.count(c, study.study_id, rung) for rung in (1, 2, 3, 4)]) == [5, 4, 4, 0]
    assert begin(opened, study).number == 5  # of five at epoch 1 the third
    assert reach(opened, study, begin(opened, study), 2, 0.5)
    plain = specs.parse(quick_text(trials=9, epochs=10, hopeless="false"), "x")
    amendments.amend(opened, study, plain)
    study = studies.load(opened, study.name)
    assert begin(opened, study).number == 4  # where nothing pauses it goes on
    exact(opened, study)


def under_lock(database: databases.Database, call: Callable[[], Any]) -> list[str]:
    """The statements that are sent while the study's lock is held, the commit as one."""
    found: list[str] = []
    held: list[bool] = []

    def sent(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if held:
            found.append(statement)
        if "FOR UPDATE" in statement and "FROM studies" in statement:
            held.append(True)

    def committed(_connection: Any) -> None:
        if held:
            found.append("commit")
            held.clear()

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", sent)
    sqlalchemy.event.listen(database.engine, "commit", committed)
    try:
        call()
    finally:
        sqlalchemy.event.remove(database.engine, "before_cursor_execute", sent)
        sqlalchemy.event.remove(database.engine, "commit", committed)
    return found


def test_nobody_waits_for_a_checkpoint(postgres: Server) -> None:
    """At a rung, a pause and a promotion the study's lock is held for a few round trips, and for no megabytes."""
    database = databases.Database(postgres.new_database(postgres.prepared))
    study, saved = create(database, trials=5), dataclasses.replace(SAVED, epoch=1)
    for value, goes_on in ((0.1, False), (0.2, False), (0.3, False), (0.4, True)):
        claim = begin(database, study, wish=pauses.Wish())
        whole = claims.Progress(1.0, {1: value}, {"note": 1}, saved)
        at_rung = under_lock(database, lambda: pauses.report(database, study, claim, whole, 1, value))  # noqa: B023
        assert len(at_rung) == 4
        more = claims.Progress(2.0, saved=saved)
        how = (database, study, claim, more, 1, value)
        ending = under_lock(database, lambda: pauses.settle(*how, goes_on=goes_on))  # noqa: B023
        assert len(ending) == (2 if goes_on else 4)
        sent = at_rung + ending
        assert not [each for each in sent if "INSERT INTO search_checkpoints" in each or "user_attributes" in each]
        assert state(database, study, claim.number).user_attrs["note"] == 1
    complete(database, claim, 0.4)
    found: list[claims.Claim] = []
    taking = under_lock(database, lambda: found.append(begin(database, study, wish=pauses.Wish((2,)))))
    assert (found[0].number, found[0].how, found[0].saved and found[0].saved.epoch) == (2, "promoted", 1)
    assert not [each for each in taking if "search_checkpoints" in each or "trial_params" in each]
    exact(database, study)
    database.close()


def test_a_rung_is_noted_before_the_checkpoint_behind_it(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies between them leaves a trial that is compared, and is trained up to the rung once more."""
    study, saved = create(opened, trials=3), dataclasses.replace(SAVED, epoch=1)
    claim = begin(opened, study)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            pauses.report(opened, study, claim, claims.Progress(1.0, {1: 0.5}, {}, saved), 1, 0.5)
    assert opened.read(lambda connection: rungs.count(connection, study.study_id, 1)) == 1
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert (adopted.number, adopted.saved, adopted.stands) == (0, None, 1)
    assert state(opened, study, 0).intermediate_values == {1: 0.5}
    exact(opened, study)


def test_a_claim_is_whole_though_its_worker_dies_in_it(opened: databases.Database) -> None:
    """Between the claim and what it goes on from nothing is lost: whoever adopts the trial finds its checkpoint."""
    study, saved = create(opened, trials=1), dataclasses.replace(SAVED, epoch=1)
    claim = begin(opened, study)
    pauses.report(opened, study, claim, claims.Progress(1.0, {1: 0.5}), 1, 0.5)
    assert not pauses.settle(opened, study, claim, claims.Progress(saved=saved), 1, 0.5, goes_on=False)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adoptions, "take_up", dies)
        with pytest.raises(KeyboardInterrupt):
            take(opened, study)
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert (adopted.number, adopted.how, adopted.saved.epoch, adopted.stands) == (0, "adopted", 1, 1)
    assert all(map(numpy.array_equal, adopted.saved.weights, saved.weights))
    assert adopted.params == state(opened, study, 0).params
    exact(opened, study)


def test_a_trial_that_is_lost_in_the_claim_is_passed_by(
    opened: databases.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another has adopted it before its claim was through: nothing of it is written."""
    study = create(opened, trials=1)
    claim = begin(opened, study)
    claims.hand_over(opened, claim, saved=dataclasses.replace(SAVED, epoch=1))
    take_up, taken = adoptions.take_up, []

    def late(*given: Any) -> Any:
        if not taken:
            taken.append(True)
            taken.append(take(opened, study, watch=Clock(opened, study).watch))
        return take_up(*given)

    monkeypatch.setattr(adoptions, "take_up", late)
    with pytest.raises(errors.TrialLost):
        take(opened, study)
    assert isinstance(taken[1], claims.Claim)
    assert claims.beat(opened, [(taken[1], 1.0)]) == []
    exact(opened, study)
