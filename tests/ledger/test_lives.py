"""A study deleted or renamed as a whole, whoever else is at it."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sqlalchemy
from conftest import Server, quick_text
from forgetful import Forgetful
from optuna.trial import TrialState
from sqlalchemy import exc
from trials import GONE, SAVED, Make, take

from search import errors
from search.ledger import claims, configurations, copies, lives, orders, presence, queues, rosters, studies, summaries
from search.storage import databases, schema, statements
from search.study import specs

HERE = presence.Identity.this()


def row(database: databases.Database, name: str = "quick") -> studies.Stored:
    found = studies.stored(database, name)
    assert found is not None
    return found


def rows(database: databases.Database) -> dict[str, int]:
    """How many rows the tables have that belong to studies; empty ones are left out."""
    optunas = schema.studies.metadata.sorted_tables
    tables = [t for t in (*optunas, *schema.ours.sorted_tables) if {"study_id", "trial_id"} & {*t.c.keys()}]

    def count(connection: sqlalchemy.Connection) -> dict[str, int]:
        counted = {t.name: sqlalchemy.select(sqlalchemy.func.count()).select_from(t) for t in tables}
        return {name: connection.execute(query).scalar_one() for name, query in counted.items()}

    return {name: number for name, number in database.read(count).items() if number}


def fill(database: databases.Database, study: studies.Study) -> claims.Claim:
    """Gives a study a row in every table; returns a trial that runs."""
    history = database.history(study.study_id)
    done, running = take(database, study, GONE), take(database, study, GONE)
    for claim in (done, running):
        configurations.configure(database, study, claim, history)
        claims.report(database, claim, {1: 0.5}, 1.0, {"avg_losses": [1.0]}, SAVED)
    claims.tell(database, done, TrialState.COMPLETE, 0.5, {})
    queues.enqueue(database, study, {"depth": 0})
    plain = optuna.load_study(study_name=study.name, storage=database.optuna)
    plain.add_trial(optuna.trial.create_trial(value=0.1))
    added = {"trial_id": plain.trials[-1]._trial_id, "study_id": study.study_id, "is_known": True}
    database.write(lambda c: statements.put(c, schema.added, ("trial_id",), [added]))
    rosters.Entry(study, dataclasses.replace(GONE, pid=3), "cpu", 0.0).show(database)
    return running


def test_nothing_is_left_of_a_deleted_study(opened: databases.Database, make_study: Make) -> None:
    """All its rows go, in Optuna's tables and in ours, and no row of another study does."""
    other = make_study(name="other")
    fill(opened, other)
    before = rows(opened)
    assert {"search_added", "search_workers", "search_checkpoints", "trial_values"} <= set(before)
    fill(opened, make_study(trials=9))
    study = row(opened)
    assert lives.content(opened, study) == lives.Content(4, 2.0)
    lives.delete(opened, study)
    assert rows(opened) == before
    with pytest.raises(errors.StudyNotFound, match="study 'quick' is not there any more"):
        lives.delete(opened, study)
    assert summaries.whole(opened, other).done == 1  # the other one was added


def test_a_study_of_another_tool_is_deleted_too(opened: databases.Database) -> None:
    """One that holds no study file, and nothing of ours."""
    plain = optuna.create_study(study_name="plain", storage=opened.optuna)
    plain.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    lives.delete(opened, row(opened, "plain"))
    assert rows(opened) == {}


@pytest.mark.parametrize("what", ["delete", "rename", "copy"])
def test_not_while_workers_are_at_it(opened: databases.Database, make_study: Make, what: str) -> None:
    """Refused while an active study has workers alive, or any of them trains; idle ones of a paused study may be."""
    study = make_study()
    calls: dict[str, Callable[[], Any]] = {
        "delete": lambda: lives.delete(opened, row(opened)),
        "rename": lambda: lives.rename(opened, row(opened), "new"),
        "copy": lambda: copies.copy(opened, row(opened), "new"),
    }
    entry = rosters.Entry(study, HERE, "cpu", 30.0)
    entry.show(opened)
    with pytest.raises(errors.StudyInUse, match="while 1 worker is alive: `search stop quick --now` ends them"):
        calls[what]()
    claim = take(opened, study, HERE)
    orders.set_state(opened, study, orders.StudyState.STOPPED)
    with pytest.raises(errors.StudyInUse, match="1 worker is alive, 1 trial in training: `search stop quick --now`"):
        calls[what]()
    assert studies.names(opened) == ["quick"]
    claims.hand_over(opened, claim, 1.0)
    calls[what]()
    assert studies.names(opened) == {"delete": [], "rename": ["new"], "copy": ["quick", "new"]}[what]


def test_a_gone_worker_holds_nothing_up(opened: databases.Database, make_study: Make) -> None:
    """A trial whose worker was killed is no reason to keep its study."""
    study = make_study()
    dead = dataclasses.replace(HERE, pid=2**22 + 1)
    rosters.Entry(study, dead, "cpu", 30.0).show(opened)
    take(opened, study, dead)
    lives.delete(opened, row(opened))
    assert rows(opened) == {}


def test_an_id_that_another_study_has_by_now_is_safe(opened: databases.Database, make_study: Make) -> None:
    """What was meant for a deleted study touches no other, even where that has its id and its name."""
    make_study()
    old = row(opened)
    lives.delete(opened, old)
    again = make_study()
    stale = dataclasses.replace(old, study_id=again.study_id)
    foreign = dataclasses.replace(stale, token=None)
    for study in (stale, foreign):
        for call in (
            lambda: lives.delete(opened, study),  # noqa: B023
            lambda: lives.rename(opened, study, "new"),  # noqa: B023
            lambda: copies.copy(opened, study, "new"),  # noqa: B023
        ):
            with pytest.raises(errors.StudyNotFound, match="not there any more"):
                call()
    assert studies.names(opened) == ["quick"]


def test_a_renamed_study_is_the_same(opened: databases.Database, make_study: Make) -> None:
    """Trials, budget, seconds and file stay; who holds it goes on with it; the old name is free."""
    study = make_study(trials=9)
    fill(opened, study)
    before = summaries.whole(opened, study)
    lives.rename(opened, row(opened), "new")
    assert studies.find(opened, "quick") is None
    found = studies.find(opened, "new")
    assert found is not None
    assert (found.name, found.token, found.spec.text) == ("new", study.token, study.spec.text)
    after = summaries.whole(opened, found)
    assert (after.order, after.seconds, after.trials) == (before.order, before.seconds, before.trials)
    assert take(opened, study).study_id == found.study_id
    assert orders.extend(opened, found, add=1).trials == 10
    make_study()


@pytest.mark.parametrize("name", ["", "a  b", " a", "-x", ".x", "a/b", "a\\b", "x" * 101, "a\tb", "x.toml", "other"])
def test_a_new_name_is_one_that_a_file_may_give(opened: databases.Database, make_study: Make, name: str) -> None:
    """What a study file may be called, and not taken: else one line, and the study keeps its own."""
    make_study()
    make_study(name="other")
    rule = "study 'other' exists already" if name == "other" else r"new name must (be|not|have) "
    for call in (lives.rename, copies.copy):
        with pytest.raises(errors.InputError, match=rule) as found:
            call(opened, row(opened), name)
        assert "\n" not in str(found.value)
    assert studies.names(opened) == ["quick", "other"]


def test_lost_acknowledgements_do_nothing_twice(url: str, postgres: Server) -> None:
    """Rename, copy, copy elsewhere and delete are done once though each was sent twice."""
    database, other = Forgetful(url, patience_seconds=30), Forgetful(postgres.new_database(), patience_seconds=30)
    studies.create(database, specs.parse(quick_text(), "x"))
    database.losses = 1
    lives.rename(database, row(database), "new")
    database.losses = 1
    copies.copy(database, row(database, "new"), "copy")
    other.losses = 1
    copies.copy(database, row(database, "new"), "new", other)
    assert (studies.names(database), studies.names(other)) == (["new", "copy"], ["new"])
    database.losses = 1
    lives.delete(database, row(database, "new"))
    assert (studies.names(database), database.losses, other.losses) == (["copy"], 0, 0)
    database.close()
    other.close()


def test_deleting_works_while_others_write(opened: databases.Database, make_study: Make, url: str) -> None:
    """With owners, claimers and another tool that write all the time the first try deletes, and each is told."""
    study = make_study(trials=400, hopeless="false")
    taken = [take(opened, study) for _ in range(3)]  # of a worker whose roster line is gone
    for claim in taken:
        configurations.configure(opened, study, claim, opened.history(study.study_id))
    begun, told = threading.Barrier(6), []

    def write(step: Callable[[databases.Database, int], Any]) -> None:
        database = databases.Database(url, 30)
        begun.wait(30)
        try:
            for number in range(1, 100_000):
                step(database, number)
        except (errors.SearchError, KeyError, exc.IntegrityError, optuna.exceptions.StorageInternalError) as error:
            told.append(type(error))
        database.close()

    def another_tool(database: databases.Database, number: int) -> None:
        database.call(lambda: database.optuna.set_trial_user_attr(taken[0].trial_id, "seen", number))

    steps: list[Callable[[databases.Database, int], Any]] = [
        *(
            lambda database, number, claim=claim: claims.report(database, claim, {number: 0.5}, 1.0, {"k": number})  # type: ignore[misc]
            for claim in taken
        ),
        lambda database, number: take(database, study),
        another_tool,
    ]
    threads = [threading.Thread(target=write, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    begun.wait(30)
    lives.delete(opened, row(opened))
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert rows(opened) == {}
    assert told.count(errors.TrialLost) == 3
    assert told.count(errors.StudyNotFound) == 1
