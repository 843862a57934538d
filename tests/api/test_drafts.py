"""Study files written for define-by-run objectives."""

import pathlib
import threading
import time

import pytest

from search import cli, errors
from search.api import drafts
from search.ledger import studies, summaries
from search.storage import databases
from search.study import specs
from search.training import functions
from search.worker import loops

MODULE = """
import time
import optuna

def objective(trial):
    kind = trial.suggest_categorical("kind", ("svm", None, True, 3))
    if kind == "svm":
        x = trial.suggest_float("model.c", 1e-3, 10, log=True)
        trial.suggest_int("degree", 1, 10, step=2)
    else:
        x = sum(trial.suggest_int(f"units {n}", 4, 128) for n in range(trial.suggest_int("layers", 1, 3)))
    for step in range(3):
        trial.report(x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x

def changes(trial):
    trial.suggest_float("x", 0, trial.suggest_int("most", 1, 3))

def rich(trial):
    trial.suggest_categorical("layers", [(64, 64), (128,)])

def silent(trial):
    return trial.params["x"]

def lasting(trial):
    if trial.suggest_categorical("kind", ["a", "b"]) == "b":
        trial.suggest_int("depth", 1, 2)
    time.sleep(300)
    trial.suggest_float("late", 0, 1)

def fails(trial):
    trial.suggest_float("x", 0, 1)
    if trial.suggest_categorical("kind", ["a", "b"]) == "b":
        raise RuntimeError("no data")
    return 1.0

if __name__ == "__main__":
    optuna.create_study().optimize(objective, n_trials=30)
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_draft.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)


def test_a_define_by_run_objective() -> None:
    """Every branch of it is found, with what its script says; the file's study has no trial that fails."""
    assert cli.main(["init", "mine_to_draft.py:objective", "--output", "own.toml", "--metric", "score"]) == 0
    spec = specs.load(pathlib.Path("own.toml"))
    assert (spec.objective, spec.name, spec.study.direction) == ("mine_to_draft:objective", "own", "minimize")
    assert (spec.study.metric, spec.budget.trials, spec.pruning.pruner) == ("score", 30, "median")
    assert {p.name: (str(p.distribution), p.when and str(p.when)) for p in spec.space.parameters} == {
        "kind": ("CategoricalDistribution(choices=('svm', None, True, 3))", None),
        "model.c": ("FloatDistribution(high=10.0, log=True, low=0.001, step=None)", "kind == 'svm'"),
        "degree": ("IntDistribution(high=9, log=False, low=1, step=2)", "kind == 'svm'"),
        "layers": ("IntDistribution(high=3, log=False, low=1, step=1)", "kind != 'svm'"),
        "units 0": ("IntDistribution(high=128, log=False, low=4, step=1)", "kind != 'svm'"),
        "units 1": ("IntDistribution(high=128, log=False, low=4, step=1)", "layers > 1"),
        "units 2": ("IntDistribution(high=128, log=False, low=4, step=1)", "layers > 2"),
    }
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, spec)
    loops.Worker(database, study, functions.FunctionObjective(spec), threading.Event()).run()
    assert not summaries.summary(database, study).failures
    database.close()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("changes", "mine_to_draft:changes: parameter x must have one range, which a study file can hold, got Float"),
        ("rich", "mine_to_draft:rich: nothing was suggested: ValueError: suggest_categorical('layers'): a study file"),
        ("silent", "mine_to_draft:silent: nothing was suggested: KeyError: 'x'"),
        ("absent", "AttributeError: module 'mine_to_draft' has no attribute 'absent'"),
    ],
)
def test_what_no_file_can_hold(function: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which parameter and why, and nothing is written."""
    assert cli.main(["init", f"mine_to_draft:{function}"]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert message in printed[-1]
    assert not pathlib.Path("mine_to_draft.toml").exists()


def test_one_that_lasts_is_ended(capsys: pytest.CaptureFixture[str]) -> None:
    """The time is kept, conditions are told from what was suggested, and the file says that there may be more."""
    began = time.monotonic()
    assert cli.main(["init", "mine_to_draft:lasting", "--seconds", "6"]) == 0
    assert time.monotonic() - began < 30
    text = pathlib.Path("mine_to_draft.toml").read_text()
    assert "# It was ended before it returned: what it would suggest later is not here.\n" in text
    assert """depth = { low = 1, high = 2, when = "kind == 'b'" }""" in text
    assert "The time was over before all was tried: --seconds gives it more." in capsys.readouterr().out


def test_a_branch_that_fails_is_told() -> None:
    """With its values and the error; what was seen is written, and a file that is there is not replaced unasked."""
    draft = drafts.init("mine_to_draft.py:fails", trials=3)
    text = draft.path.read_text()
    assert "# It failed at x = 0.5, kind = b" in text
    assert "RuntimeError: no data. What it would suggest later is not here.\n" in text
    assert "# Not seen: what it suggests at kind = b.\n" in text
    with pytest.raises(errors.InputError, match="is there already; --force replaces it"):
        drafts.init("mine_to_draft.py:fails")


@pytest.mark.parametrize("target", ["mine_to_draft.py", "mine_to_draft:", "a b:c", "nowhere.py:f", "a-b.py:f"])
def test_a_target_must_be_one(target: str) -> None:
    """A file, or a module, and a function; what is wrong is said before anything runs."""
    pathlib.Path("a-b.py").write_text("")
    with pytest.raises(errors.InputError, match="init"):
        drafts.init(target)
