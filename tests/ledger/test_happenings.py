"""What people are told of a study: each event once, by whatever number of observers, and no more than a phone bears."""

import dataclasses
import json
from typing import Any

import pytest
import trials
from optuna.trial import TrialState
from trials import GONE, Clock, Make, begin, take

from search.ledger import amendments, audiences, claims, happenings, notices, orders, retries, studies
from search.storage import databases, outboxes
from search.study import notices as sections
from search.study import specs

URLS = '[notify]\nurls_file = "urls"\n'
LOUD = f"{URLS}quiet_minutes = 0\n"


def told(database: databases.Database, *states: str) -> list[dict[str, Any]]:
    """The messages that were or will be sent, in their order."""
    rows = database.read(
        lambda connection: connection.execute(outboxes.notices.select().order_by(outboxes.notices.c.notice_id)).all()
    )
    return [json.loads(row.body) for row in rows if row.state in (states or notices.TOLD)]


def events(database: databases.Database) -> list[str]:
    return [each["event"] for each in told(database)]


def look(database: databases.Database, study: studies.Study, times: int = 2) -> None:
    """As several workers do, each for itself."""
    for _ in range(times):
        happenings.Watch().look(database, study)


def complete(database: databases.Database, study: studies.Study, value: float) -> None:
    claims.tell(database, begin(database, study), TrialState.COMPLETE, value, {})


def pass_by(database: databases.Database, minutes: float) -> None:
    """So much time, by the database's clock."""
    table = outboxes.notices
    database.write(lambda connection: connection.execute(table.update().values(made_at=table.c.made_at - 60 * minutes)))


def test_an_end_is_told_once_and_again_after_an_extension(opened: databases.Database, make_study: Make) -> None:
    """With its reason, the best trial and the counts; a pause and a look later say nothing new."""
    study = make_study(trials=2, more=URLS)
    complete(opened, study, 0.5)
    look(opened, study)
    assert "finished" not in events(opened)
    complete(opened, study, 0.75)
    look(opened, study, 4)
    orders.set_state(opened, study, orders.StudyState.PAUSED)
    orders.set_state(opened, study, orders.StudyState.ACTIVE)
    look(opened, study)
    (end,) = told(opened)
    assert (end["event"], end["reason"], end["trial"], end["value"]) == ("finished", "trials", 1, 0.75)
    assert end["text"] == "quick: finished: the budget is used up; best: trial 1, accuracy 0.7500"
    assert end["counts"] == {"complete": 2, "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
    assert set(end["params"]) >= {"learning_rate", "batch_size", "depth"}
    orders.extend(opened, study, add=1)
    look(opened, study)
    assert events(opened) == ["finished"]
    complete(opened, study, 0.25)
    look(opened, study)
    assert events(opened) == ["finished", "finished"]


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("target = 0.4", "target"),
        ("patience = 1", "patience"),
        ("hours = 0.001", "hours"),
        ('deadline = "1s"', "deadline"),
    ],
)
def test_whatever_ends_it_is_its_reason(opened: databases.Database, make_study: Make, budget: str, reason: str) -> None:
    """Target, patience, hours and deadline, as a claim would say it; not while a trial runs."""
    study = make_study(trials=9, more=f"{budget}\n{URLS}")
    claim = begin(opened, study)
    complete(opened, study, 0.5)
    if reason == "deadline":
        opened.write(lambda c: c.exec_driver_sql("UPDATE search_orders SET begun_at = begun_at - 2"))
    look(opened, study)
    assert events(opened) == []
    claims.tell(opened, claim, TrialState.PRUNED, None, {}, 10.0)
    look(opened, study)
    assert [(each["event"], each["reason"]) for each in told(opened)] == [("finished", reason)]


def test_a_space_without_another_configuration_is_an_end(opened: databases.Database) -> None:
    """Its reason is the space."""
    space = '[space]\nx = [1]\n[sampler]\nname = "grid"\n'
    text = f'objective = "m:f"\n[study]\nname = "s"\n{space}{URLS}[budget]\ntrials = 5\n'
    study = studies.create(opened, specs.parse(text, "s.toml"))
    complete(opened, study, 1.0)
    look(opened, study)
    assert [(each["event"], each["reason"]) for each in told(opened)] == [("finished", "space")]


def test_an_end_by_failures_is_one_message(opened: databases.Database, make_study: Make) -> None:
    """It is a failure, with the first failed trials before it; who asked for ends alone hears of it as an end."""
    chosen = {"all": (LOUD, ["failed"] * 3), "ends": (f'{LOUD}on = ["finished"]\n', ["finished"])}
    for name, (more, expected) in chosen.items():
        study = make_study(name=name, trials=9, more=f"max_failures = 1\n{more}")
        for _ in range(2):
            trials.fail(opened, begin(opened, study), "ValueError: no")
            look(opened, study)
        found = [each for each in told(opened) if each["study"] == name]
        assert [each["event"] for each in found] == expected
        (end,) = [each["text"] for each in found if each["reason"] == "failures"]
        assert end.endswith("ed: more trials failed than max_failures allows; no trial is complete")


def test_failed_trials_are_told_now_and_then(opened: databases.Database, make_study: Make) -> None:
    """The first at once, with its reason; those that follow in the quiet together, when it is over."""
    study = make_study(trials=9, more=URLS)
    for number in range(3):
        trials.fail(opened, begin(opened, study), f"ValueError: no {number}")
        look(opened, study)
    assert [each["text"] for each in told(opened)] == ["quick: 1 trial failed so far; trial 0: ValueError: no 0"]
    pass_by(opened, 31)
    look(opened, study)
    last = told(opened)[-1]
    assert (last["event"], last["trial"], last["counts"]["failed"]) == ("failed", 2, 3)
    assert last["text"] == "quick: 3 trials failed so far; trial 2: ValueError: no 2"
    retries.retry(opened, study)
    pass_by(opened, 31)
    look(opened, study)
    assert len(told(opened)) == 2


def test_a_new_best_is_told_now_and_then(opened: databases.Database, make_study: Make) -> None:
    """Not the first values of a study; then at most one in the quiet time, and only one that is really new."""
    study = make_study(trials=9, more=URLS)
    for value in (0.1, 0.2, 0.3):
        complete(opened, study, value)
        look(opened, study)
    assert told(opened) == []
    pass_by(opened, 31)
    look(opened, study)
    complete(opened, study, 0.4)
    complete(opened, study, 0.4)
    look(opened, study)
    assert [(each["event"], each["value"]) for each in told(opened)] == [("best", 0.3)]
    pass_by(opened, 31)
    look(opened, study)
    pass_by(opened, 31)
    look(opened, study)
    assert [(each["trial"], each["value"]) for each in told(opened)] == [(2, 0.3), (3, 0.4)]
    assert told(opened)[-1]["text"] == "quick: new best: trial 3, accuracy 0.4000"


def test_without_quiet_each_best_is_told(opened: databases.Database, make_study: Make) -> None:
    """quiet_minutes = 0."""
    study = make_study(trials=9, more=LOUD)
    for value in (0.1, 0.05, 0.3):
        complete(opened, study, value)
        look(opened, study)
    assert [(each["event"], each["value"]) for each in told(opened)] == [("best", 0.1), ("best", 0.3)]


def test_an_adopted_trial_tells_of_its_worker(opened: databases.Database, make_study: Make) -> None:
    """Once for a worker, however many trials it had; an orderly end tells nothing."""
    study = make_study(trials=9, more=LOUD)
    two = [take(opened, study, GONE), take(opened, study, GONE)]
    handed = take(opened, study)
    claims.hand_over(opened, handed)
    watch = Clock(opened, study).watch
    for _ in two:
        assert take(opened, study, watch=watch).how == "adopted"
    look(opened, study)
    (lost,) = told(opened)
    assert (lost["event"], lost["worker"], lost["trial"]) == ("lost", "gone:1", 0)
    assert lost["text"] == "quick: worker gone:1 has fallen silent; its trial 0 goes on with the next free worker"


def test_a_worker_is_lost_where_nobody_adopts(opened: databases.Database, make_study: Make) -> None:
    """An observer that takes no trials notices it too, and whoever adopts the trial later says nothing more."""
    study, watch = make_study(trials=9, more=LOUD), happenings.Watch()
    take(opened, study, GONE)
    watch._beats = Clock(opened, study).watch
    watch.look(opened, study)
    assert events(opened) == ["lost"]
    assert take(opened, study, watch=Clock(opened, study).watch).how == "adopted"
    look(opened, study)
    assert events(opened) == ["lost"]


def test_many_lost_workers_are_told_together(opened: databases.Database, make_study: Make) -> None:
    """The first at once, the others of the quiet time in one message when it is over."""
    study = make_study(trials=9, more=URLS)
    gone = [dataclasses.replace(GONE, name=f"gone:{number}", pid=number + 1) for number in range(4)]
    for each in gone:
        take(opened, study, each)
    watch = Clock(opened, study).watch
    for _ in gone:
        take(opened, study, watch=watch)
    look(opened, study)
    assert [each["worker"] for each in told(opened)] == ["gone:0"]
    pass_by(opened, 31)
    look(opened, study, 3)
    assert [each["text"] for each in told(opened)][1:] == [
        "quick: 3 more lost since the last message of lost workers: gone:1, gone:2, gone:3"
    ]


def test_a_stall_is_told_once_and_again_after_progress(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each of several observers; beats are no progress, a report is; a study that is paused does not stall."""
    study = make_study(trials=9, more=f"{URLS}stalled_minutes = 10")
    claim, watches, now = begin(opened, study), [happenings.Watch(), happenings.Watch()], [1000.0]
    monkeypatch.setattr(happenings.time, "monotonic", lambda: now[0])

    def wait(minutes: float) -> None:
        for watch in watches:
            watch.look(opened, study)
        now[0] += 60 * minutes
        claims.beat(opened, [(claim, 1.0)])
        for watch in watches:
            watch.look(opened, study)

    wait(9)
    assert events(opened) == []
    wait(2)
    wait(30)
    (stalled,) = told(opened)
    assert stalled["text"] == "quick: stalled: no progress for 10 minutes; no worker is alive, 1 running"
    claims.report(opened, claim, {1: 0.5}, 1.0, {})
    wait(9)
    assert events(opened) == ["stalled"]
    wait(2)
    assert events(opened) == ["stalled", "stalled"]
    claims.report(opened, claim, {2: 0.5}, 1.0, {})
    orders.set_state(opened, study, orders.StudyState.PAUSED)
    wait(60)
    assert events(opened) == ["stalled", "stalled"]


def test_what_nobody_asked_for_is_not_told(opened: databases.Database, make_study: Make) -> None:
    """`on` chooses."""
    for event in sections.EVENTS:
        if event == "finished":
            continue
        study = make_study(name=event, trials=1, more=f'{LOUD}on = ["{event}"]')
        complete(opened, study, 0.5)
        look(opened, study)
        assert [each for each in told(opened) if each["study"] == event] == []


def test_an_amended_study_tells_what_is_new_from_then_on(opened: databases.Database, make_study: Make) -> None:
    """It had ended, and had a failed trial: who adds [notify] knows."""
    study = make_study(trials=1)
    trials.fail(opened, begin(opened, study), "no")
    complete(opened, study, 0.5)
    spec = specs.parse(f"{study.spec.text}{LOUD}", "quick.toml")
    assert [change.place for change in amendments.amend(opened, study, spec)] == [
        "notify.urls_file",
        "notify.quiet_minutes",
    ]
    (amended,) = audiences.of(opened)
    look(opened, amended)
    assert told(opened) == []
    orders.extend(opened, amended, add=1)
    complete(opened, amended, 0.75)
    look(opened, amended)
    assert events(opened) == ["finished"]


def test_a_value_that_json_has_not_is_a_word(opened: databases.Database, make_study: Make) -> None:
    """An infinite best value."""
    study = make_study(trials=1, more=URLS)
    complete(opened, study, float("inf"))
    look(opened, study)
    assert [each["value"] for each in told(opened)] == ["inf"]


def test_a_worker_whose_device_failed_has_not_died(opened: databases.Database, make_study: Make) -> None:
    """It has let go of its trial, and may live on."""
    study = make_study(trials=9, more=LOUD)
    claims.leave(opened, take(opened, study, GONE))
    assert take(opened, study).how == "adopted"
    look(opened, study)
    (lost,) = told(opened)
    assert lost["text"] == (
        "quick: the device of worker gone:1 has failed; its trial 0 goes on with the next free worker"
    )
