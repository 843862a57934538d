"""Callbacks of other frameworks, unmodified, inside an objective of the user's own."""

import pathlib
import threading

import pytest
from optuna.trial import TrialState

from search.ledger import studies, summaries
from search.storage import databases
from search.study import specs
from search.training import functions
from search.worker import loops

DATA = """
from sklearn import datasets, model_selection
from optuna_integration import LightGBMPruningCallback, XGBoostPruningCallback

x, y = datasets.load_breast_cancer(return_X_y=True)
train_x, test_x, train_y, test_y = model_selection.train_test_split(x, y, random_state=0)

def lightgbm(trial):
    import lightgbm
    settings = {"objective": "binary", "metric": "auc", "verbosity": -1, "num_threads": 1}
    settings["learning_rate"] = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    test = lightgbm.Dataset(test_x, label=test_y)
    callback = LightGBMPruningCallback(trial, "auc")
    model = lightgbm.train(settings, lightgbm.Dataset(train_x, label=train_y), 5, [test], callbacks=[callback])
    return model.best_score["valid_0"]["auc"]

def xgboost(trial):
    import xgboost
    settings = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}
    settings["eta"] = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    test = xgboost.DMatrix(test_x, label=test_y)
    callback, results = XGBoostPruningCallback(trial, "test-auc"), {}
    train = xgboost.DMatrix(train_x, label=train_y)
    xgboost.train(settings, train, 5, [(test, "test")], callbacks=[callback], evals_result=results, verbose_eval=False)
    return results["test"]["auc"][-1]
"""
TEXT = """
objective = "boosted:{name}"
[study]
name = "boosted"
metric = "auc"
[space]
rate = {{ low = 1e-4, high = 1.0, log = true }}
[sampler]
name = "random"
[pruning]
pruner = "median"
startup_trials = 2
[budget]
trials = 8
max_failures = 0
"""


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_callback_prunes(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's own for LightGBM and XGBoost: every round is reported, from 0 on, and the study's pruner ends trials."""
    (tmp_path / "boosted.py").write_text(DATA)
    monkeypatch.chdir(tmp_path)
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, specs.parse(TEXT.format(name=name), "boosted.toml"))
    loops.Worker(database, study, functions.FunctionObjective(study.spec), threading.Event()).run()
    trials = summaries.whole(database, study).trials
    database.close()
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.PRUNED}, [t.user_attrs for t in trials]
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    assert all(sorted(t.intermediate_values) == [0, 1, 2, 3, 4] for t in complete)
    assert all(t.value == t.intermediate_values[4] for t in complete)
    assert all(t.user_attrs["search:reason"].startswith("median pruner") for t in trials if t not in complete)
