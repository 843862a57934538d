"""Whose doing a failure is, and what it means for the workers that ask for a trial; on every storage."""

from optuna.trial import TrialState
from trials import GONE, ME, Make, begin, fail, state, succeed, take

from search.ledger import allocations, claims, failures, orders, presence, summaries
from search.storage import databases
from search.training import records

BAD = presence.Identity("bad:1", "bad-host/pid", 1, 0.0)
GOOD = presence.Identity("good:1", "good-host/pid", 1, 0.0)
OTHER = presence.Identity("other:1", "third-host/pid", 1, 0.0)


def test_a_fault_is_tried_three_times_on_one_machine(opened: databases.Database, make_study: Make) -> None:
    """The trial keeps its number and configuration; the third fault is a FAIL that counts in no limit."""
    study = make_study(trials=1, more="max_failures = 0")
    first = begin(opened, study)
    params = state(opened, study, 0).params
    for number in range(failures.FAULT_LIMIT):
        claim = first if number == 0 else take(opened, study)
        assert (claim.number, claim.how) == (0, "created" if number == 0 else "waiting")
        progress = claims.Progress(7.0, {number + 1: 0.5}, {"seen": number})
        assert failures.fault(opened, claim, ME, "OSError: no space left", {}, progress) is (number == 2)
    ended = state(opened, study, 0)
    assert (ended.state, ended.params) == (TrialState.FAIL, params)
    assert ended.user_attrs[records.REASON.name] == (
        "OSError: no space left (not the objective's doing; tried 3 times)"
    )
    assert ended.user_attrs["seen"] == 2
    assert summaries.whole(opened, study).failures == 0
    assert take(opened, study).number == 1


def test_a_fault_on_a_second_machine_is_the_last(opened: databases.Database, make_study: Make) -> None:
    """What fails on two machines is not the machine's; a third is not asked, and the first takes others meanwhile."""
    study = make_study(trials=3)
    failures.fault(opened, begin(opened, study, BAD), BAD, "RuntimeError: broken", {})
    assert begin(opened, study, GOOD).number == 0
    assert take(opened, study, BAD).number == 1
    owned = state(opened, study, 0)
    assert owned.state == TrialState.RUNNING
    claim = opened.read(
        lambda c: c.execute(failures.rows.select().where(failures.rows.c.trial_id == owned._trial_id)).one()
    )
    mine = claims.Claim(study.study_id, owned._trial_id, 0, claim.owner, claim.generation, {}, {}, 0.0, "waiting")
    assert failures.fault(opened, mine, GOOD, "RuntimeError: broken", {})
    assert state(opened, study, 0).user_attrs[records.REASON.name].endswith("tried 2 times, on two machines)")


def test_what_failed_here_waits_for_another_machine(opened: databases.Database, make_study: Make) -> None:
    """Another waiting trial is taken before one that this machine could not train."""
    study = make_study(trials=2)
    first, second = begin(opened, study, BAD), begin(opened, study, GOOD)
    failures.fault(opened, first, BAD, "RuntimeError: broken", {})
    claims.hand_over(opened, second)
    assert take(opened, study, BAD).number == 1
    assert take(opened, study, BAD).number == 0  # nobody else is there


def test_refused_entries_of_the_queue_count_in_no_limit(opened: databases.Database, make_study: Make) -> None:
    """Three that cannot be end with their reason; the study neither fails nor stops for it."""
    study = make_study(trials=1, more="max_failures = 0")
    for _ in range(4):
        failures.refuse(opened, take(opened, study), "DuplicateConfiguration: taken", {})
    assert take(opened, study).number == 4
    summary = summaries.whole(opened, study)
    assert (summary.failures, summary.order.reason) == (0, None)


def test_the_same_error_three_times_at_the_start_stops_the_study(opened: databases.Database, make_study: Make) -> None:
    """Numbers in it may differ; the error is shown; `resume` lets it go on, and one more of it stops it again."""
    study = make_study(trials=50)
    for number in range(3):
        fail(opened, begin(opened, study), f"ModuleNotFoundError: no module named 'x' (trial {number})")
    assert take(opened, study) is allocations.NoTrial.STOPPED
    summary = summaries.whole(opened, study)
    assert summary.order.state is orders.StudyState.STOPPED
    assert summary.order.reason == (
        "its last 3 trials failed with the same error, and none ended well: "
        "trial 2, ModuleNotFoundError: no module named 'x' (trial 2)"
    )
    orders.set_state(opened, study, orders.StudyState.ACTIVE)
    assert summaries.whole(opened, study).order.reason is None


def test_other_errors_or_a_success_let_the_study_go_on(opened: databases.Database, make_study: Make) -> None:
    """Three different errors, or three equal ones after a trial that ended well, are for `max_failures`."""
    study = make_study(trials=50)
    for reason in ("ValueError: a", "ValueError: b", "KeyError: c"):
        fail(opened, begin(opened, study), reason)
    succeed(opened, begin(opened, study))
    for _ in range(4):
        fail(opened, begin(opened, study), "ValueError: the same")
    assert take(opened, study).number == 8


def test_early_errors_wait_for_what_others_run(opened: databases.Database, make_study: Make) -> None:
    """One worker's three failures decide nothing while another trains its first: it will show whose doing it was."""
    study = make_study(trials=50)
    running = begin(opened, study, GOOD)
    for _ in range(3):
        fail(opened, begin(opened, study, BAD), "OSError: no such device")
    assert take(opened, study, BAD) is allocations.NoTrial.WAIT
    fail(opened, running, "OSError: no such device")
    assert take(opened, study, GOOD) is allocations.NoTrial.STOPPED


def test_a_worker_that_fails_alone_takes_itself_out(opened: databases.Database, make_study: Make) -> None:
    """Its trials are put back for the others and count no longer: a bad machine does not end a study of three."""
    study = make_study(trials=9, more="max_failures = 2")
    running = begin(opened, study, GOOD)
    lost = []
    for _ in range(3):
        claim = begin(opened, study, BAD)
        lost.append(state(opened, study, claim.number).params)
        fail(opened, claim, "RuntimeError: CUDA error")
    assert take(opened, study, BAD) is allocations.NoTrial.WAIT
    succeed(opened, running)
    assert take(opened, study, BAD) is allocations.NoTrial.ALONE
    assert summaries.whole(opened, study).failures == 0
    again = [take(opened, study, GOOD) for _ in range(3)]
    assert [claim.how for claim in again] == ["waiting"] * 3
    assert [claim.fixed for claim in again] == lost
    assert take(opened, study, BAD) is allocations.NoTrial.ALONE
    assert take(opened, study, OTHER).number == 7


def test_workers_that_all_fail_end_the_study(opened: databases.Database, make_study: Make) -> None:
    """Where the others' trials fail too it is the objective, and `max_failures` ends the study for all."""
    study = make_study(trials=50, more="max_failures = 5")
    succeed(opened, begin(opened, study, GOOD))
    for number in range(6):
        fail(opened, begin(opened, study, BAD if number % 2 else GOOD), f"ValueError: {'ab'[number % 2]}")
    assert take(opened, study, BAD) is allocations.NoTrial.FAILURES
    assert take(opened, study, GOOD) is allocations.NoTrial.FAILURES


def test_a_row_of_faults_ends_a_study_that_went_well(opened: databases.Database, make_study: Make) -> None:
    """Ten trials in a row that fail for reasons of nobody stop it with the last one: nothing is tried for ever."""
    study = make_study(trials=50)
    succeed(opened, begin(opened, study))
    for _ in range(failures.ROW_LIMIT * failures.FAULT_LIMIT):
        claim = take(opened, study)
        assert isinstance(claim, claims.Claim)
        failures.fault(opened, claim, ME, "RuntimeError: the sampler is broken", {})
    assert take(opened, study) is allocations.NoTrial.STOPPED
    reason = summaries.whole(opened, study).order.reason or ""
    assert reason.startswith("its last 10 trials failed, none by what the objective did: trial 10, RuntimeError")


def test_too_many_failures_wait_for_those_that_run(opened: databases.Database, make_study: Make) -> None:
    """No trial begins, and the study ends when the last one has; an orphan is still adopted."""
    study = make_study(trials=9, more="max_failures = 1")
    running = begin(opened, study, GONE)
    for reason in ("ValueError: a", "KeyError: b"):
        fail(opened, begin(opened, study), reason)
    assert take(opened, study) is allocations.NoTrial.WAIT
    succeed(opened, running)
    assert take(opened, study) is allocations.NoTrial.FAILURES
    assert orders.extend(opened, study, failures=1).max_failures == 2
    assert take(opened, study).number == 3
