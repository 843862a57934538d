"""The thread that tells people: one message, whatever the receiver and the other threads do."""

import logging
import pathlib
import socket
import threading
import time

import processes
import pytest
import receivers
from conftest import Server, quick_text
from optuna.trial import TrialState
from trials import Make, begin

from search import events
from search.ledger import claims, dispatches, notices, studies
from search.storage import databases, outboxes, schema
from search.study import specs
from search.worker import addressees, deliveries, notifiers

FILE = '[notify]\nurls_file = "{}"\n'
Ended = tuple[studies.Study, receivers.Receiver]


@pytest.fixture
def ended(opened: databases.Database, make_study: Make, receiver: receivers.Receiver, tmp_path: pathlib.Path) -> Ended:
    """A study whose end is still to be told."""
    study = make_study(trials=1, more=FILE.format(receiver.file(tmp_path)))
    claims.tell(opened, begin(opened, study), TrialState.COMPLETE, 0.5, {})
    return study, receiver


def standing(database: databases.Database, study: studies.Study) -> notices.Standing:
    return notices.read(database, study)


def test_several_tell_it_once(opened: databases.Database, ended: Ended) -> None:
    """Six that look and part at the same time."""
    study, receiver = ended
    parting = [
        threading.Thread(target=notifiers.Notifier(opened, study.study_id if number % 2 else None).part)
        for number in range(6)
    ]
    for thread in parting:
        thread.start()
    for thread in parting:
        thread.join(60)
    assert receiver.events == ["finished"]
    assert standing(opened, study) == notices.Standing(sent=1)


def test_a_receiver_that_fails_is_tried_again(opened: databases.Database, ended: Ended) -> None:
    """Within the parting; each try carries the same id, and the log one line for each reason."""
    study, receiver = ended
    receiver.answers = [(500, {}), (503, {})]
    notifiers.Notifier(opened, study.study_id).part(15)
    assert (receiver.events, receiver.refused) == (["finished"], 2)
    assert receiver.heads[0]["Idempotency-Key"] == receiver.got[0]["id"]


def test_a_dead_address_costs_a_line_and_not_the_others(
    opened: databases.Database,
    ended: Ended,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others get it once; it is tried so often, and then shown as undelivered with its reason, without secrets."""
    study, receiver = ended
    receiver.file(tmp_path, "http://127.0.0.1:9/dead-sEcReT")
    monkeypatch.setattr(dispatches, "TRIES", 3)
    with caplog.at_level(logging.INFO, "search"):
        notifiers.Notifier(opened, study.study_id).part(15)
    assert receiver.events == ["finished"]
    found = standing(opened, study)
    assert (found.undelivered, found.reason) == (1, "address 2 http: connection refused")
    said = [record.getMessage() for record in caplog.records]
    assert sum("notify-refused" in line for line in said) == 1
    (refused,) = [record for record in caplog.records if "notify-refused" in record.getMessage()]
    assert {"event", "study", "reason"} <= set(events.fields(refused.msg, refused.args) or ())
    assert "sEcReT" not in "".join(said)


def test_who_asks_to_be_left_alone_is(opened: databases.Database, ended: Ended) -> None:
    """Retry-After is kept to; the parting does not wait for it."""
    study, receiver = ended
    receiver.answers = [(429, {"Retry-After": "300"})]
    began = time.monotonic()
    notifiers.Notifier(opened, study.study_id).part(15)
    assert time.monotonic() - began < 5
    assert standing(opened, study).pending == 1
    waits = opened.read(lambda connection: dispatches.is_due(connection, study.study_id))
    assert waits is not None
    assert waits > 200


def test_a_receiver_that_hangs_is_given_up_for_now(
    opened: databases.Database, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parting is over in its time; the message stays, and is sent once the receiver is well."""
    study, receiver = ended
    monkeypatch.setattr(deliveries, "ANSWER_SECONDS", 0.3)
    receiver.answers = [(500, {})] * 9
    receiver.hang_seconds = 1
    notifiers.Notifier(opened, study.study_id).part(2)
    assert standing(opened, study).pending == 1
    receiver.hang_seconds, receiver.answers = 0, []
    dispatches.renew(opened, study)
    notifiers.Notifier(opened, study.study_id).part(5)
    assert standing(opened, study) == notices.Standing(sent=1)


def test_many_who_are_silent_hold_up_nobody(opened: databases.Database, ended: Ended, tmp_path: pathlib.Path) -> None:
    """Who is well gets it once; a parting is over in its time, and in a second where the process is to go."""
    study, receiver = ended
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts, and says nothing
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/{number}" for number in range(6)]
        (tmp_path / "notify-urls").write_text("\n".join([*urls, receiver.url]))
        began, stop = time.monotonic(), threading.Event()
        notifiers.Notifier(opened, study.study_id).part(1.5)
        assert time.monotonic() - began < 3.5
        assert (receiver.events, standing(opened, study).pending) == (["finished"], 1)
        dispatches.renew(opened, study)
        threading.Timer(0.3, stop.set).start()
        notifiers.Notifier(opened, study.study_id, stop).part()
        assert time.monotonic() - began < 7
    assert receiver.events == ["finished"]
    assert (standing(opened, study).reason or "").count("no answer in 1 s") == 6


def test_an_outage_between_sending_and_its_note_sends_nothing_twice(
    postgres: Server, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """The database goes down while the receiver thinks: the note waits for it."""
    database = databases.Database(postgres.new_database(postgres.prepared), 30)
    text = quick_text(trials=1, more=FILE.format(receiver.file(tmp_path)))
    study = studies.create(database, specs.parse(text, "quick.toml"))
    claims.tell(database, begin(database, study), TrialState.COMPLETE, 0.5, {})
    receiver.hang_seconds = 2
    parting = threading.Thread(target=notifiers.Notifier(database, study.study_id).part)
    parting.start()
    processes.until(lambda: receiver.asked)
    postgres.control("stop", "-m", "immediate")
    processes.until(lambda: receiver.got)
    time.sleep(2)
    postgres.control("start")
    parting.join(60)
    notifiers.Notifier(database, study.study_id).part()
    assert receiver.events == ["finished"]
    assert standing(database, study) == notices.Standing(sent=1)
    database.close()


def test_without_the_file_it_is_left_to_others(
    opened: databases.Database, ended: Ended, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noticed all the same, said once, and held up by nobody; whoever has the file sends it."""
    study, receiver = ended
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(addressees.VARIABLE, "/nowhere/urls")
        without = notifiers.Notifier(opened, study.study_id)
        began = time.monotonic()
        without.part()
        without.part()
        assert time.monotonic() - began < 5
    assert [record.getMessage().count("notify-unable") for record in caplog.records] == [1]
    assert standing(opened, study).pending == 1
    notifiers.Notifier(opened, study.study_id).part()
    assert receiver.events == ["finished"]


def test_a_thread_tells_while_others_work(
    opened: databases.Database, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks now and then; who is asked to stop does not part."""
    study, receiver = ended
    monkeypatch.setattr(notifiers, "LOOK_SECONDS", 0.2)
    stop = threading.Event()
    with notifiers.Notifier(opened, stop=stop):
        processes.until(lambda: receiver.events == ["finished"], 20)
        stop.set()
    assert standing(opened, study).left == 0


def test_nothing_that_fails_in_it_ends_the_process(
    opened: databases.Database, ended: Ended, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of is a line in the log, once."""
    study, _ = ended

    def fail(*_: object) -> None:
        raise ZeroDivisionError("unheard of")

    monkeypatch.setattr(addressees, "load", fail)
    notifier = notifiers.Notifier(opened, study.study_id)
    notifier.part()
    notifier.part()
    assert [record.getMessage() for record in caplog.records] == [
        "event=notify-failed reason='ZeroDivisionError: unheard of'"
    ]


def test_a_database_that_is_looked_at_is_opened_only_to_tell(
    opened: databases.Database, ended: Ended, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard's: it only reads, unless there is somebody to be told something whose address is here."""
    study, receiver = ended
    looking = databases.open_to_read(url)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(addressees.VARIABLE, "/nowhere/urls")
        notifiers.Notifier(looking).part()
    assert standing(opened, study) == notices.Standing()
    notifiers.Notifier(looking).part()
    assert receiver.events == ["finished"]
    looking.close()


def test_a_dead_receiver_holds_up_no_other_study(
    opened: databases.Database, make_study: Make, receiver: receivers.Receiver, tmp_path: pathlib.Path
) -> None:
    """Of a study whose messages go nowhere one is tried, then the next study has its turn."""
    (tmp_path / "dead").write_text("http://127.0.0.1:9/\n")
    dead = make_study(name="dead", more=FILE.format(tmp_path / "dead"))
    well = make_study(name="well", more=FILE.format(receiver.file(tmp_path)))
    for study in (dead, well):
        for number in range(3):
            event = notices.Event(f"x:{number}", "best", f"{study.name}: new best")
            opened.write(lambda connection, s=study, e=event: notices.add(connection, s, e))
    notifiers.Notifier(opened)._turn()
    assert [each["study"] for each in receiver.got] == ["well"] * 3
    rows = opened.read(lambda connection: connection.execute(outboxes.notices.select()).all())
    assert sorted(row.tries for row in rows if row.study_id == dead.study_id) == [0, 0, 1]


def test_a_study_that_cannot_be_read_holds_up_no_other(
    opened: databases.Database, ended: Ended, make_study: Make, caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path
) -> None:
    """Its order is of a newer version: a line, once, and the others are told."""
    study, receiver = ended
    odd = make_study(name="odd", more=FILE.format(tmp_path / "notify-urls"))
    table = schema.orders
    newer = table.update().where(table.c.study_id == odd.study_id).values(state="newer")
    opened.write(lambda connection: connection.execute(newer))
    notifier = notifiers.Notifier(opened)
    notifier.part()
    notifier.part()
    assert receiver.events == ["finished"]
    assert [record.getMessage().partition(" reason=")[0] for record in caplog.records] == [
        "event=notify-unable study='odd'"
    ]
    assert standing(opened, study).sent == 1
