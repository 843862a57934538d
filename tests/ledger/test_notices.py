"""The outbox: each event once, each message with one process at a time, and what a lost answer does to it."""

import pathlib
from concurrent import futures

import forgetful
import pytest
from trials import Make

from search.ledger import audiences, copies, dispatches, notices, studies
from search.storage import databases, outboxes

TOLD = '[notify]\nurls_file = "urls"'
EVENT = notices.Event("best:1", "best", "quick: new best", {"trial": 1, "value": 0.5})


def add(database: databases.Database, study: studies.Study, event: notices.Event = EVENT) -> None:
    database.write(lambda connection: notices.add(connection, study, event))


def standing(database: databases.Database, study: studies.Study) -> notices.Standing:
    return database.read(lambda connection: notices.standing(connection, study.study_id))


def later(database: databases.Database, seconds: float) -> None:
    """So much time passes, by the database's clock."""
    table = outboxes.notices
    earlier = table.update().values(due_at=table.c.due_at - seconds, made_at=table.c.made_at - seconds)
    database.write(lambda connection: connection.execute(earlier))


def test_an_event_is_written_once(opened: databases.Database, make_study: Make, url: str) -> None:
    """Whoever notices it, at the same moment too, and where the answer is lost; its id is always the same."""
    study = make_study(more=TOLD)
    others = [forgetful.Forgetful(url) for _ in range(4)]
    with futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda other: other.lossy(lambda: add(other, study)), others))
    add(opened, study, notices.Event("best:1", "best", "said otherwise"))
    assert standing(opened, study).pending == 1
    notice = dispatches.claim(opened, study.study_id, "a")
    assert notice is not None
    assert notice.body["text"] == "quick: new best"
    assert (notice.body["study"], notice.body["metric"], notice.body["worker"]) == ("quick", "accuracy", None)
    assert len(notice.body["id"]) == 32
    assert set(notices.FACTS) < set(notice.body)
    for other in others:
        other.close()


def test_a_message_is_with_one_at_a_time(opened: databases.Database, make_study: Make, url: str) -> None:
    """Of eight that ask for it at once one gets it; where that one ends, another does after the lease."""
    study = make_study(more=TOLD)
    add(opened, study)
    others = [databases.Database(url, 30) for _ in range(8)]
    with futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda each: dispatches.claim(each[1], study.study_id, f"o{each[0]}"), enumerate(others)))
    (first,) = [each for each in found if each is not None]
    later(opened, dispatches.LEASE_SECONDS + 1)
    second = dispatches.claim(opened, study.study_id, "second")
    assert second is not None
    assert (second.notice_id, second.tries) == (first.notice_id, 2)
    assert not dispatches.note(opened, first, ["1 http"], {}, 0.0, notices.SENT)  # it is another's by now
    assert dispatches.note(opened, second, ["1 http"], {}, 0.0, notices.SENT)
    assert standing(opened, study) == notices.Standing(sent=1)
    assert dispatches.claim(opened, study.study_id, "third") is None
    for other in others:
        other.close()


def test_lost_answers_change_nothing(opened: databases.Database, make_study: Make, url: str) -> None:
    """A claim and a note are found again where their acknowledgements are lost: no try is counted twice."""
    study, other = make_study(more=TOLD), forgetful.Forgetful(url)
    add(opened, study)
    notice = other.lossy(lambda: dispatches.claim(other, study.study_id, "a"))
    assert notice.tries == 1
    assert other.lossy(lambda: dispatches.note(other, notice, ["1 http"], {"2 ntfy": "no"}))
    other.lossy(lambda: dispatches.note(other, notice, ["1 http"], {"2 ntfy": "no"}, 9.0))
    waits = opened.read(lambda connection: dispatches.is_due(connection, study.study_id))
    assert waits is not None
    assert 5 < waits <= 9
    assert standing(opened, study) == notices.Standing(pending=1, reason="address 2 ntfy: no")
    later(opened, 10)
    again = dispatches.claim(opened, study.study_id, "b")
    assert again is not None
    assert (again.tries, again.delivered, again.reasons) == (2, ("1 http",), {"2 ntfy": "no"})
    other.close()


def test_waits_grow_and_are_bounded() -> None:
    """1, 2, 4 seconds, an hour at most, and as long as the receiver asks within that."""
    assert [dispatches.wait_seconds(tries) for tries in (1, 2, 3, 20)] == [1, 2, 4, 3600]
    assert [dispatches.wait_seconds(1, asked) for asked in (0.0, 120.0, 1e9)] == [1, 120, 3600]


def test_what_was_given_up_can_be_tried_again(opened: databases.Database, make_study: Make) -> None:
    """`renew` makes it due at once, with all its tries; what is sent stays so."""
    study = make_study(more=TOLD)
    add(opened, study)
    notice = dispatches.claim(opened, study.study_id, "a")
    assert notice is not None
    dispatches.note(opened, notice, [], {"1 http": "answered 500"}, 3600.0, notices.UNDELIVERED)
    assert standing(opened, study) == notices.Standing(undelivered=1, reason="address 1 http: answered 500")
    assert dispatches.claim(opened, study.study_id, "b") is None
    dispatches.renew(opened, study)
    again = dispatches.claim(opened, study.study_id, "c")
    assert again is not None
    assert again.tries == 1


def test_a_copy_tells_nothing_again(opened: databases.Database, make_study: Make) -> None:
    """What waits stays the original's; what the original has told is known to the copy."""
    study = make_study(more=TOLD)
    add(opened, study)
    stored = studies.stored(opened, "quick")
    assert stored is not None
    copied = copies.copy(opened, stored, "other")
    assert dispatches.claim(opened, copied.study_id, "a") is None
    add(opened, copied)
    assert dispatches.claim(opened, copied.study_id, "b") is None
    assert dispatches.claim(opened, study.study_id, "c") is not None


def test_all_goes_with_the_study(opened: databases.Database, make_study: Make) -> None:
    """Whichever tool deletes it."""
    study = make_study(more=TOLD)
    add(opened, study)
    opened.optuna.delete_study(study.study_id)
    assert opened.read(lambda connection: connection.execute(outboxes.notices.select()).all()) == []


@pytest.mark.parametrize("more", ["", "# notify\n", TOLD])
def test_only_studies_that_tell_are_looked_at(opened: databases.Database, make_study: Make, more: str) -> None:
    """The word alone is not enough, and a study that cannot be read is passed by."""
    study = make_study(more=more)
    assert [each.name for each in audiences.of(opened)] == (["quick"] if more == TOLD else [])
    assert audiences.of(opened, study.study_id + 1) == []
    assert pathlib.Path("urls").exists() is False
