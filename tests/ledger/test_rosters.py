"""Who works on a study, and which trials are orphans, as `search status` tells it; on every storage."""

import dataclasses
import os
import threading
from collections.abc import Callable

import prometheus_client
import pytest
import sqlalchemy
from trials import GONE, ME, take

from search import errors
from search.cli import answers
from search.dashboard import metrics
from search.ledger import claims, configurations, orders, presence, rosters, sentences, studies, summaries
from search.storage import databases, schema, statements

Make = Callable[..., studies.Study]


def test_busy_and_idle_workers_are_listed_until_they_sign_out(opened: databases.Database, make_study: Make) -> None:
    """A worker is there with its trials from its first sign to its last, and only in its own study."""
    study, other = make_study(trials=3), make_study(name="other")
    here = presence.Identity.this()
    busy = rosters.Entry(study, here, "cpu", 30.0)
    idle = rosters.Entry(study, dataclasses.replace(here, name="idle", host="elsewhere"), "cuda", 30.0)
    for entry in (busy, idle, busy):
        entry.show(opened)
    take(opened, study, here)
    crew = rosters.read(opened, study.study_id)
    assert {(m.name, m.device, m.trials) for m in crew.members} == {(here.name, "cpu", (0,)), ("idle", "cuda", ())}
    assert all(m.seen_seconds_ago < 20 for m in crew.members)
    assert crew.orphans == {}
    assert rosters.read(opened, other.study_id).members == ()
    busy.strike(opened)
    crew = rosters.read(opened, study.study_id)
    assert [m.name for m in crew.members] == ["idle"]
    assert crew.orphans == {0: here.name}


def test_a_silent_or_dead_worker_is_not_alive(opened: databases.Database, make_study: Make) -> None:
    """Silence past its own grace, or a dead process of this machine: its trial is an orphan."""
    study = make_study(trials=3)
    dead = dataclasses.replace(presence.Identity.this(), name="dead", pid_started=1.0)
    rosters.Entry(study, dead, "cpu", 30.0).show(opened)
    silent = rosters.Entry(study, GONE, "cpu", 30.0)
    silent.show(opened)
    take(opened, study, GONE)
    assert [m.name for m in rosters.read(opened, study.study_id).members] == [GONE.name]
    opened.write(lambda c: c.execute(schema.workers.update().values(seen_at=statements.clock(c) - 31)))
    crew = rosters.read(opened, study.study_id)
    assert (crew.members, crew.orphans) == ((), {0: GONE.name})


def test_trials_of_an_engine_that_nobody_has_are_told(opened: databases.Database, make_study: Make) -> None:
    """Handed over, or orphaned; who goes from study to study has an engine for each, others for their own alone."""
    study, other = make_study(trials=9), make_study(name="other")
    history = opened.history(study.study_id)
    begun = [take(opened, study, dataclasses.replace(GONE, name=f"gone:{number}")) for number in range(4)]
    for claim, backend in zip(
        begun, ("cuda cuda float32 1", "cuda cuda float32 1", "cpu cpu float32 1", None), strict=True
    ):
        configurations.configure(opened, study, claim, history, lambda _, each=backend: each)
    for claim in begun[1:]:
        claims.hand_over(opened, claim)
    assert rosters.read(opened, study.study_id).lacked == {"cuda cuda float32 1": 2, "cpu cpu float32 1": 1}
    rosters.Entry(study, ME, "cpu", 30.0, "cpu cpu float32 1,reference cpu float32 1").show(opened)
    crew = rosters.read(opened, study.study_id)
    assert crew.lacked == {"cuda cuda float32 1": 2}
    assert sentences.lacked(crew) == [
        "2 trials of cuda on cuda, which no living worker has: they wait for one; a worker that idles for its "
        "grace begins them anew"
    ]
    assert crew.as_json()["lacked_backends"] == {"cuda cuda float32 1": 2}
    there = dataclasses.replace(ME, name="there")
    alone = rosters.Entry(other, there, "cuda", 30.0, "cuda cuda float32 1")
    alone.show(opened)
    assert rosters.read(opened, study.study_id).lacked == {"cuda cuda float32 1": 2}
    alone.strike(opened)
    rosters.Entry(other, there, "cuda", 30.0, f"cuda cuda float32 1,{rosters.ANY}").show(opened)
    assert rosters.read(opened, study.study_id).lacked == rosters.all_of(opened)[study.study_id].lacked == {}
    assert [member.name for member in rosters.read(opened, study.study_id).members] == [ME.name]


def test_the_roster_forgets_killed_workers(opened: databases.Database, make_study: Make) -> None:
    """Lines of workers that never signed out are gone a day later, when the next one signs in."""
    study = make_study()
    rosters.Entry(study, GONE, "cpu", 30.0).show(opened)
    opened.write(
        lambda c: c.execute(schema.workers.update().values(seen_at=statements.clock(c) - rosters.FORGET_SECONDS - 1))
    )
    rosters.Entry(study, presence.Identity.this(), "cpu", 30.0).show(opened)
    names = opened.read(lambda c: c.execute(schema.workers.select()).all())
    assert [row.pid for row in names] == [os.getpid()]


def test_no_line_outlives_the_study(opened: databases.Database, make_study: Make) -> None:
    """A study deleted under a worker takes the roster along; the next sign says so."""
    study = make_study()
    entry = rosters.Entry(study, presence.Identity.this(), "cpu", 30.0)
    entry.show(opened)
    opened.optuna.delete_study(study.study_id)
    with pytest.raises(errors.StudyNotFound, match="deleted"):
        entry.show(opened)
    assert opened.read(lambda c: c.execute(schema.workers.select()).all()) == []


def test_a_beat_waits_for_no_claim(opened: databases.Database, make_study: Make) -> None:
    """Who holds the study's lock holds up who signs in, but nobody who is in the roster already."""
    study = make_study()
    entry = rosters.Entry(study, presence.Identity.this(), "cpu", 30.0)
    entry.show(opened)
    if opened.engine.dialect.name == "sqlite":  # whose lock is the whole file's
        return
    shown = threading.Event()
    beating = threading.Thread(target=lambda: (entry.show(opened), shown.set()))

    def claiming(connection: sqlalchemy.Connection) -> bool:
        statements.lock_study(connection, study)
        beating.start()
        return shown.wait(5)

    assert opened.write(claiming)
    beating.join()


def test_who_signs_in_waits_for_who_deletes_the_study(opened: databases.Database, make_study: Make) -> None:
    """Both would delete lines of a day ago: neither holds one while it waits for the study's lock."""
    study = make_study()
    rosters.Entry(study, GONE, "cpu", 30.0).show(opened)
    opened.write(lambda c: c.execute(schema.workers.update().values(seen_at=1.0)))
    if opened.engine.dialect.name == "sqlite":  # whose lock is the whole file's
        return
    seen, said = list[str](), list[BaseException | None]()
    sqlalchemy.event.listen(opened.engine, "handle_error", lambda context: seen.append(str(context.original_exception)))

    def sign() -> None:
        with pytest.raises(errors.StudyNotFound) as caught:
            rosters.Entry(study, ME, "cpu", 30.0).show(opened)
        said.append(caught.value)

    signing = threading.Thread(target=sign)

    def deleting(connection: sqlalchemy.Connection) -> None:
        statements.lock_study(connection, study)
        signing.start()
        signing.join(0.5)  # it waits for the lock by now
        statements.delete_study(connection, study.study_id)

    opened.write(deleting)
    signing.join()
    assert (seen, len(said), opened.interruptions) == ([], 1, 0)


def test_a_trial_of_a_failed_device_was_left(opened: databases.Database, make_study: Make) -> None:
    """Its worker lives on: nobody is said to be gone."""
    study = make_study(trials=3)
    rosters.Entry(study, ME, "cuda", 30.0).show(opened)
    take(opened, study, GONE)
    claims.leave(opened, take(opened, study))
    crew = rosters.read(opened, study.study_id)
    assert (crew.orphans, crew.left) == ({0: GONE.name, 1: ME.name}, {1})
    lines = sentences.situation(summaries.whole(opened, study), crew, {})
    assert f"trial 1 is an orphan: it was left by {ME.name}, whose device failed, the next free worker" in str(lines)
    assert f"trial 0 is an orphan: {GONE.name} is gone, the next free worker" in str(lines)


def test_nothing_lacks_an_engine_where_no_trial_begins(opened: databases.Database, make_study: Make) -> None:
    """What waits in a study that was stopped waits for no worker, for Prometheus and `status --json`."""
    study = make_study(trials=3)
    claim = take(opened, study, GONE)
    backend = "cuda cuda float32 1"
    configurations.configure(opened, study, claim, opened.history(study.study_id), lambda _: backend)
    claims.hand_over(opened, claim)

    def lacked() -> tuple[object, object]:
        registry = prometheus_client.CollectorRegistry()
        registry.register(metrics.Collector(opened))
        told = answers.as_json(opened, summaries.summary(opened, study))
        return registry.get_sample_value("search_lacked_trials", {"study": "quick"}), told["lacked_backends"]

    assert lacked() == (1, {backend: 1})
    orders.set_state(opened, study, orders.StudyState.STOPPED)
    assert lacked() == (0, {})
    orders.set_state(opened, study, orders.StudyState.ACTIVE)
    assert lacked() == (1, {backend: 1})
