"""Trials by plain SQL are those that Optuna reads."""

import math

import optuna
import pytest
from optuna.trial import TrialState

from search.storage import databases, trials


def filled(url: str, directions: int = 1) -> optuna.Study:
    """A study with trials in every state, values that are no finite numbers, and every kind of parameter."""
    study = optuna.create_study(storage=url, directions=["maximize"] * directions)

    def objective(trial: optuna.Trial) -> list[float]:
        x = trial.suggest_float("x", 1e-4, 1.0, log=True)
        if trial.suggest_categorical("kind", ["a", None, True, 2.5]) == "a":
            trial.suggest_int("n", 1, 9, step=2)
        for step, value in enumerate((x, math.nan, math.inf, -math.inf)):
            trial.report(value, 3 - step) if directions == 1 else None
        trial.set_user_attr("note", {"nested": [1, None, "é"]})
        if trial.number % 5 == 1:
            raise optuna.TrialPruned
        if trial.number % 5 == 2:
            raise ValueError("bad luck")
        return [math.inf if trial.number == 3 else x] * directions

    study.enqueue_trial({"x": 0.5}, user_attrs={"from": "queue"})
    study.optimize(objective, n_trials=12, catch=ValueError)
    study.ask()
    study.enqueue_trial({"x": 0.25})
    return study


@pytest.mark.parametrize("directions", [1, 2])
def test_all_of_a_study(url: str, directions: int) -> None:
    """Every field of every trial, in every state, with one objective and with two."""
    study, database = filled(url, directions), databases.Database(url)
    filled(url)  # another study, beside it
    read = database.read(lambda c: trials.read(c, study._study_id))
    assert [repr(trial) for trial in read] == [repr(trial) for trial in _sorted(study)]
    assert {trial.state for trial in read} == set(TrialState)
    database.close()


def test_some_of_a_study(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of given ids, few or many, with the attributes that are asked for."""
    study, database = filled(url), databases.Database(url)
    whole = _sorted(study)
    ids = [trial._trial_id for trial in whole if trial.number % 2]
    for limit in (trials.WHOLE_FROM, 2):
        monkeypatch.setattr(trials, "WHOLE_FROM", limit)
        monkeypatch.setattr(trials, "BATCH", 2)
        found = database.read(lambda c: trials.read(c, study._study_id, ids))
        assert [repr(trial) for trial in found] == [repr(trial) for trial in whole if trial.number % 2]
        (one,) = database.read(lambda c: trials.read(c, study._study_id, [whole[0]._trial_id], ["from"], steps=False))
        assert (one.user_attrs, one.system_attrs, one.intermediate_values) == ({"from": "queue"}, {}, {})
    database.close()


def _sorted(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """As Optuna reads them; it leaves the order of steps to the database."""
    found = study.get_trials()
    for trial in found:
        trial.intermediate_values = dict(sorted(trial.intermediate_values.items()))
    return found
