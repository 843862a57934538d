"""What a claim is decided by, on every storage; on Postgres, how many round trips it holds the study's lock for."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import TrialState
from trials import ME, Make, take

from search import errors
from search.ledger import accounts, claims, counts, failures, latest, orders, queues, studies
from search.storage import databases, schema, statements
from search.training import records


def requests(opened: databases.Database, call: Callable[[], Any]) -> list[str]:
    """What is sent while a call lasts, in its order."""
    sent: list[str] = []
    for event in ("begin", "commit"):
        sqlalchemy.event.listen(opened.engine, event, lambda _, event=event: sent.append(event))
    sqlalchemy.event.listen(opened.engine, "before_cursor_execute", lambda _, __, text, *rest: sent.append(text))
    call()
    return sent


def test_a_claim_holds_the_lock_for_two_round_trips(opened: databases.Database, make_study: Make) -> None:
    """Behind the request that waits for the study's row come the trial, with its claim, and the commit."""
    study = make_study()
    take(opened, study)
    sent = requests(opened, lambda: take(opened, study))
    if opened.engine.dialect.name == "sqlite":
        assert sent[-1] == "commit"
        return
    locked = next(place for place, text in enumerate(sent) if "FOR UPDATE" in text)
    assert sent[0] == "begin"
    assert ["INSERT" in text for text in sent[locked + 1 : -1]] == [True]
    assert sent[-1] == "commit"


def test_the_account_is_of_the_moment_in_which_the_lock_was_had(opened: databases.Database, make_study: Make) -> None:
    """What the holder of the lock committed while others waited for it, the next one counts."""
    study = make_study(trials=1)
    seen: list[accounts.Account] = []
    waiting = threading.Thread(
        target=lambda: seen.append(opened.write(lambda connection: accounts.lock(connection, study)))
    )

    def changing(connection: sqlalchemy.Connection) -> None:
        statements.lock_study(connection, study)
        waiting.start()
        waiting.join(0.5)  # it has sent its request by now
        order = orders.latest(connection, study.study_id)
        orders.write(connection, study.study_id, order, "changed")
        statements.insert_trial(connection, study.study_id, counts.STATES["waiting"], None)

    opened.write(changing)
    waiting.join()
    assert (seen[0].last_number, seen[0].counts.of(counts.STATES["waiting"])) == (0, 1)


def test_the_account_is_what_is_stored(opened: databases.Database, make_study: Make) -> None:
    """The order in force, with all its columns, and the counts, as whoever asks for each of them reads them."""
    study = make_study(trials=5, more='deadline = "2h"\npatience = 3')
    assert opened.write(lambda connection: accounts.lock(connection, study)).last_number is None
    queues.enqueue(opened, study, {"depth": 0})
    take(opened, study)
    take(opened, study)
    orders.extend(opened, study, add=4, failures=2)
    account = opened.write(lambda connection: accounts.lock(connection, study))
    assert account.order == opened.read(lambda connection: orders.read(connection, study))
    assert account.counts == opened.read(lambda connection: counts.read(connection, study.study_id))
    assert (account.order.trials, account.order.max_failures, account.last_number) == (9, 12, 1)


def test_a_study_that_was_deleted_has_no_account(opened: databases.Database, make_study: Make) -> None:
    """Nor has another that has its row by now."""
    study: studies.Study = make_study()
    opened.optuna.delete_study(study.study_id)
    make_study(name="other")
    with pytest.raises(errors.StudyNotFound, match="deleted"):
        opened.write(lambda connection: accounts.lock(connection, study))


@pytest.mark.parametrize("failed", [1, 3])
@pytest.mark.parametrize("well", [0, 1])
def test_failures_cost_a_claim_no_round_trip(
    opened: databases.Database, make_study: Make, failed: int, well: int
) -> None:
    """What they show comes with the account, once a process knows of one; only who may have to act reads on."""
    study = make_study(trials=40)
    others = [dataclasses.replace(ME, name=f"elsewhere:{number}") for number in range(4)]
    for worker, state in zip(others, [TrialState.COMPLETE] * well + [TrialState.FAIL] * failed, strict=False):
        claim = take(opened, study, worker)
        value = 1.0 if state is TrialState.COMPLETE else None
        claims.tell(opened, claim, state, value, {records.REASON.name: f"error{'!' * claim.number}"}, 1.0, {})
    take(opened, study, others[0])
    sent = requests(opened, lambda: take(opened, study, others[1]))
    if opened.engine.dialect.name == "sqlite":
        return
    locked = next(place for place, text in enumerate(sent) if "FOR UPDATE" in text)
    reads_on = failed == 3 and not well  # whether it was one error that stops the study
    assert ["INSERT" in text for text in sent[locked + 1 : -1]] == [False] * reads_on + [True]


def test_the_signs_of_failures_are_those_of_the_worker_that_asks(opened: databases.Database, make_study: Make) -> None:
    """Who took itself out, one worker with many failures, rows of failures: from the trial on that makes them so."""
    study = make_study(trials=40, more="max_failures = 40")
    for number in range(latest.ROW_LIMIT):
        claim = take(opened, study, dataclasses.replace(ME, name=f"elsewhere:{max(0, number - 2)}"))
        claims.tell(opened, claim, TrialState.FAIL, None, {records.REASON.name: f"error{'!' * number}"}, 1.0, {})
        seen = opened.write(lambda connection: accounts.lock(connection, study, "elsewhere:0")).signs
        assert (seen.fault, seen.suspected, seen.early, seen.in_row) == ("", number >= 2, number >= 2, number == 9)
        assert seen == opened.read(lambda connection: latest.read(connection, study.study_id, "elsewhere:0"))
    assert opened.write(lambda connection: accounts.lock(connection, study, "nobody")).signs.fault is None
    mine = schema.claims.c.worker == "elsewhere:0"
    opened.write(lambda c: c.execute(schema.claims.update().where(mine).values(fault_host=failures.ALONE)))
    assert opened.write(lambda connection: accounts.lock(connection, study, "elsewhere:0")).signs.fault == "alone"
    claims.tell(opened, take(opened, study), TrialState.COMPLETE, 1.0, {}, 1.0, {})
    seen = opened.write(lambda connection: accounts.lock(connection, study)).signs
    assert (seen.suspected, seen.early, seen.in_row) == (True, False, False)
