"""What a worker's heart asks of the database with each beat, on every storage."""

import dataclasses
import types
from typing import Any

import pytest
import sqlalchemy
from trials import ME, Make, take

from search.ledger import claims, presence, rosters, studies, summaries
from search.storage import databases, schema
from search.worker import hearts

HERE = dataclasses.replace(ME, name="here", pid=3)


def post(database: databases.Database, study: studies.Study, watch: presence.Watch) -> hearts.Seat:
    return hearts.Seat(database, study, watch, rosters.Entry(study, HERE, "cpu", 30.0))


def own(database: databases.Database, study: studies.Study, seconds: float) -> Any:
    return types.SimpleNamespace(claim=take(database, study, HERE), seconds=seconds)


def asked(database: databases.Database, seat: hearts.Seat, trials: list[Any]) -> list[str]:
    """What a beat does: commits, and the first words of each statement."""
    heard: list[str] = []

    def note(*given: Any) -> None:
        heard.append(" ".join(given[2].split()[:2]).lower())

    def committed(_connection: Any) -> None:
        heard.append("commit")

    sqlalchemy.event.listen(database.engine, "before_cursor_execute", note)
    sqlalchemy.event.listen(database.engine, "commit", committed)
    try:
        assert seat.beat(trials) == []
    finally:
        sqlalchemy.event.remove(database.engine, "before_cursor_execute", note)
        sqlalchemy.event.remove(database.engine, "commit", committed)
    return [each for each in heard if not each.startswith("begin")]


def test_a_beat_is_one_transaction(opened: databases.Database, make_study: Make) -> None:
    """The worker's line and each of its trials in one; the look at the others is a query without one."""
    study = make_study(trials=5)
    seat = post(opened, study, presence.Watch())
    seat.sign_in()
    trials = [own(opened, study, 3.0), own(opened, study, 4.0)]
    line, claim = f"update {schema.workers.name}", f"update {schema.claims.name}"
    assert asked(opened, seat, trials)[:4] == [claim, claim, line, "commit"]
    with opened.engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(schema.claims.c.beat, schema.claims.c.seconds)).all()
    assert sorted(row.seconds for row in rows) == [3.0, 4.0]
    assert [row.beat for row in rows] == [1, 1]


def test_where_many_run_few_beats_look(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first does, and sees how many there are; then the lot says."""
    study, watch = make_study(trials=5), presence.Watch()
    for _ in range(3):
        take(opened, study)
    seat = post(opened, study, watch)
    seat.sign_in()
    mine = own(opened, study, 1.0)
    first = asked(opened, seat, [mine])
    assert (first[-2].split()[0], watch.seen) == ("select", 3)
    monkeypatch.setattr(presence, "LOOKERS", 0)
    assert [each.split()[0] for each in asked(opened, seat, [mine])] == ["update", "update", "commit"]
    monkeypatch.setattr(presence, "LOOKERS", 3)
    assert asked(opened, seat, [mine]) == first


def test_a_beat_finds_what_was_lost_and_signs_in_again(opened: databases.Database, make_study: Make) -> None:
    """A trial that another has taken over is told; a line that somebody deleted is there again."""
    study = make_study(trials=5)
    seat = post(opened, study, presence.Watch())
    seat.sign_in()
    kept, lost = own(opened, study, 1.0), own(opened, study, 1.0)
    with opened.engine.begin() as connection:
        connection.execute(schema.workers.delete())
    claims.hand_over(opened, lost.claim)
    assert list(seat.beat([lost, kept])) == [lost.claim]
    assert [member.name for member in rosters.read(opened, study.study_id).members] == ["here"]
    assert len(summaries.whole(opened, study).trials) == 2
