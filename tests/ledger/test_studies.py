"""A study in the database, for us and for Optuna's own tools."""

import dataclasses

import optuna
import pytest
import sqlalchemy
from conftest import quick_text
from optuna.trial import TrialState
from trials import ME, PARAMS, Make, take

from search import errors
from search.ledger import claims, configurations, orders, queues, resumptions, rosters, studies, summaries
from search.storage import databases, schema
from search.study import specs


def test_optuna_reads_our_trials(opened: databases.Database, make_study: Make, url: str) -> None:
    """`optuna.load_study` on the address sees states, parameters, steps, values and attributes as its own."""
    study = make_study(trials=3)
    history = opened.history(study.study_id)
    one, two, three = (take(opened, study) for _ in range(3))
    params = [configurations.configure(opened, study, claim, history) for claim in (one, two, three)]
    for step, value in enumerate((0.2, float("nan"), 0.6), 1):
        claims.report(opened, one, {step: value}, 1.0, {"search:avg_losses": [1.0] * step})
    claims.tell(opened, one, TrialState.COMPLETE, 0.6, {"search:engine": "reference", "search:seconds": 1.0})
    claims.tell(opened, two, TrialState.PRUNED, None, {"search:reason": "hopeless"})
    plain = optuna.load_study(study_name=study.name, storage=url)
    assert [t.state.name for t in plain.trials] == ["COMPLETE", "PRUNED", "RUNNING"]
    assert [t.params for t in plain.trials] == params
    assert plain.best_trial.number == 0
    assert plain.best_value == 0.6
    steps = plain.trials[0].intermediate_values
    assert (steps[1], steps[3], len(steps)) == (0.2, 0.6, 3)
    assert plain.trials[0].user_attrs["search:engine"] == "reference"
    assert plain.trials[1].user_attrs["search:reason"] == "hopeless"
    finished = plain.trials[0]
    assert finished.duration is not None
    assert finished.duration.total_seconds() >= 0
    assert plain.direction == optuna.study.StudyDirection.MAXIMIZE
    assert plain.metric_names == ["accuracy"]
    optuna.trial.Trial(plain, plain.trials[2]._trial_id).report(0.5, 1)


def test_deleting_a_study_takes_our_rows_along(opened: databases.Database, make_study: Make, url: str) -> None:
    """Deleted by plain Optuna (as the dashboard does), a study leaves nothing behind, and its name is free again."""
    study = make_study(trials=3)
    configurations.configure(opened, study, take(opened, study), opened.history(study.study_id))
    optuna.delete_study(study_name=study.name, storage=url)
    for table in (schema.claims, schema.orders):
        rows = opened.read(lambda c, table=table: c.execute(sqlalchemy.select(table)).all())  # type: ignore[misc]
        assert rows == []
    again = make_study(trials=2)
    assert take(opened, again).number == 0


def test_a_second_study_of_a_name_is_refused(opened: databases.Database, make_study: Make) -> None:
    """Creating twice is an error that says how to go on, and changes nothing."""
    make_study(trials=3)
    with pytest.raises(errors.StudyExists, match="study 'quick' exists already; `search run quick` resumes it"):
        make_study(trials=4)
    found = studies.find(opened, "quick")
    assert found is not None
    assert summaries.whole(opened, found).budget == 3


def test_a_deleted_study_is_one_line(opened: databases.Database, make_study: Make, url: str) -> None:
    """Deleted in a dashboard under running workers, a study ends them with an error that says so."""
    study = make_study(trials=3)
    claim = take(opened, study)
    optuna.delete_study(study_name=study.name, storage=url)
    with pytest.raises(errors.TrialLost):
        claims.report(opened, claim, {1: 0.5}, 1.0, {})
    for call in (
        lambda: take(opened, study),
        lambda: summaries.summary(opened, study),
        lambda: summaries.whole(opened, study),
        lambda: orders.extend(opened, study, add=1),
    ):
        with pytest.raises(errors.StudyNotFound, match="was deleted"):
            call()


def test_what_an_edited_budget_asks_for_is_named_with_its_command(opened: databases.Database, make_study: Make) -> None:
    """The study keeps what is in force; typing the commands takes the file over, and then there is nothing to say."""
    study = make_study(trials=5, more="max_failures = 3")
    edited = specs.parse(quick_text(trials=9, more="max_failures = 7\nepoch_seconds = 60.5\nhours = 2.0"), "x")
    _, notes = resumptions.begin(opened, edited)
    assert notes == [
        "budget.trials of the file is 9, the study has 5: `search extend quick --to 9` takes it over",
        "budget.hours of the file is 2, the study has none: `search amend quick` takes it over",
        "budget.epoch_seconds of the file is 60.5, the study has none: "
        "`search extend quick --epoch-seconds 60.5` takes it over",
        "budget.max_failures of the file is 7, the study has 3: `search extend quick --failures 4` takes it over",
    ]
    orders.extend(opened, study, to=9, failures=4, epoch_seconds=60.5)
    _, notes = resumptions.begin(opened, edited)
    assert len(notes) == 1
    orders.extend(opened, study, add=1, epoch_seconds=0)
    assert opened.read(lambda c: orders.read(c, study)).epoch_seconds is None
    assert resumptions.begin(opened, specs.parse(quick_text(trials=5, more="max_failures = 3"), "x"))[1] == []


def test_an_id_that_is_given_out_again_is_another_study(opened: databases.Database, make_study: Make) -> None:
    """SQLite does that: a worker of the deleted one claims, extends, queues, signs and reads nothing of the new."""
    old = make_study(trials=5)
    opened.optuna.delete_study(old.study_id)
    new = make_study(trials=3)
    if new.study_id != old.study_id:  # Postgres does not
        new = dataclasses.replace(new)
        old = dataclasses.replace(old, study_id=new.study_id)
    for use in (
        lambda: take(opened, old),
        lambda: orders.extend(opened, old, add=1),
        lambda: orders.set_state(opened, old, orders.StudyState.PAUSED),
        lambda: queues.enqueue(opened, old, PARAMS),
        lambda: summaries.whole(opened, old),
        lambda: rosters.Entry(old, ME, "cpu", 30.0).show(opened),
    ):
        with pytest.raises(errors.StudyNotFound, match="deleted"):
            use()
    summary = summaries.whole(opened, new)
    assert (summary.budget, summary.trials) == (3, ())
