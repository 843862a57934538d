import itertools

import pytest
from conftest import ROOT
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search.space import parameters, spaces
from search.study import specs

LAB = specs.load(ROOT / "studies" / "lab.toml").space


def tree(**parameters: parameters.Parameter) -> spaces.Space:
    return spaces.Space.arrange(parameters)


def parameter(name: str, choices: list[object], when: str | None = None) -> parameters.Parameter:
    return parameters.Parameter(
        name, CategoricalDistribution(choices), parameters.Condition.parse(when) if when else None
    )  # type: ignore[arg-type]


def everything(space: spaces.Space) -> set[str]:
    """All configurations by brute force."""
    found = set()
    for values in itertools.product(*(p.values or () for p in space.parameters)):
        row = dict(zip((p.name for p in space.parameters), values, strict=True))
        found.add(space.key(space.complete(lambda p, _, row=row: row[p.name])))  # type: ignore[misc]
    return found


def test_the_labs_space_has_21120_configurations() -> None:
    """3 x 128 x (6 x 3 x 3 + 1): depth 0 counts once per learning rate and batch size."""
    assert LAB.size == 21_120
    assert len(everything(LAB)) == 21_120
    walked = [LAB.key(params) for params in LAB.configurations()]
    assert len(walked) == 21_120
    assert set(walked) == everything(LAB)


def test_size_counts_branches_of_branches() -> None:
    """A branch below a branch is counted where both exist; a continuous dimension has no size."""
    space = tree(
        a=parameter("a", [0, 1, 2]),
        b=parameter("b", ["x", "y"], "a > 0"),
        c=parameter("c", [1, 2, 3], "b == 'x'"),
    )
    assert space.size == len(everything(space)) == 1 + 2 * (3 + 1)
    assert tree(a=parameter("a", [1]), r=parameters.Parameter("r", FloatDistribution(0.1, 1.0))).size is None


def test_parents_come_before_branches() -> None:
    """A branch may stand before its parent in the file."""
    space = tree(b=parameter("b", [1], "a > 0"), a=parameter("a", [0, 1]), z=parameter("z", [1]))
    assert [p.name for p in space.parameters] == ["a", "b", "z"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth > 0", parameters.Condition("depth", ">", 0)),
        ("rate<=1e-2", parameters.Condition("rate", "<=", 0.01)),
        ("activation == 'ReLU'", parameters.Condition("activation", "==", "ReLU")),
        ('activation != "ReLU"', parameters.Condition("activation", "!=", "ReLU")),
    ],
)
def test_conditions_are_read(text: str, expected: parameters.Condition) -> None:
    """A condition is a name, an operator and a number or quoted string."""
    assert parameters.Condition.parse(text) == expected


@pytest.mark.parametrize("text", ["", "depth", "depth >", "> 0", "depth = 0", "depth > zero", "depth > 0 and x > 1"])
def test_other_conditions_are_refused(text: str) -> None:
    """Anything else is refused with the form it must have; nothing is evaluated."""
    with pytest.raises(ValueError, match="must read NAME OPERATOR VALUE"):
        parameters.Condition.parse(text)


def test_key_is_the_same_for_any_order() -> None:
    """One configuration has one key, and different ones have different keys."""
    assert LAB.key({"depth": 0, "batch_size": 3}) == LAB.key({"batch_size": 3, "depth": 0})
    assert LAB.key({"depth": 1}) != LAB.key({"depth": 2})


def test_trim_drops_what_does_not_exist() -> None:
    """At depth 0 width and activation are dropped; where depth is open they stay."""
    kept, dropped = LAB.trim({"depth": 0, "width": 32, "activation": "ReLU", "learning_rate": 0.1})
    assert kept == {"learning_rate": 0.1, "depth": 0}
    assert dropped == {"width": 32, "activation": "ReLU"}
    assert LAB.trim({"width": 32}) == ({"width": 32}, {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rate": 0.2}, "learning_rate must be one of 0.0001, 0.01, 0.1, got 0.2"),
        ({"batch_size": 129}, "batch_size must be an integer from 1 to 128, got 129"),
        ({"batch_size": 1.0}, "batch_size must be an integer from 1 to 128, got 1.0"),
        ({"batch_size": True}, "batch_size must be an integer from 1 to 128, got True"),
        ({"momentum": 0.9}, "momentum must be a parameter of the space"),
    ],
)
def test_trim_refuses_what_is_outside(given: dict[str, object], message: str) -> None:
    """A value outside the space is refused with name, rule and value."""
    with pytest.raises(ValueError, match=message):
        LAB.trim(given)  # type: ignore[arg-type]


def test_a_huge_range_costs_nothing() -> None:
    """Two billion batch sizes are counted and stepped through without being listed."""
    space = tree(a=parameters.Parameter("a", IntDistribution(1, 2**31 - 1)))
    assert space.size == 2**31 - 1
    assert list(itertools.islice(space.neighbours({"a": 7}), 3)) == [{"a": 6}, {"a": 8}, {"a": 5}]


def test_neighbours_are_near_valid_and_reach_everything() -> None:
    """Neighbours are whole configurations of the space; walking them reaches all of it."""
    space = tree(
        a=parameters.Parameter("a", IntDistribution(0, 3)),
        b=parameter("b", ["x", "y"], "a > 0"),
    )
    start = {"a": 0}
    assert next(space.neighbours(start)) == {"a": 1, "b": "x"}
    seen, queue = {space.key(start)}, [start]
    while queue:
        for near in space.neighbours(queue.pop()):
            assert space.is_complete(near)
            if space.key(near) not in seen:
                seen.add(space.key(near))
                queue.append(near)
    assert seen == everything(space)
