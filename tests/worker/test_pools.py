"""Workers that serve any study: how they choose, what they pass by, and that every budget stays exact."""

import logging
import pathlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import mine
import optuna
import pytest
from conftest import quick_text
from optuna.trial import TrialState
from processes import until
from trials import ME, Make, begin, fail, succeed, take

from search import errors
from search.ledger import allocations, checkpoint_files, lives, orders, rosters, studies, summaries
from search.storage import databases, statements, stores
from search.study import specs
from search.worker import desks, loops, pools, refusals
from search.worker.settings import Settings

MODULE = """
import time

def quick(trial):
    return trial.params["x"]

def slow(trial):
    for step in range(20):
        time.sleep(0.05)
        yield 0.5
"""


def worker(database: databases.Database, *match: str, **how: Any) -> pools.Worker:
    stop = how.pop("stop", threading.Event())
    life = {name: how.pop(name) for name in ("stay", "health_file") if name in how}
    return pools.Worker(database, stop, Settings(**how), match=match, **life)


@pytest.fixture
def own(opened: databases.Database, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Creates a study with a function of the user's own as its objective."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)

    def make(name: str, function: str = "quick", trials: int = 2) -> studies.Study:
        text = mine.text(f"mine:{function}", trials=trials).replace('"own"', f'"{name}"')
        return studies.create(opened, specs.parse(text, "own.toml"))

    return make


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The studies of the trials that are begun, one after the other."""
    begun: list[str] = []
    start = desks.Desk.start

    def seen(desk: desks.Desk, *given: Any) -> None:
        begun.append(desk.study.name)
        start(desk, *given)

    monkeypatch.setattr(desks.Desk, "start", seen)
    return begun


def done(database: databases.Database, study: studies.Study) -> list[TrialState]:
    return [trial.state for trial in summaries.whole(database, study).trials]


@pytest.fixture
def staying(opened: databases.Database) -> Iterator[Callable[..., futures.Future[Any]]]:
    """Starts workers that stay, in threads; they are asked to stop at the end."""
    stop = threading.Event()
    with futures.ThreadPoolExecutor() as threads_:

        def start(*match: str, **how: Any) -> futures.Future[Any]:
            return threads_.submit(worker(opened, *match, stay=True, stop=stop, **how).run)

        yield start
        stop.set()


def test_two_workers_meet_the_budget_of_three_studies_exactly(opened: databases.Database, make_study: Make) -> None:
    """Each study ends with as many trials as were asked for, no configuration twice, and nobody in its roster."""
    made = [make_study(name=name, trials=trials, epochs=1) for name, trials in (("a", 5), ("b", 9), ("c", 2))]
    with futures.ThreadPoolExecutor() as threads_:
        ends = list(threads_.map(lambda _: worker(opened).run(), range(2)))
    assert ends == [allocations.NoTrial.FINISHED] * 2
    for study, trials in zip(made, (5, 9, 2), strict=True):
        found = summaries.whole(opened, study).trials
        assert [trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in found] == [True] * trials
        assert len({tuple(sorted(trial.params.items())) for trial in found}) == trials
        assert rosters.read(opened, study.study_id).members == ()


def test_a_long_study_does_not_starve_a_short_one_that_comes_later(
    opened: databases.Database, make_study: Make, order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in the middle of the long one's trials, though it was created after ten of them."""
    make_study(name="long", trials=40, epochs=1)
    start = desks.Desk.start

    def create(desk: desks.Desk, *given: Any) -> None:
        start(desk, *given)
        if len(order) == 10:
            make_study(name="short", trials=3, epochs=1)

    monkeypatch.setattr(desks.Desk, "start", create)
    assert worker(opened).run() is allocations.NoTrial.FINISHED
    assert (order.count("long"), order.count("short")) == (40, 3)
    assert "short" in order[10:14]
    assert max(at for at, name in enumerate(order) if name == "short") < 35


def test_a_worker_goes_where_nobody_is(opened: databases.Database, make_study: Make, order: list[str]) -> None:
    """Of two studies first to the one for which no other worker trains, wherever that one is."""
    crowded, lonely = make_study(name="crowded", trials=3), make_study(name="lonely", trials=1)
    begin(opened, crowded, ME)
    stop = threading.Event()
    with futures.ThreadPoolExecutor() as threads_:
        threads_.submit(worker(opened, stop=stop).run)
        until(lambda: len(order) == 3)
        stop.set()
    assert order == ["lonely", "crowded", "crowded"]
    assert len(done(opened, lonely)) == 1


def test_only_studies_whose_names_fit_are_served(opened: databases.Database, make_study: Make) -> None:
    """Any of several shell patterns will do; case counts."""
    made = {name: make_study(name=name, trials=1) for name in ("lab-1", "lab-2", "depth", "Lab-3")}
    worker(opened, "lab-?", "dep*").run()
    assert {name for name, study in made.items() if done(opened, study)} == {"lab-1", "lab-2", "depth"}
    with pytest.raises(errors.StudyNotFound, match=r"no study whose name fits 'x\*' or 'y' in .*; --stay waits"):
        worker(opened, "x*", "y").run()


def test_paused_and_stopped_studies_and_other_tools_are_passed_by(opened: databases.Database, make_study: Make) -> None:
    """The worker ends with the others' work; what is let go on has its trials from the next one."""
    paused, stopped, active = (make_study(name=name, trials=1) for name in ("paused", "stopped", "active"))
    orders.set_state(opened, paused, orders.StudyState.PAUSED)
    orders.set_state(opened, stopped, orders.StudyState.STOPPED)
    optuna.create_study(study_name="foreign", storage=opened.optuna).enqueue_trial({"x": 1})
    assert worker(opened).run() is allocations.NoTrial.FINISHED
    assert [len(done(opened, each)) for each in (paused, stopped, active)] == [0, 0, 1]
    orders.set_state(opened, paused, orders.StudyState.ACTIVE)
    worker(opened).run()
    assert len(done(opened, paused)) == 1


def passed_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "event=passed-by" in record.getMessage()]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_study_that_is_not_allowed_here_is_passed_by(
    opened: databases.Database, make_study: Make, own: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in one line, however long the worker works on others, and is no failure: somebody wanted it so."""
    own("own", trials=3)
    other = make_study(name="other", trials=4)
    with caplog.at_level(logging.INFO, "search"):
        assert worker(opened, allow_objectives="none").run() is allocations.NoTrial.FINISHED
    assert len(done(opened, other)) == 4
    (line,) = passed_by(caplog)
    assert line.startswith("study='own' event=passed-by reason=")
    assert "SEARCH_ALLOW_OBJECTIVES" in line


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_cannot_be_trained_here_is_passed_by_and_told_at_the_end(
    opened: databases.Database,
    make_study: Make,
    own: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An objective that is not there, a file of another version: each is one line, and all the rest is done."""
    own("no-function", "nothing")
    other = make_study(name="other", trials=2)
    unreadable = make_study(name="unreadable", trials=1)
    optuna.load_study(study_name="unreadable", storage=opened.optuna).set_user_attr(
        studies.STUDY_FILE, unreadable.spec.text.replace("[budget]", "[budgets]")
    )
    with caplog.at_level(logging.INFO, "search"), pytest.raises(errors.WorkFailed) as failed:
        worker(opened).run()
    assert failed.value.exit_code == 1
    assert str(failed.value).startswith(
        "trials are left that could not be trained here, of 'no-function', 'unreadable'; "
    )
    assert len(done(opened, other)) == 2
    assert len(passed_by(caplog)) == 2


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_was_passed_by_is_tried_again_later(
    opened: databases.Database,
    own: Callable[..., Any],
    staying: Callable[..., Any],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without being said again; once it can be trained here it is."""
    monkeypatch.setattr(refusals, "REFUSED_SECONDS", 0.3)
    study = own("late", "late", trials=1)
    with caplog.at_level(logging.INFO, "search"):
        staying()
        until(lambda: passed_by(caplog))
        time.sleep(1.5)
        (tmp_path / "mine.py").write_text(MODULE.replace("def quick", "def late"))
        until(lambda: TrialState.COMPLETE in done(opened, study))
    assert len(passed_by(caplog)) == 1


def test_one_that_stays_takes_up_a_study_that_is_created_later(
    opened: databases.Database, make_study: Make, staying: Callable[..., Any]
) -> None:
    """And an extension, and one whose name did not fit before it was renamed."""
    staying("new*")
    time.sleep(0.5)
    study = make_study(name="new", trials=1)
    until(lambda: len(done(opened, study)) == 1)
    until(lambda: summaries.summary(opened, study).done == 1)
    orders.extend(opened, study, add=2)
    until(lambda: summaries.summary(opened, study).done == 3)
    other = make_study(name="other", trials=1)
    stored = studies.stored(opened, "other")
    assert stored is not None
    lives.rename(opened, stored, "newer")
    until(lambda: summaries.summary(opened, other).done == 1)


def test_a_study_is_deleted_without_waiting_for_the_pool(
    opened: databases.Database, make_study: Make, staying: Callable[..., Any]
) -> None:
    """An idle worker is in no roster, and that a study goes is nothing bad; its successor is served."""
    study = make_study(name="first", trials=1)
    running = staying()
    until(lambda: summaries.summary(opened, study).done == 1)
    until(lambda: not rosters.read(opened, study.study_id).members, 5)
    stored = studies.stored(opened, "first")
    assert stored is not None
    lives.delete(opened, stored)
    successor = make_study(name="first", trials=1)
    until(lambda: summaries.summary(opened, successor).done == 1)
    assert not running.done()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_study_that_is_torn_away_takes_only_its_trial(
    opened: databases.Database, make_study: Make, own: Callable[..., Any], order: list[str]
) -> None:
    """Deleted by another tool while its trial runs: the worker goes on with the others."""
    torn, other = own("torn", "slow", trials=2), make_study(name="other", trials=2)
    with futures.ThreadPoolExecutor() as threads_:
        running = threads_.submit(worker(opened, grace_seconds=0.3).run)
        until(lambda: rosters.read(opened, torn.study_id).members and TrialState.RUNNING in done(opened, torn))
        opened.write(lambda connection: statements.delete_study(connection, torn.study_id))
    assert running.result() is allocations.NoTrial.FINISHED
    assert (order.count("torn"), len(done(opened, other))) == (1, 2)


def test_few_studies_are_kept_open_and_none_is_loaded_for_each_trial(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch, order: list[str]
) -> None:
    """Two that alternate are opened once each; of seven no more are open at once than may be kept."""
    opened_: list[str] = []
    most = 0
    new = desks.Desks._new

    def seen(kept: desks.Desks, offer: Any, busy: Any) -> Any:
        nonlocal most
        opened_.append(offer.name)
        found = new(kept, offer, busy)
        most = max(most, len(kept._open))
        return found

    monkeypatch.setattr(desks.Desks, "_new", seen)
    for name in ("a", "b"):
        make_study(name=name, trials=6, epochs=1)
    worker(opened).run()
    assert sorted(opened_) == ["a", "b"]
    assert order[:12] != sorted(order[:12])
    made = [make_study(name=f"s{number}", trials=2, epochs=1) for number in range(desks.KEPT + 3)]
    worker(opened).run()
    assert [len(done(opened, study)) for study in made] == [2] * len(made)
    assert most == desks.KEPT
    monkeypatch.setattr(desks, "SPARE_BYTES", 1 << 60)  # memory is short
    most = 0
    for study in made[:2]:
        orders.extend(opened, study, add=1)
    worker(opened).run()
    assert most == 1


def test_with_many_studies_that_are_dear_to_open_none_is_opened_twice(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker stays with those that it has, for ten times as long as opening one took, before it closes one."""
    seen: list[str] = []
    new = desks.Desks._new

    def slow(kept: desks.Desks, offer: Any, busy: Any) -> Any:
        seen.append(offer.name)
        found = new(kept, offer, busy)
        found.seconds = 10.0
        return found

    monkeypatch.setattr(desks.Desks, "_new", slow)
    made = [make_study(name=f"s{number}", trials=3, epochs=1) for number in range(desks.KEPT + 2)]
    worker(opened).run()
    assert [len(done(opened, study)) for study in made] == [3] * len(made)
    assert sorted(seen) == sorted(study.name for study in made)


def test_a_study_that_can_do_no_more_is_asked_once(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many trials of others follow: its answer stands until it is changed."""
    failed, other = make_study(name="failed", more="max_failures = 0"), make_study(name="other", trials=6, epochs=1)
    fail(opened, begin(opened, failed), "for a reason")
    asked: list[str] = []
    ask = desks.Desk.take

    def seen(desk: desks.Desk, *given: Any) -> Any:
        asked.append(desk.study.name)
        return ask(desk, *given)

    monkeypatch.setattr(desks.Desk, "take", seen)
    assert worker(opened).run() is allocations.NoTrial.FINISHED
    assert (asked.count("failed"), asked.count("other"), len(done(opened, other))) == (1, 6, 6)


def test_what_has_ended_is_not_opened(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study at its target, or with its whole space tried, has trials left in its budget: nothing is loaded for it."""
    one = specs.parse(mine.text("builtins:len", trials=9, space="x = [1]"), "one.toml")
    for study in (make_study(trials=9, more="target = 0.0"), studies.create(opened, one)):
        succeed(opened, begin(opened, study))

    def never(*_: object) -> None:
        raise AssertionError("it is opened")

    monkeypatch.setattr(desks.Desks, "at", never)
    assert worker(opened).run() is allocations.NoTrial.FINISHED


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_an_amended_study_is_followed(
    opened: databases.Database, make_study: Make, staying: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the next trial on it is worked on as its file says now, by a worker that had it open."""
    from search.ledger import amendments

    study = make_study(trials=1)
    staying()
    until(lambda: summaries.summary(opened, study).done == 1)
    amended = specs.parse(quick_text(trials=3, hopeless="false"), "quick.toml")
    texts: list[str] = []
    start = desks.Desk.start

    def seen(desk: desks.Desk, *given: Any) -> None:
        texts.append(desk.study.spec.text)
        start(desk, *given)

    monkeypatch.setattr(desks.Desk, "start", seen)
    amendments.amend(opened, study, amended)
    until(lambda: summaries.summary(opened, study).done == 3)
    assert ["hopeless = false" in text for text in texts] == [True, True]


def test_slots_train_trials_of_several_studies_at_once(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker with three slots is in three rosters, with a trial each, and every budget is met."""
    made = [make_study(name=name, trials=3, epochs=2) for name in "abc"]
    seen: set[int] = set()
    train = desks.Desk._train

    def slowly(desk: desks.Desk, *given: Any) -> None:
        until(lambda: len(seen) == 3 or seen.add(desk.study.study_id))
        train(desk, *given)

    monkeypatch.setattr(desks.Desk, "_train", slowly)
    assert worker(opened, slots=3).run() is allocations.NoTrial.FINISHED
    assert [summaries.summary(opened, study).done for study in made] == [3] * 3


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_worker_that_is_asked_to_stop_hands_its_trial_over(
    opened: databases.Database, own: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    """A worker of that study alone finishes it, under its number; the health file was touched meanwhile."""
    study, stop, beat = own("own", "slow", trials=1), threading.Event(), tmp_path / "beat"
    with futures.ThreadPoolExecutor() as threads_:
        running = threads_.submit(worker(opened, stop=stop, health_file=beat).run)
        until(lambda: TrialState.RUNNING in done(opened, study) and beat.exists())
        stop.set()
    assert running.result() is None
    assert done(opened, study) == [TrialState.WAITING]
    assert rosters.read(opened, study.study_id).members == ()

    def ends(trial: Any) -> Any:
        from search.training.objectives import Result

        return Result(TrialState.COMPLETE, 0.5, {})

    assert loops.Worker(opened, study, ends, threading.Event()).run() is allocations.NoTrial.FINISHED
    assert done(opened, study) == [TrialState.COMPLETE]


def test_a_study_that_is_stopped_at_once_keeps_its_trials(
    opened: databases.Database, own: Callable[..., Any], make_study: Make
) -> None:
    """They are handed over in the middle, and the worker goes on with the other studies."""
    study, other = own("own", "slow", trials=2), make_study(name="other", trials=2, epochs=1)
    with futures.ThreadPoolExecutor() as threads_:
        running = threads_.submit(worker(opened, grace_seconds=0.3).run)
        until(lambda: TrialState.RUNNING in done(opened, study))
        orders.set_state(opened, study, orders.StudyState.STOPPED, at_once=True)
    assert running.result() is allocations.NoTrial.FINISHED
    assert done(opened, study) == [TrialState.WAITING]
    assert len(done(opened, other)) == 2


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_what_killed_workers_left_in_a_store_goes_when_its_study_is_closed(
    opened: databases.Database, own: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    """Checkpoints that no row names, as at the end of a worker of that study alone."""
    study = own("own", trials=1)
    store = stores.Store(stores.location(study.spec.trial.store, opened.url, None))
    (tmp_path / "left").write_bytes(b"half a checkpoint")
    store.put(f"{checkpoint_files.CHECKPOINTS}/{study.token}/0/1-left", tmp_path / "left")
    assert len(store.names(checkpoint_files.CHECKPOINTS)) == 1
    worker(opened).run()
    assert store.names(checkpoint_files.CHECKPOINTS) == []


def test_an_orphan_is_adopted_while_another_study_is_trained(
    opened: databases.Database, make_study: Make, order: list[str]
) -> None:
    """The beats of all studies are watched: a trial whose worker is gone is taken when the grace is over."""
    orphaned = make_study(name="orphaned", trials=1)
    take(opened, orphaned)  # by one that never beats, on another host
    with opened.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE search_claims SET grace_seconds = 0.5")
    assert worker(opened, grace_seconds=0.5).run() is allocations.NoTrial.FINISHED
    assert [state in (TrialState.COMPLETE, TrialState.PRUNED) for state in done(opened, orphaned)] == [True]
    assert order == ["orphaned"]


def test_lines_of_the_log_name_the_study(
    opened: databases.Database, make_study: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """Of trials a worker says the numbers, which several studies have; a worker of one study says them as ever."""
    make_study(name="50%", trials=1)
    with caplog.at_level(logging.INFO, "search"):
        worker(opened).run()
    said = [record.getMessage() for record in caplog.records]
    assert [line for line in said if line.startswith("study='50%' trial=0 event=created ")]
    assert [line for line in said if "trial=0" in line and "study='50%'" not in line] == []
    assert logging.getLogger("search").filters == []


def test_a_failing_heart_ends_the_worker(
    opened: databases.Database, own: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trial waits for others, as that of a worker of one study."""
    study = own("own", "slow", trials=1)

    def fails(*_: object) -> None:
        if TrialState.RUNNING in done(opened, study):
            raise TypeError("odd")

    monkeypatch.setattr("search.worker.seats.Seats.beat", fails)
    with pytest.raises(errors.WorkFailed, match="the heart of worker .* failed, so it ends: TypeError: odd"):
        worker(opened, grace_seconds=0.3).run()
    assert done(opened, study) == [TrialState.WAITING]
