"""Where a worker of any study is seen, on every storage."""

import dataclasses

from optuna.trial import TrialState
from trials import Make, begin

from search.ledger import lives, offers, presence, rosters, studies
from search.storage import databases
from search.worker import seats

HERE = dataclasses.replace(presence.Identity.this(), name="pool")


def members(database: databases.Database, study: studies.Study) -> list[str]:
    return [member.name for member in rosters.read(database, study.study_id).members]


def test_a_worker_is_listed_where_it_has_worked_since_the_last_beat(
    opened: databases.Database, make_study: Make
) -> None:
    """From before its claim to the first beat without a trial there; each study for itself."""
    one, other = make_study(), make_study(name="other")
    held = seats.Seats(opened, HERE, 30.0)
    for study in (one, other):
        held.sit(rosters.Entry(study, HERE, "cpu", 30.0))
    assert members(opened, one) == members(opened, other) == ["pool"]
    held.beat(())
    held.sit(rosters.Entry(one, HERE, "cpu", 30.0))
    assert members(opened, one) == members(opened, other) == ["pool"]
    held.beat(())
    assert (members(opened, one), members(opened, other)) == (["pool"], [])
    held.sign_out()
    assert members(opened, one) == []


def test_a_study_that_is_gone_disturbs_no_other(opened: databases.Database, make_study: Make) -> None:
    """Its line goes with it; the next beat shows the worker at the others."""
    gone, other = make_study(name="gone"), make_study()
    held = seats.Seats(opened, HERE, 30.0)
    for study in (gone, other):
        held.sit(rosters.Entry(study, HERE, "cpu", 30.0))
    stored = studies.stored(opened, "gone")
    assert stored is not None
    rosters.Entry(gone, HERE, "cpu", 30.0).strike(opened)
    with opened.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM search_workers")
    lives.delete(opened, stored)
    held.beat(())
    assert members(opened, other) == ["pool"]
    held.beat(())
    assert members(opened, other) == []


def test_orphans_are_counted_and_own_trials_are_none(opened: databases.Database, make_study: Make) -> None:
    """Of each study those whose process is known to be dead at once."""
    study, other = make_study(trials=5), make_study(name="other", trials=5)
    dead = dataclasses.replace(presence.Identity.this(), name="dead", pid_started=1.0)
    begin(opened, study, dead)
    own = begin(opened, other, dead)
    held = seats.Seats(opened, HERE, 30.0)
    found = offers.read(opened)
    assert [offer.counts.of(TrialState.RUNNING) for offer in found] == [1, 1]
    assert held.orphans(found, {own.owner}) == {study.study_id: 1, other.study_id: 0}
