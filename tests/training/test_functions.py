"""An objective of the user's own: a generator of epochs, or a plain Optuna objective."""

import json
import math
import os
import pathlib
import re
import signal
import sys
import threading
import time
from typing import Any

import pytest
from conftest import ROOT, Processes
from optuna.trial import FrozenTrial, TrialState
from processes import ends, until

from search import cli, errors
from search.ledger import queues, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import functions
from search.worker import loops
from search.worker.settings import Settings

TEXT = """
objective = "{objective}"
[study]
name = "own"
direction = "minimize"
metric = "loss"
[space]
x = {{ low = -1.0, high = 1.0 }}
kind = ["a", "b"]
only = {{ choices = [1, 2], when = "kind == 'a'" }}
[pruning]
{pruning}
[budget]
trials = {trials}
{budget}
"""
MODULE = """
import math, time, warnings
import optuna

def epochs(trial):
    trial.set_user_attr("tag", trial.params["kind"])
    for epoch in range(4):
        yield trial.params["x"] ** 2 / (epoch + 1)

def plain(trial):
    x = trial.suggest_float("x", -1.0, 1.0)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        trial.suggest_categorical("only", [1, 2])
    for step in range(1, 5):
        trial.report(x * x / step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("tag", trial.number)
    return x * x / 4

def notes(trial):
    for name in ("seconds", "worker", "reason", "repeat", "traceback", "avg_loss", "seed"):
        trial.set_user_attr(name, "mine")
    yield 1.0
    trial.set_user_attr("late", trial.user_attrs.get("search:repeat", 0))
    if trial.number == 1:
        yield math.nan
    if trial.number == 2:
        raise RuntimeError("out of luck")

def notes_plainly(trial):
    generator = notes(trial)
    for step, value in enumerate(generator, 1):
        trial.report(value, step)
        if math.isnan(value):
            raise optuna.TrialPruned("nan")
    return value

def takes_ours(trial):
    trial.set_user_attr("search:seconds", 0.5)
    return 1.0

def nothing(trial):
    return
    yield

def diverges(trial):
    yield 1.0
    yield math.nan

def raises(trial):
    yield 1.0
    raise RuntimeError("out of luck")

def prunes_itself(trial):
    trial.report(0.5, 1)
    raise optuna.TrialPruned("not worth it")

def other_range(trial):
    return trial.suggest_float("x", 0.0, 1.0)

def no_such_parameter(trial):
    return trial.suggest_float("y", 0.0, 1.0)

def word(trial):
    return "much"

def sleeps(trial):
    trial.report(1.0, 1)
    time.sleep(3600)

def swallows(trial):
    trial.report(1.0, 1)
    try:
        time.sleep(3600)
    except Exception:
        raise optuna.TrialPruned("slept badly")

def forks(trial):
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return sum(pool.map(abs, [1, -2]))

def in_slots(trial):
    import os
    trial.set_user_attr("pid", os.getpid())
    trial.report(1.0, 1)
    if trial.number == 1:
        os._exit(7)
    time.sleep(0.4)
    return trial.params["x"]

def exits(trial):
    raise SystemExit(0)

def odd_step(trial):
    trial.report(1.0, 0.5)

def numpy_steps(trial):
    import numpy
    for step in numpy.arange(1, 4):
        trial.report(1.0 / step, step)
    return 0.5

def asks(trial):
    study = trial.study
    trial.set_user_attr("study", [study.study_name, study.direction.name, study.metric_names])
    trial.set_user_attr("same", trial.relative_params == trial.params)
    trial.set_user_attr("kinds", {name: type(each).__name__ for name, each in trial.distributions.items()})
    with warnings.catch_warnings(record=True):
        trial.set_user_attr("old", trial.suggest_uniform("x", -1.0, 1.0) == trial.params["x"])
    trial.suggest_categorical("kind", ("a", "b"))
    return 0.5

def reports_twice(trial):
    for value in (0.25, 0.5):
        for step in range(3):
            trial.report(value, step)
    return 0.5

def constrains(trial):
    trial.set_constraint("weight", 1.0)

def stores(trial):
    trial.storage.set_trial_system_attr(1, "key", 2)

not_a_function = 3
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_to_search.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_to_search", raising=False)


def text(function: str, trials: int = 1, pruning: str = "", budget: str = "max_failures = 0") -> str:
    return TEXT.format(objective=f"mine_to_search:{function}", trials=trials, pruning=pruning, budget=budget)


def searched(*settings: Any, **named: Any) -> tuple[summaries.Summary, list[FrozenTrial]]:
    """A whole study by one worker in this process."""
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, specs.parse(text(*settings, **named), "own.toml"))
    loops.Worker(database, study, functions.FunctionObjective(study.spec), threading.Event()).run()
    summary = summaries.whole(database, study)
    database.close()
    return summary, list(summary.trials)


def test_a_generator_of_epochs() -> None:
    """What it yields is reported step by step, the last is the value; attributes are kept; the lowest is the best."""
    summary, trials = searched("epochs", 12)
    assert [t.state for t in trials] == [TrialState.COMPLETE] * 12
    for trial in trials:
        x = float(trial.params["x"])
        assert trial.intermediate_values == pytest.approx({n: x * x / n for n in (1, 2, 3, 4)})
        assert trial.value == trial.intermediate_values[4]
        assert trial.user_attrs["tag"] == trial.params["kind"]
        assert ("only" in trial.params) == (trial.params["kind"] == "a")
    assert summary.best is not None
    assert summary.best.value == min(t.value for t in trials)


def test_a_plain_objective_with_a_pruner() -> None:
    """An Optuna objective runs unchanged: suggestions, reports, pruning by the study's pruner with its reason."""
    _, trials = searched("plain", 20, pruning='pruner = "median"')
    states = [t.state for t in trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == 20
    pruned = [t for t in trials if t.state == TrialState.PRUNED]
    assert pruned
    assert all(t.user_attrs["search:reason"].startswith("median pruner after epoch ") for t in pruned)
    assert all(t.value == t.intermediate_values[t.last_step] for t in pruned)
    assert all(t.user_attrs["tag"] == t.number for t in trials if t.state == TrialState.COMPLETE)


def test_slots_have_a_process_each() -> None:
    """Trials train at once, each in its own process; one that ends fails its trial and no other, and is replaced."""
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, specs.parse(text("in_slots", 7, budget="max_failures = 1"), "own.toml"))
    objective = functions.FunctionObjective(study.spec)
    loops.Worker(database, study, objective, threading.Event(), Settings(slots=3)).run()
    objective.close()
    trials = summaries.whole(database, study).trials
    database.close()
    failed = [t.number for t in trials if t.state == TrialState.FAIL]
    assert (len(trials), failed) == (8, [1])
    assert trials[1].user_attrs["search:reason"] == "its process was ended with exit code 7 inside the objective"
    assert len({t.user_attrs["pid"] for t in trials if t.number not in failed}) >= 3
    first = [t for t in trials if t.number in (0, 2)]
    assert max(t.datetime_start for t in first) < min(t.datetime_complete for t in first)


def test_hyperband_knows_how_long_a_trial_is() -> None:
    """From max_resource: its brackets begin at other steps, and end trials there."""
    pruning = 'pruner = "hyperband"\nmax_resource = 4\nreduction_factor = 2'
    _, trials = searched("plain", 30, pruning=pruning)
    reasons = {t.user_attrs["search:reason"].partition(":")[0] for t in trials if t.state == TrialState.PRUNED}
    assert {"halving after epoch 1", "halving after epoch 2"} <= reasons


@pytest.mark.parametrize(
    ("function", "state", "reason"),
    [
        ("nothing", TrialState.FAIL, "ValueError: the objective yielded nothing"),
        ("diverges", TrialState.PRUNED, "the 2. value is nan"),
        ("raises", TrialState.FAIL, "RuntimeError: out of luck"),
        ("prunes_itself", TrialState.PRUNED, "not worth it"),
        ("other_range", TrialState.FAIL, "ValueError: space.x is FloatDistribution("),
        ("no_such_parameter", TrialState.FAIL, "ValueError: the objective suggests y, which is not in the study file"),
        (
            "takes_ours",
            TrialState.FAIL,
            "ValueError: attribute 'search:seconds': names that begin with 'search:' are",
        ),
        ("exits", TrialState.FAIL, "SystemExit: 0"),
        ("odd_step", TrialState.FAIL, "ValueError: a step must be an integer from 0 to 2147483647, got 0.5"),
        ("constrains", TrialState.FAIL, "ValueError: set_constraint('weight'): no sampler here keeps to constraints"),
        ("stores", TrialState.FAIL, "Absent: trial.storage is not to be had inside an objective: "),
        ("word", TrialState.FAIL, "ValueError: what it returns must be a number, got 'much'"),
    ],
)
def test_what_goes_wrong_ends_the_trial_with_its_reason(function: str, state: TrialState, reason: str) -> None:
    """An objective that raises, yields nonsense, or suggests what the file does not have: FAIL or PRUNED, and why."""
    _, trials = searched(function)
    assert trials[0].state == state
    assert trials[0].user_attrs["search:reason"].startswith(reason)
    if state == TrialState.FAIL:
        assert "Traceback" in trials[0].user_attrs["search:traceback"]


@pytest.mark.parametrize("function", ["notes", "notes_plainly"])
def test_attributes_of_the_user_s_are_the_user_s(function: str) -> None:
    """Whatever they are called, and however the trial ends; ours stand beside them, under their prefix."""
    _, trials = searched(function, 2, budget="max_failures = 1")
    assert [t.state for t in trials] == [TrialState.COMPLETE, TrialState.PRUNED]
    ours = {"search:seconds", "search:worker", "search:code", "search:seed"}
    _check_notes(trials[0], ours)
    _check_notes(trials[1], ours | {"search:reason"})


def test_a_repeat_that_fails_keeps_them_too() -> None:
    """What was set before the error is stored, beside its reason; a repeat is found by its prefixed name."""
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, specs.parse(text("notes", 3, budget="max_failures = 1"), "own.toml"))
    queues.repeat(database, study, {"x": 0.5, "kind": "b"}, 3)
    loops.Worker(database, study, functions.FunctionObjective(study.spec), threading.Event()).run()
    trials = summaries.whole(database, study).trials
    database.close()
    assert [t.state for t in trials[:3]] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    ours = {"search:seconds", "search:worker", "search:code", "search:seed"}
    _check_notes(trials[1], ours | {"search:reason", "search:repeat"}, repeat=1)
    _check_notes(trials[2], ours | {"search:reason", "search:repeat", "search:traceback"}, repeat=2)
    assert trials[2].user_attrs["search:reason"] == "RuntimeError: out of luck"


def _check_notes(trial: FrozenTrial, ours: set[str], repeat: int = 0) -> None:
    names = ("seconds", "worker", "reason", "repeat", "traceback", "avg_loss", "seed")
    assert {name: trial.user_attrs[name] for name in names} == dict.fromkeys(names, "mine")
    assert trial.user_attrs["late"] == repeat
    assert set(trial.user_attrs) - {*names, "late"} == ours


def test_steps_of_numpy_are_integers() -> None:
    """Steps that are numpy's integers are stored as numbers, as Optuna does."""
    _, trials = searched("numpy_steps")
    assert trials[0].intermediate_values == {1: 1.0, 2: 0.5, 3: pytest.approx(1 / 3)}


def test_what_objectives_ask_a_trial_for() -> None:
    """The study's name and direction, distributions and what was sampled, also by Optuna's older calls."""
    _, trials = searched("asks")
    kinds = {"x": "FloatDistribution", "kind": "CategoricalDistribution"}
    kinds |= {"only": "CategoricalDistribution"} if trials[0].params["kind"] == "a" else {}
    asked = {name: trials[0].user_attrs[name] for name in ("study", "same", "kinds", "old")}
    assert asked == {"study": ["own", "MINIMIZE", ["loss"]], "same": True, "kinds": kinds, "old": True}


def test_the_first_value_of_a_step_stays() -> None:
    """Folds that each report from step 0 on end no trial, and the first one's values are kept, as Optuna does."""
    _, trials = searched("reports_twice")
    assert trials[0].intermediate_values == {0: 0.25, 1: 0.25, 2: 0.25}


@pytest.mark.slow
def test_an_objective_may_fork(processes: Processes, tmp_path: pathlib.Path) -> None:
    """Children of a multiprocessing pool end when the pool ends them: a worker's way with signals is not theirs."""
    (tmp_path / "own.toml").write_text(text("forks"))
    assert processes.run("create", "own.toml")[0] == 0
    code, output = processes.run("work", "own")
    assert code == 0, output
    assert json.loads(processes.run("status", "own", "--json")[1])["best"]["value"] == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_to_be_found:f", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("mine_to_search:g", "AttributeError: module 'mine_to_search' has no attribute 'g'"),
        ("mine_to_search:not_a_function", "objective must name a function, got 'mine_to_search:not_a_function'"),
        ("broken_to_search:f", "SyntaxError: "),
    ],
)
def test_a_function_that_is_not_to_be_had(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, name: str, message: str
) -> None:
    """`search run` says it in one line, with exit code 2, before anything is written."""
    (tmp_path / "broken_to_search.py").write_text("def f(:")
    (tmp_path / "own.toml").write_text(text("epochs").replace("mine_to_search:epochs", name))
    assert cli.main(["run", "own.toml", "--storage", "sqlite:///none.db"]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(errors.InputError):
        functions.check(specs.load(pathlib.Path("own.toml")))


@pytest.mark.slow
def test_code_that_never_looks_is_interrupted(processes: Processes, tmp_path: pathlib.Path) -> None:
    """SIGTERM, `stop --now` and the limit of an epoch reach an objective that sleeps."""
    file = tmp_path / "own.toml"
    file.write_text(text("sleeps"))
    assert processes.run("create", str(file))[0] == 0
    database = databases.Database(processes.url)
    study = studies.find(database, "own")
    assert study is not None

    def sleeping() -> bool:
        return any(
            t.intermediate_values for t in summaries.whole(database, study).trials if t.state == TrialState.RUNNING
        )

    asks = (lambda pid: os.kill(pid, signal.SIGTERM), lambda _: processes.run("stop", "own", "--now"))
    for ask, function in zip(asks, ("sleeps", "swallows"), strict=True):
        module = (tmp_path / "mine_to_search.py").read_text()
        (tmp_path / "mine_to_search.py").write_text(f"{module}\nsleeps = {function}\n")
        process = processes.start("work", "own", SEARCH_GRACE_SECONDS="3")
        until(sleeping, 30)
        asked = time.monotonic()
        ask(process.pid)
        assert ends([process]) == [0]
        assert time.monotonic() - asked < 10
        (trial,) = summaries.whole(database, study).trials
        assert trial.state == TrialState.WAITING
    file.write_text(text("sleeps", budget="max_failures = 0\nepoch_seconds = 1").replace('"own"', '"limited"'))
    assert processes.run("create", str(file))[0] == 0
    code, output = processes.run("work", "limited")
    assert code == 1
    assert "reason='EpochTimeout: epoch 2 took longer than budget.epoch_seconds = 1'" in output


@pytest.mark.slow
def test_the_example_of_the_docs(processes: Processes, tmp_path: pathlib.Path) -> None:
    """docs/your-own-model.md, typed as it stands: 20 trials by two workers, the best of them good."""
    page = (ROOT / "docs" / "your-own-model.md").read_text()
    for language, name in (("python", "digits.py"), ("toml", "digits.toml")):
        block = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)[0]  # the first of the page
        (tmp_path / name).write_text(block)
    assert len((tmp_path / "digits.py").read_text().strip().splitlines()) <= 12
    code, output = processes.run("run", "digits.toml", "--workers", "2")
    assert code == 0, output
    found = json.loads(processes.run("status", "digits", "--json")[1])
    assert found["trials"]["complete"] + found["trials"]["pruned"] == 20
    assert found["best"]["value"] > 0.9
    assert not math.isnan(found["training_seconds"])
    assert processes.run("report", "digits")[0] == 0
    assert "Best: trial " in (tmp_path / "report" / "report.md").read_text()
    code, output = processes.run("confirm", "digits", "--top", "2", "--workers", "1")
    assert (code, "every seed gave the same value: the objective does not use trial.seed" in output) == (0, True)
    best = str(found["best"]["number"])
    assert "the same values, to the last bit (20 steps)" in processes.run("replay", "digits", best)[1]
