"""What a study file may say goes all the way: sampled, stored, reserved, told, and read again, on every database."""

import decimal
import json
import math
import pathlib
import uuid
from typing import Any

import hypothesis
import optuna
import pytest
import tomli_w
from conftest import Processes
from hypothesis import strategies
from optuna.trial import TrialState
from trials import begin, succeed

from search import errors
from search.ledger import claims, proposals, studies, summaries
from search.space import scalars, spaces
from search.storage import databases
from search.study import samplers, specs

# mostly what is taken, and now and then what is not
FLOATS = strategies.one_of(
    strategies.floats(-1e100, 1e100),
    strategies.floats(-10, 10),
    strategies.sampled_from(
        [0.0, 1.0, -1.0, 1e-300, 1e-12, 1e100, -1e100, 2.0**53, 1 + 2e-9, 5e-324, 1e308, 1 + 1e-16]
    ),
)
INTEGERS = strategies.one_of(
    strategies.integers(-(2**40), 2**40), strategies.integers(-20, 20), strategies.sampled_from([2**40, -(2**40), 2**70])
)  # fmt: skip
NAMES = strategies.text(strategies.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
TEXTS = strategies.text(strategies.characters(exclude_categories=["Cs"]), max_size=12)
NONE = {"none": True}
CHOICES = strategies.one_of(strategies.booleans(), INTEGERS, FLOATS, TEXTS, strategies.just(NONE))


@strategies.composite
def ranges(draw: Any) -> dict[str, Any]:
    numbers = draw(strategies.sampled_from([FLOATS, INTEGERS]))
    low, high = sorted((draw(numbers), draw(numbers)))
    entry: dict[str, Any] = {"low": low, "high": high}
    match draw(strategies.sampled_from(["", "log", "step", "constant"])):
        case "log":
            bounds = sorted((abs(low), abs(high)))
            entry = {"low": bounds[0] or type(low)(1), "high": bounds[1] or type(low)(1), "log": True}
        case "step" if isinstance(low, int):
            step = draw(strategies.integers(1, 9))
            entry |= {"step": step, "high": low + step * draw(strategies.integers(0, 1000))}
        case "step":
            step = draw(strategies.decimals("0.001", 1, places=3)) * decimal.Decimal(10) ** draw(
                strategies.integers(-90, 90)
            )
            first, last = draw(strategies.integers(-1000, 1000)), draw(strategies.integers(1, 1000))
            entry |= {"low": float(first * step), "step": float(step), "high": float((first + last) * step)}
        case "constant":
            entry["high"] = low
    return entry


DIMENSIONS = strategies.one_of(ranges(), strategies.lists(CHOICES, min_size=1, max_size=6, unique_by=repr))
SPACES = strategies.dictionaries(NAMES, DIMENSIONS, min_size=2, max_size=4)
LINES = strategies.dictionaries(NAMES, ranges(), min_size=2, max_size=4)


def text(space: dict[str, Any], sampler: str, trials: int = 50) -> str:
    head = {"objective": "mine:objective", "study": {"name": uuid.uuid4().hex, "direction": "minimize", "metric": "m"}}
    return tomli_w.dumps({**head, "space": space, "sampler": {"name": sampler}, "budget": {"trials": trials}})


def accepted(space: dict[str, Any], sampler: str) -> specs.StudySpec | None:
    """What `create` reads of it; None where it is refused, as it must be: in one line."""
    try:
        return specs.parse(text(space, sampler), "own.toml")
    except errors.StudyFileError as error:
        refused = str(error)
    assert "\n" not in refused
    return None


class Memory(optuna.storages.InMemoryStorage):
    """As a worker's history: what TPE would write of a proposal that is no trial yet stays unwritten."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        pass


def configurations(tree: spaces.Space, sampler: str, count: int) -> list[spaces.Params]:
    """Proposals of a sampler, each told before the next."""
    study = optuna.create_study(direction="minimize", storage=Memory())
    found = []
    for number in range(count):
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        trial.number = number
        known = optuna.Study(study.study_name, study._storage)  # a study keeps the trials that it has seen once
        found.append(proposals.propose(sampler, proposals.Ask(tree, known, trial, {}, 3)))
        kinds = {p.name: p.distribution for p in tree.parameters if p.name in found[-1]}
        study.add_trial(optuna.trial.create_trial(params=found[-1], distributions=kinds, value=float(number % 5)))
    return found


@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
@pytest.mark.parametrize("sampler", samplers.NAMES)
def test_what_is_accepted_every_sampler_proposes(sampler: str) -> None:
    """Of any space that a study file may have, every sampler that takes it proposes whole configurations inside it."""
    taken = []

    @hypothesis.settings(max_examples=10 if sampler == "gp" else 50, deadline=None, database=None, derandomize=True)
    @hypothesis.given(LINES if sampler == "cmaes" else SPACES)
    def check(space: dict[str, Any]) -> None:
        spec = accepted(space, sampler)
        if spec is None:
            return
        tree = spec.space
        taken.append(tree)
        if sampler == samplers.GRID:
            found = [params for params, _ in zip(tree.configurations(), range(30), strict=False)]
            assert len(found) == min(30, tree.size or 30)
        else:
            found = configurations(tree, sampler, 12 if sampler == "gp" else 14)
        for params in found:
            assert tree.holds(params)
            assert {name: type(value) for name, value in tree.widen(params).items()} == {
                name: type(value) for name, value in params.items()
            }

    check()
    assert len(taken) >= 5


def test_what_is_accepted_every_database_holds(opened: databases.Database) -> None:
    """Of any space that a study file may have, trials are given out, stored, told, and read with the same values."""
    taken = []

    @hypothesis.settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @hypothesis.given(SPACES, strategies.sampled_from(["random", "tpe", "qmc"]))
    def check(space: dict[str, Any], sampler: str) -> None:
        spec = accepted(space, sampler)
        if spec is None:
            return
        taken.append(spec)
        study = studies.create(opened, spec)
        size = spec.space.size
        for _ in range(3 if size is None else min(3, size)):
            succeed(opened, begin(opened, study))
        found = studies.load(opened, study.name)
        assert found.spec == spec
        summary = summaries.whole(opened, found)
        keys = {spec.space.key(trial.params) for trial in summary.trials}
        assert len(keys) == len(summary.trials) == summary.done
        assert not summary.outside
        for trial in summary.trials:
            assert spec.space.holds(trial.params)
            json.dumps(trial.params, allow_nan=False)

    check()
    assert len(taken) >= 8


MIXED = [1, True, "1", "true", 0, False, NONE, "none", 2.5]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "qmc", "gp"])
def test_every_choice_is_tried_once(opened: databases.Database, sampler: str) -> None:
    """1, true, "1", none and "none" are nine configurations to every sampler, each stored as what it is."""
    study = studies.create(opened, specs.parse(text({"x": MIXED}, sampler, trials=9), "own.toml"))
    for _ in MIXED:
        succeed(opened, begin(opened, study))
    found = [trial.params["x"] for trial in summaries.whole(opened, study).trials]
    wanted = [None if value == NONE else value for value in MIXED]
    assert sorted(map(repr, found)) == sorted(map(repr, wanted))
    assert summaries.whole(opened, study).is_exhausted


def test_a_sampler_learns_which_of_one_and_true_is_better(opened: databases.Database) -> None:
    """Where true is good and 1 is bad, the next proposals are true: the history tells them apart, as Optuna does not."""
    space = {"x": [1, True], "y": {"low": 0.0, "high": 1.0}}
    study = studies.create(opened, specs.parse(text(space, "random", trials=60), "own.toml"))
    tree = study.spec.space
    for _ in range(40):
        claim = begin(opened, study)
        params = opened.optuna.get_trial(claim.trial_id).params
        value = params["y"] + (0.0 if params["x"] is True else 1.0)
        claims.tell(opened, claim, TrialState.COMPLETE, value, {})
    history, drawn = opened.history(study.study_id), []
    for number in range(100, 130):
        trial = optuna.trial.create_trial(state=TrialState.RUNNING)
        trial.number = number
        ask = proposals.Ask(tree, history.study(True, tree.holds, tree.exact), trial, {}, 1)
        drawn.append(proposals.propose("tpe", ask)["x"])
    assert sum(value is True for value in drawn) > 20


OWN = """
objective = "values_objective:objective"
[study]
name = "{name}"
direction = "minimize"
metric = "loss"
[space]
"model.optimizer.lr" = {{ low = 1e-5, high = 0.1, log = true }}
"layer-1" = [1, true, "1"]
depth = {{ choices = [4, 8, "none"], none = true }}
"taux é" = {{ choices = ["a", "b"], when = "`layer-1` == true and depth in [4, none]" }}
[budget]
trials = 5
[[enqueue]]
depth = {{ none = true }}
"layer-1" = true
"""
OBJECTIVE = """
def objective(trial):
    assert type(trial.params["layer-1"]) in (int, bool, str)
    assert ("taux \\u00e9" in trial.params) == (trial.params["layer-1"] is True and trial.params["depth"] in (4, None))
    yield trial.params["model.optimizer.lr"]
"""


@pytest.mark.slow
def test_names_and_values_from_the_command_line_to_a_backup(processes: Processes, tmp_path: pathlib.Path) -> None:
    """A study with such names is run, steered, reported, backed up and restored by them, from the command line."""
    name = "Größe d'été 🚀"
    (tmp_path / "values_objective.py").write_text(OBJECTIVE)
    (tmp_path / "s.toml").write_bytes(b"\xef\xbb\xbf" + OWN.format(name=name).replace("\n", "\r\n").encode())
    code, output = processes.run("run", "s.toml", "--workers", "1")
    assert (code, "5 of 5 trials done (5 complete)" in output) == (0, True), output
    plain = name.encode("utf-8").decode().replace("é", "e\u0301")  # as a Mac types it
    for setting, value in (("depth=none", None), ('depth="none"', "none"), ("layer-1=true", True), ("layer-1=1", 1), ("layer-1='1'", "1")):  # fmt: skip
        code, output = processes.run("enqueue", plain, setting, "--json")
        assert code == 0, output
        (found,) = json.loads(output.splitlines()[-1])["params"].values()
        assert scalars.same(found, value)
    assert processes.run("extend", name, "--trials", "5")[0] == 0
    code, output = processes.run("run", name, "--workers", "1")
    assert "10 of 10 trials done (10 complete)" in output, output
    assert "search extend 'Größe d'\"'\"'été 🚀' --trials 10" in output
    assert processes.run("report", name)[0] == 0
    assert processes.run("backup", name, str(tmp_path / "b.db"))[0] == 0
    assert processes.run("rename", name, "50% [bold]")[0] == 0
    assert processes.run("restore", str(tmp_path / "b.db"))[0] == 0
    code, output = processes.run("status", "--json")
    first, second = json.loads(output.splitlines()[-1])
    assert [first["name"], second["name"]] == ["50% [bold]", name]
    assert first["best"] == second["best"]
    assert math.isfinite(first["best"]["value"])
