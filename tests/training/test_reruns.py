"""A stored trial of the user's own code, run again: the same bits, or how far off, and why."""

import pathlib
import sys
import threading

import mine
import pytest
from optuna.trial import FrozenTrial, TrialState

from search import errors
from search.ledger import queues, studies, summaries
from search.storage import databases
from search.study import specs
from search.training import functions, records, reruns, seeds
from search.worker import loops

CODE = """
import random
import optuna
import theirs

def epochs(trial):
    draw = random.Random(trial.seed)
    for epoch in range(5):
        yield trial.params["x"] + theirs.SIZE * draw.random()

def unseeded(trial):
    for epoch in range(3):
        yield random.random()

def plain(trial):
    return trial.params["x"] / 3

def prunes(trial):
    for step in (10, 20, 30):
        trial.report(trial.params["x"] * step, step)
        if step == 20:
            raise optuna.TrialPruned("enough of it")

def fails(trial):
    trial.report(1.0, 1)
    raise ValueError(f"x was {trial.params['x']}")

def has_no_number(trial):
    return float("nan")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "theirs.py").write_text("SIZE = 0.5\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def searched(
    function: str, trials: int = 1, pruning: str = "", repeats: int = 0
) -> tuple[specs.StudySpec, FrozenTrial]:
    """A study by one worker, and its last trial."""
    text = mine.text(f"mine:{function}", trials=trials).replace("[sampler]", f"{pruning}\n[sampler]")
    spec = specs.parse(text, "own.toml")
    return spec, worked(spec, repeats)


def worked(spec: specs.StudySpec, repeats: int = 0) -> FrozenTrial:
    """The last trial of a study."""
    database = databases.Database("sqlite:///own.db")
    study = studies.create(database, spec)
    if repeats:
        queues.repeat(database, study, {"x": 0.25}, repeats)
    objective = functions.FunctionObjective(spec)
    loops.Worker(database, study, objective, threading.Event()).run()
    objective.close()
    found = summaries.whole(database, study).trials[-1]
    database.close()
    return found


def rerun(spec: specs.StudySpec, trial: FrozenTrial) -> reruns.Rerun:
    objective = functions.FunctionObjective(spec)
    try:
        return reruns.rerun(trial, objective, spec)
    finally:
        objective.close()


def test_the_same_bits() -> None:
    """Code that seeds what is random with trial.seed says the same at each step, of a repeat too."""
    spec, trial = searched("epochs", 3, repeats=3)
    assert (records.repeat_of(trial), records.SEED.find(trial)) == (2, seeds.of(0, 2))
    found = rerun(spec, trial)
    assert (found.is_same, found.why, len(found.again)) == (True, (), 5)
    assert found.sentence() == (
        f"trial 2 trained again: the same values, to the last bit (5 steps); it ended with {trial.value}"
    )


def test_a_file_that_has_changed_is_named(folder: pathlib.Path) -> None:
    """The trial keeps a checksum of each of the user's files that were imported: what differs is told by name."""
    spec, trial = searched("epochs")
    assert set(records.CODE.read(trial, {})) == {"mine.py", "theirs.py"}
    (folder / "theirs.py").write_text("SIZE = 0.75\n")
    found = rerun(spec, trial)
    assert (found.is_same, found.why, list(found.differences)) == (
        False,
        ("theirs.py has changed since",),
        [1, 2, 3, 4, 5],
    )
    assert ", and it ended with the value " in found.sentence()
    assert found.as_json()["largest_difference"] == max(found.differences.values()) > 0
    (folder / "mine.py").write_text("def epochs(trial):\n    yield 0.0\n")
    assert rerun(spec, trial).why == ("mine.py has changed since", "theirs.py is no longer imported")


def test_what_nothing_explains() -> None:
    """Another value from the same code and seed: how far off it is, and what to look for."""
    spec, trial = searched("unseeded")
    found = rerun(spec, trial)
    assert (found.is_same, found.why) == (False, ())
    assert "differs in 3 of 3 steps, first in step 1, by 0." in found.sentence()
    assert found.sentence().endswith("is all that is random in it seeded with trial.seed?")


def test_a_value_without_steps() -> None:
    """A plain function that reports nothing is compared by what it returns."""
    spec, trial = searched("plain")
    found = rerun(spec, trial)
    assert found.sentence() == f"trial 0 trained again: the same value, to the last bit: {trial.value}"
    trial.value = 0.5
    off = rerun(spec, trial)
    assert (off.is_same, off.differences) == (False, {})
    assert ", stored is the value 0.5, 0." in off.sentence()


def test_a_pruned_trial_ends_where_it_did() -> None:
    """As many steps as are stored are run, whoever ended it, and whether its code asks for that or not."""
    spec, trial = searched("prunes")
    assert (trial.state, list(trial.intermediate_values)) == (TrialState.PRUNED, [10, 20])
    assert rerun(spec, trial).is_same
    del trial.intermediate_values[20]
    found = rerun(spec, trial)
    assert (found.is_same, list(found.again)) == (True, [10])


def test_a_failure_is_compared() -> None:
    """The same error after the same steps is the same; another one, or none, is told beside it."""
    spec, trial = searched("fails")
    found = rerun(spec, trial)
    assert (
        found.sentence()
        == f"trial {trial.number} trained again: it failed as it did, after 1 step: {trial.user_attrs['search:reason']}"
    )
    trial.user_attrs["search:reason"] = "ValueError: y"
    found = rerun(spec, trial)
    assert (found.is_same, found.differences) == (False, {})
    assert found.sentence().startswith(
        f"trial {trial.number} trained again: it ended with the error ValueError: x was "
    )


def test_nothing_to_compare() -> None:
    """A trial without any value has its reason said."""
    spec, trial = searched("has_no_number")
    with pytest.raises(
        errors.InputError, match="trial 0 has no values, so there is nothing to replay: the value is nan"
    ):
        rerun(spec, trial)


PROGRAM = """
command = ["{python}", "train.py", "--x={{x}}", "--seed", "{{seed}}"]
metric = {{ from = "stdout", pattern = 'loss=(\\S+)' }}
[study]
name = "own"
[space]
x = {{ low = 0.0, high = 1.0 }}
[sampler]
name = "random"
[budget]
trials = 1
"""


def test_a_program_is_run_again(folder: pathlib.Path) -> None:
    """Its files are those that its command names, and what it prints is compared as what a function yields."""
    code = (
        "import random, sys\nrandom.seed(int(sys.argv[3]))\nfor _ in range(3):\n    print(f'loss={random.random()}')\n"
    )
    (folder / "train.py").write_text(code)
    spec = specs.parse(PROGRAM.format(python=sys.executable), "own.toml")
    trial = worked(spec)
    assert (len(trial.intermediate_values), set(records.CODE.read(trial, {}))) == (3, {sys.executable, "train.py"})
    assert rerun(spec, trial).is_same
    (folder / "train.py").write_text(code.replace("range(3)", "range(2)"))
    found = rerun(spec, trial)
    assert (found.why, list(found.differences)) == (("train.py has changed since",), [3])
    assert "it reported 1 step fewer than are stored, and it ended with" in found.sentence()
