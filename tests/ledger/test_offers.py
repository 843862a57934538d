"""What all studies have to do, seen at once, on every storage."""

from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy
from trials import ME, Make, begin, claim, fail, succeed

from search.ledger import claims, counts, lives, offers, orders, presence, studies
from search.storage import databases, schema


@pytest.fixture
def statements(opened: databases.Database) -> Iterator[list[str]]:
    """What is sent to the database."""
    sent: list[str] = []

    def note(*given: object) -> None:
        sent.append(str(given[2]))

    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", note)
    yield sent
    sqlalchemy.event.remove(opened.engine, "before_cursor_execute", note)


def of(database: databases.Database, study: studies.Study) -> offers.Offer:
    (found,) = (offer for offer in offers.read(database) if offer.token == study.token)
    return found


def test_an_offer_says_whether_there_is_room(opened: databases.Database, make_study: Make) -> None:
    """As long as trials that are done and that run are fewer than the budget."""
    study = make_study(trials=2)
    assert (of(opened, study).has_room, of(opened, study).is_under_way) == (True, False)
    first, second = begin(opened, study), begin(opened, study)
    found = of(opened, study)
    assert (found.has_room, found.is_under_way, len(found.running)) == (False, True, 2)
    succeed(opened, first)
    fail(opened, second, "for a reason")
    assert (of(opened, study).has_room, of(opened, study).is_under_way) == (True, False)
    orders.set_state(opened, study, orders.StudyState.PAUSED)
    assert not of(opened, study).is_open


def test_whatever_a_claim_rests_on_changes_the_mark(opened: databases.Database, make_study: Make) -> None:
    """An order, a trial taken, handed over, failed or ended; a beat does not."""
    study = make_study(trials=5)
    marks = [of(opened, study).mark]
    held = begin(opened, study)
    marks.append(of(opened, study).mark)
    claims.beat(opened, [(held, 1.0)])
    assert of(opened, study).mark == marks[-1]
    claims.hand_over(opened, held)
    marks.append(of(opened, study).mark)
    fail(opened, begin(opened, study), "for a reason")
    marks.append(of(opened, study).mark)
    succeed(opened, begin(opened, study))
    marks.append(of(opened, study).mark)
    orders.extend(opened, study, add=1)
    marks.append(of(opened, study).mark)
    assert len(set(marks)) == len(marks)


def test_what_runs_is_seen_as_an_observer_of_its_study_sees_it(opened: databases.Database, make_study: Make) -> None:
    """Each with its owner and beat, and none that another tool runs: that one is never an orphan."""
    from search.ledger import adoptions

    study, other = make_study(trials=3), make_study(name="other", trials=3)
    held = claim(opened, study)
    begin(opened, other, ME)
    optuna.load_study(study_name="quick", storage=opened.optuna).ask()
    claims.beat(opened, [(held, 1.0)])
    seen = opened.read(offers.running)
    alone = [each for each in opened.read(lambda c: adoptions.running(c, study.study_id)) if each.owner]
    assert seen[study.study_id] == alone
    assert isinstance(alone[0], presence.Sighting)
    assert len(seen[other.study_id]) == 1


def test_many_studies_are_seen_by_three_statements(
    opened: databases.Database, make_study: Make, statements: list[str]
) -> None:
    """However many there are, those of other tools and copies without a budget left out."""
    made = [make_study(name=f"s{number}", trials=2) for number in range(12)]
    begin(opened, made[3])
    optuna.create_study(study_name="foreign", storage=opened.optuna)
    statements.clear()
    found = offers.read(opened)
    assert [offer.name for offer in found] == [study.name for study in made]
    assert len([sent for sent in statements if sent.startswith("SELECT")]) == 3


def test_an_order_of_a_newer_version_hides_no_other_study(opened: databases.Database, make_study: Make) -> None:
    """That study alone is known as one."""
    newer, other = make_study(name="newer"), make_study(name="other")
    state = schema.orders.update().where(schema.orders.c.study_id == newer.study_id).values(state="asleep")
    opened.write(lambda connection: connection.execute(state))
    assert of(opened, newer).is_of_newer_version
    assert not of(opened, other).is_of_newer_version
    assert not of(opened, newer).is_open
    assert of(opened, other).is_open


def test_counts_of_studies_at_rest_are_made_one_row(opened: databases.Database, make_study: Make) -> None:
    """They say the same afterwards; a study that was deleted meanwhile is nothing bad."""
    study, gone = make_study(trials=30), make_study(name="gone", trials=30)
    for each in (study, gone):
        for _ in range(offers.FOLDED):
            succeed(opened, begin(opened, each))
    seen = [of(opened, each) for each in (study, gone)]
    stored = studies.stored(opened, "gone")
    assert stored is not None
    lives.delete(opened, stored)
    offers.fold(opened, seen)
    after = opened.read(lambda connection: counts.read(connection, study.study_id))
    assert after.rows == 1
    assert (after.states, after.configs) == (seen[0].counts.states, seen[0].counts.configs)
