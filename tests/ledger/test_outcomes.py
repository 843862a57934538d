"""What an exit code says of a study that has ended."""

import json

import optuna
import pytest
from optuna.trial import TrialState
from trials import Make, begin, fail, succeed, take

from search.ledger import allocations, causes, claims, orders, outcomes, retries, sentences, studies, summaries
from search.storage import databases, schema
from search.training import records


def why(database: databases.Database, study: studies.Study) -> str | None:
    return outcomes.shortfall(summaries.whole(database, study))


@pytest.fixture
def three(opened: databases.Database) -> studies.Study:
    from conftest import quick_text

    from search.study import specs

    text = quick_text(name="three", trials=5, sampler="grid", hopeless="false")
    text = text.replace("{ low = 1, high = 128 }", "[32]").replace("{ low = 0, high = 6 }", "[0]")
    return studies.create(opened, specs.parse(text, "three.toml"))


def test_a_used_up_budget_with_a_best_trial_is_all(opened: databases.Database, make_study: Make) -> None:
    """Less is not, and says what goes on."""
    study = make_study(trials=2)
    succeed(opened, begin(opened, study))
    assert why(opened, study) == "its workers have ended; `search run quick` goes on"
    succeed(opened, begin(opened, study))
    assert why(opened, study) is None
    assert outcomes.is_well(opened, study)


def test_a_budget_that_was_all_pruned_has_no_best(opened: databases.Database, make_study: Make) -> None:
    """No next step can follow."""
    study = make_study(trials=1)
    claims.tell(opened, begin(opened, study), TrialState.PRUNED, 0.1, {})
    assert take(opened, study) is allocations.NoTrial.FINISHED
    assert (why(opened, study) or "").startswith("no trial is complete, so there is no best one; `search status quick`")
    assert not outcomes.is_well(opened, study)


def test_hours_are_a_budget(opened: databases.Database, make_study: Make) -> None:
    """Used up before the trials are, with a result: all that was asked for; without one: not."""
    study = make_study(trials=9, more="hours = 0.001")
    claim = begin(opened, study)
    claims.report(opened, claim, {1: 0.5}, 7200.0, {})
    succeed(opened, claim)
    assert take(opened, study) is allocations.NoTrial.HOURS
    assert why(opened, study) is None
    fruitless = make_study(name="fruitless", trials=9, more="hours = 0.001")
    claim = begin(opened, fruitless)
    claims.report(opened, claim, {1: 0.5}, 7200.0, {})
    fail(opened, claim, "no")
    assert take(opened, fruitless) is allocations.NoTrial.HOURS
    assert "no trial is complete" in (why(opened, fruitless) or "")


def test_a_space_with_a_result_for_each_configuration_is_all(opened: databases.Database, three: studies.Study) -> None:
    """A failed one among them is not: it can be put back, and then a result of it is all again."""
    for _ in range(2):
        succeed(opened, begin(opened, three))
    fail(opened, begin(opened, three), "RuntimeError: no")
    assert take(opened, three) is allocations.NoTrial.EXHAUSTED
    assert why(opened, three) == (
        "all 3 configurations of the space have been tried, and not all have a result; "
        "`search retry three` puts failed trials back"
    )
    retries.retry(opened, three)
    assert not summaries.whole(opened, three).is_answered
    succeed(opened, begin(opened, three))
    assert take(opened, three) is allocations.NoTrial.EXHAUSTED
    assert why(opened, three) is None


def test_a_configuration_that_was_put_back_is_one(opened: databases.Database, three: studies.Study) -> None:
    """Tried twice it is still one of three: the space is not exhausted."""
    for _ in range(2):
        fail(opened, begin(opened, three), "RuntimeError: no")
        retries.retry(opened, three)
    assert not summaries.whole(opened, three).is_exhausted


def test_what_ended_a_study_is_said(opened: databases.Database, make_study: Make) -> None:
    """Failures, with what to type; somebody's stop."""
    study = make_study(trials=9, more="max_failures = 0")
    fail(opened, begin(opened, study), "RuntimeError: no")
    assert take(opened, study) is allocations.NoTrial.FAILURES
    assert "1 trial failed, more than max_failures = 0 allows; the last, trial 0" in (why(opened, study) or "")
    stopped = make_study(name="stopped", trials=9)
    orders.set_state(opened, stopped, orders.StudyState.STOPPED)
    assert why(opened, stopped) == "it was stopped; `search run stopped` goes on"
    line = outcomes.line(summaries.whole(opened, stopped), "so")
    assert line == "study 'stopped': 0 of 9 trials done (no trial yet): so"


def test_a_failure_that_was_put_back_is_said_to_be(opened: databases.Database, make_study: Make) -> None:
    """Counts, reasons and their sums tell it from one that nobody has looked after."""
    study = make_study(trials=4)
    for _ in range(2):
        fail(opened, begin(opened, study), "RuntimeError: no")
    retries.retry(opened, study, [0])
    summary = summaries.whole(opened, study)
    assert sentences.state_counts(summary) == "1 failed, 1 waiting, 1 put back"
    assert sentences.reasons(summary, summary.trials) == [
        "trial 0 failed: RuntimeError: no; put back as trial 2",
        "trial 1 failed: RuntimeError: no",
    ]
    assert causes.count(opened, summary) == {"failed and put back, RuntimeError": 1, "failed, RuntimeError": 1}
    assert (summary.as_json()["put_back"], summary.as_json()["trials"]["failed"]) == (1, 2)


@pytest.mark.parametrize("history", ["no", 7, [], ["one"], [[1]], {"a": 1}, [True], None])
def test_a_history_of_another_kind_is_none(
    opened: databases.Database, make_study: Make, url: str, history: object
) -> None:
    """What another tool stores under Optuna's names for retries breaks neither status nor `search retry`."""
    study = make_study(trials=4)
    claim = begin(opened, study)
    study_id = opened.optuna.get_study_id_from_name(study.name)
    assert study_id == study.study_id
    value = json.dumps(history)
    row = {"trial_id": claim.trial_id, "key": records.RETRY_HISTORY, "value_json": value}
    opened.write(lambda c: c.execute(schema.system_attributes.insert().values(row)))
    fail(opened, claim, "RuntimeError: no")
    assert summaries.whole(opened, study).put_back == {}
    assert retries.retry(opened, study) == {0: 1}
    assert optuna.load_study(study_name=study.name, storage=url).trials[1].system_attrs[records.FAILED_TRIAL] == 0
