"""A function and a space as a study."""

import pathlib
from typing import Any

import optuna
import pytest

import search
from search import errors
from search.api import runs
from search.training import shipments

PACKED = shipments.Shipment("train:objective", "train", "module train")
SPACE = {"x": optuna.distributions.FloatDistribution(0, 1), "kind": ("a", None)}


def given(**more: Any) -> dict[str, Any]:
    return {"space": SPACE, "trials": 20, **more}


def test_what_is_said_is_what_a_file_would_say() -> None:
    """Each argument stands where the study file has it; the name is the program's and the function's."""
    more = {"direction": "minimize", "metric": "loss", "seed": 3, "sampler": {"name": "random"}, "pruner": "median"}
    spec = runs.specification(PACKED, None, given(**more, budget={"hours": 2}, enqueue=[{"x": 0.5, "kind": None}]))
    assert (spec.name, spec.objective) == ("train-objective", "train:objective")
    assert (spec.study.direction, spec.study.metric, spec.study.seed) == ("minimize", "loss", 3)
    assert (spec.sampler.name, spec.pruning.pruner) == ("random", "median")
    assert (spec.budget.trials, spec.budget.hours) == (20, 2)
    assert spec.enqueue == ({"x": 0.5, "kind": None},)
    assert runs.specification(PACKED, "other", given()).name == "other"
    for said in ("before", {"from": "before"}):
        warm = runs.specification(PACKED, None, given(warm_start=said)).warm_start
        assert warm is not None
        assert (warm.source, warm.storage) == ("before", None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trials": 0}, r"search.run\(objective\): budget.trials must be >= 1, got 0"),
        ({"space": {"x": {"low": 0.0}}}, r"search.run\(objective\): space.x.high is missing"),
        ({"space": {"x": [(1, 2)]}}, r"search.run\(objective\): space.x\[0\] must be a number, a string"),
        ({"space": {"x": object()}}, r"search.run\(objective\): what a study file can hold"),
        ({"sampler": "best"}, r"search.run\(objective\): sampler.name must be one of"),
        ({"budget": {"money": 3}}, r"search.run\(objective\): budget.money is not a known key"),
    ],
)
def test_what_is_wrong_is_said_as_of_a_file(wrong: dict[str, Any], message: str) -> None:
    """The call, the key, the rule and the value."""
    with pytest.raises(errors.StudyFileError, match=message):
        runs.specification(PACKED, None, given(**wrong))


@pytest.mark.parametrize("missing", ["space", "trials"])
def test_space_and_trials_are_needed(missing: str) -> None:
    """What is missing is named, with an example."""
    rest = {key: value for key, value in given().items() if key != missing}
    with pytest.raises(errors.StudyFileError, match=f"{missing} is missing, as in"):
        runs.specification(PACKED, None, rest)


def test_a_file_says_it_all_by_itself() -> None:
    """What belongs to a function is refused beside the name of a study, and neither is no study."""
    with pytest.raises(TypeError, match="got 'lab' with trials, which its file says"):
        search.run("lab", trials=3)
    with pytest.raises(TypeError, match="takes the name of a study, or a function"):
        search.run()


def test_no_search_begins_inside_an_import(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module without a guard, imported for its objective, would start a search that imports it, and so on."""
    (tmp_path / "unguarded.py").write_text(
        "import search\ndef objective(trial):\n    return 0.5\n"
        "search.run(objective, space={'x': [1]}, trials=1, storage='sqlite:///inner.db')\n"
    )
    (tmp_path / "own.toml").write_text(
        'objective = "unguarded:objective"\n[study]\nname = "own"\n[space]\nx = [1]\n[budget]\ntrials = 1\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        errors.InputError, match="search.run must not be called while 'unguarded:objective' is imported"
    ):
        search.run("own.toml", storage="sqlite:///own.db", workers=1)
    assert not (tmp_path / "inner.db").exists()


def test_a_lambda_needs_a_name() -> None:
    """Two of one program would share a study, whose second would be told of the first's results."""
    packed = shipments.Shipment("session:lambda", "session", "a session")
    with pytest.raises(errors.StudyFileError, match="name is missing: a lambda has none of its own"):
        runs.specification(packed, None, given())
    assert runs.specification(packed, "mine", given()).name == "mine"
