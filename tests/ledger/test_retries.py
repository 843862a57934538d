"""Failed trials are put back as Optuna's own retries are, on every storage."""

import optuna
import pytest
from optuna.trial import TrialState
from trials import SAVED, Make, begin, fail, state, succeed, take, while_it_ends

from search import errors
from search.ledger import allocations, claims, configurations, failures, orders, retries, summaries
from search.storage import databases


def test_failed_trials_come_again_with_their_configuration(opened: databases.Database, make_study: Make) -> None:
    """As new trials, since Optuna's finished ones never change; Optuna's names say which they were; nothing counts."""
    study = make_study(trials=5, more="max_failures = 1")
    params = []
    for reason in ("ValueError: a", "KeyError: b"):
        claim = begin(opened, study)
        params.append(state(opened, study, claim.number).params)
        fail(opened, claim, reason)
    assert take(opened, study) is allocations.NoTrial.FAILURES
    assert retries.retry(opened, study) == {0: 2, 1: 3}
    assert summaries.whole(opened, study).failures == 0
    history = opened.history(study.study_id)
    for number in (2, 3):
        claim = take(opened, study)
        assert claim.number == number
        assert configurations.configure(opened, study, claim, history) == params[number - 2]
        assert state(opened, study, number).system_attrs["failed_trial"] == number - 2
        fail(opened, claim, "ValueError: again")
    assert retries.retry(opened, study, [3]) == {3: 4}
    assert state(opened, study, 4).system_attrs["retry_history"] == [1, 3]
    assert optuna.storages.RetryFailedTrialCallback.retried_trial_number(state(opened, study, 4)) == 1


def test_retry_names_what_cannot_be_put_back(opened: databases.Database, make_study: Make) -> None:
    """A number that is not there, a trial that ended well or runs, and one that was put back before: one line each."""
    study = make_study(trials=5)
    succeed(opened, begin(opened, study))
    fail(opened, begin(opened, study), "ValueError: a")
    begin(opened, study)
    assert retries.retry(opened, study, [1]) == {1: 3}
    for number, said in ((9, "has no trial 9"), (0, "COMPLETE"), (2, "RUNNING"), (1, "put back already, as trial 3")):
        with pytest.raises(errors.InputError, match=said):
            retries.retry(opened, study, [number])
    assert retries.retry(opened, study) == {}
    assert len(summaries.whole(opened, study).trials) == 4


def test_a_study_that_stopped_itself_goes_on_after_a_retry(opened: databases.Database, make_study: Make) -> None:
    """The repaired objective gets the same trials again, without another command."""
    study = make_study(trials=3)
    for _ in range(3):
        fail(opened, begin(opened, study), "ModuleNotFoundError: x")
    assert take(opened, study) is allocations.NoTrial.STOPPED
    assert list(retries.retry(opened, study)) == [0, 1, 2]
    assert summaries.whole(opened, study).order.state is orders.StudyState.ACTIVE
    assert take(opened, study).number == 3


def test_entries_of_the_queue_that_cannot_be_stay_failed(opened: databases.Database, make_study: Make) -> None:
    """A retry of all takes those that may end otherwise."""
    study = make_study(trials=3)
    failures.refuse(opened, take(opened, study), "DuplicateConfiguration: taken", {})
    fail(opened, begin(opened, study), "ValueError: a")
    assert retries.retry(opened, study) == {1: 2}


def test_a_trial_that_another_tool_left_running_is_put_back(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """Nobody adopts it, since it never beats; whoever knows that the tool has ended says so by its number."""
    study = make_study(trials=2)
    plain = optuna.load_study(study_name=study.name, storage=url).ask()
    plain.suggest_categorical("learning_rate", [1e-4, 1e-2, 1e-1])
    plain.report(0.5, 1)
    assert retries.retry(opened, study, [0]) == {0: 0}
    claim = begin(opened, study)
    ended = state(opened, study, 0)
    assert (claim.number, ended.state, ended.intermediate_values) == (0, TrialState.RUNNING, {})
    assert study.spec.space.is_complete(ended.params)


def test_a_trial_that_ends_in_this_moment_is_not_put_back(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """The tool that took it tells its result between the look and the write: the result stays."""
    study = make_study(trials=2)
    claims.hand_over(opened, begin(opened, study))
    plain = optuna.load_study(study_name=study.name, storage=url).ask()
    acting = while_it_ends(opened, plain._trial_id, lambda: retries.retry(opened, study, [0]))
    with pytest.raises(errors.InputError, match="trial 0"):
        acting.result()
    assert state(opened, study, 0).state == TrialState.COMPLETE


def test_what_another_tool_took_from_a_worker_s_hand_over_starts_over(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """A trial that was handed over with a checkpoint, asked for by a tool and put back, has its whole curve again."""
    study = make_study(trials=2)
    claim = begin(opened, study)
    claims.hand_over(opened, claim, 1.0, SAVED, {1: 0.25, 2: 0.5})
    plain = optuna.load_study(study_name=study.name, storage=url).ask()
    assert plain.number == claim.number
    assert retries.retry(opened, study, [0]) == {0: 0}
    again = take(opened, study)
    assert (again.number, again.saved) == (0, None)
    assert state(opened, study, 0).intermediate_values == {}
