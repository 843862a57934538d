"""Configurations that wait, and repeats of them."""

import optuna
import pytest
from optuna.trial import TrialState
from trials import PARAMS, Make, take

from search import errors
from search.ledger import claims, configurations, queues, summaries
from search.storage import databases


def test_an_enqueued_duplicate_is_refused_when_enqueued(opened: databases.Database, make_study: Make) -> None:
    """The error names the trial that has the configuration, whatever became of it."""
    study = make_study(trials=3)
    queues.enqueue(opened, study, {**PARAMS, "batch_size": 50})
    queues.enqueue(opened, study, PARAMS)
    with pytest.raises(errors.DuplicateConfiguration, match="trial 1 has this configuration already"):
        queues.enqueue(opened, study, PARAMS)
    assert len(summaries.whole(opened, study).trials) == 2


def test_repeats_are_asked_for_explicitly(opened: databases.Database, make_study: Make) -> None:
    """The same configuration again, with training seeds it has not had, inside the budget; no other trial gets it."""
    study = make_study(trials=5)
    history = opened.history(study.study_id)
    assert queues.enqueue(opened, study, PARAMS) == 0
    assert queues.repeat(opened, study, PARAMS, 2) == [1, 2]
    assert queues.repeat(opened, study, PARAMS, 1) == [3]
    with pytest.raises(errors.DuplicateConfiguration):
        queues.enqueue(opened, study, PARAMS)
    taken = [take(opened, study) for _ in range(5)]
    assert [claim.repeat for claim in taken] == [0, 1, 2, 3, 0]
    params = [configurations.configure(opened, study, claim, history) for claim in taken]
    assert params[:4] == [PARAMS] * 4
    assert params[4] != PARAMS
    claims.tell(opened, taken[1], TrialState.FAIL, None, {})
    assert queues.repeat(opened, study, PARAMS, 1) == [5]
    again = take(opened, study)
    assert (again.number, again.repeat) == (5, 4)
    assert [t.user_attrs.get("search:repeat") for t in summaries.whole(opened, study).trials] == [
        None,
        1,
        2,
        3,
        None,
        4,
    ]
    claims.hand_over(opened, again)
    assert take(opened, study).repeat == 4
    with pytest.raises(errors.InputError, match=r"a repeat needs a whole configuration, \['batch_size'\] is not given"):
        queues.repeat(opened, study, {"learning_rate": 0.1, "depth": 0}, 1)


def test_optunas_own_tools_may_enqueue(opened: databases.Database, make_study: Make, url: str) -> None:
    """`study.enqueue_trial` of plain Optuna is honoured, partial ones are completed, bad ones fail with a reason."""
    study = make_study(trials=10)
    plain = optuna.load_study(study_name=study.name, storage=url)
    plain.enqueue_trial(PARAMS)
    plain.enqueue_trial({"depth": 3, "activation": "GELU"})
    plain.enqueue_trial({"learning_rate": 7.0})
    plain.enqueue_trial(PARAMS)
    history = opened.history(study.study_id)
    assert configurations.configure(opened, study, take(opened, study), history) == PARAMS
    completed = configurations.configure(opened, study, take(opened, study), history)
    assert (completed["depth"], completed["activation"]) == (3, "GELU")
    assert study.spec.space.is_complete(completed)
    with pytest.raises(
        errors.ImpossibleConfiguration, match=r"learning_rate must be one of 0.0001, 0.01, 0.1, got 7.0"
    ):
        configurations.configure(opened, study, take(opened, study), history)
    with pytest.raises(errors.DuplicateConfiguration):
        configurations.configure(opened, study, take(opened, study), history)
