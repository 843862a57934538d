"""Conditions told from recordings."""

import itertools
from typing import Any

import pytest
from optuna import distributions

from search.study import branches

SPACE: dict[str, distributions.BaseDistribution] = {
    "kind": distributions.CategoricalDistribution(("a", "b", "c")),
    "deep": distributions.CategoricalDistribution((True, False)),
    "layers": distributions.IntDistribution(1, 3),
    "rate": distributions.FloatDistribution(0.0, 1.0),
}
ALL = [
    dict(zip(SPACE, each, strict=True))
    for each in itertools.product(("a", "b", "c"), (True, False), (1, 2, 3), (0.0, 0.5, 1.0))
]


def found(exists: Any, known: tuple[str, ...] = (), tried: list[dict[str, Any]] = ALL) -> str | None:
    """The condition for `x`, of which `exists` says where it is suggested, last."""
    having = [{**values, "x": 1} for values in tried if exists(values)]
    return branches.condition("x", SPACE, having, [values for values in tried if not exists(values)], known)


@pytest.mark.parametrize(
    ("exists", "condition"),
    [
        (lambda v: v["kind"] == "a", "kind == 'a'"),
        (lambda v: v["kind"] != "b", "kind != 'b'"),
        (lambda v: v["deep"], "deep == true"),
        (lambda v: v["layers"] > 1, "layers > 1"),
        (lambda v: v["layers"] < 3, "layers < 3"),
        (lambda v: v["layers"] == 2, "layers == 2"),
        (lambda v: v["layers"] != 2, "layers != 2"),
        (lambda v: v["rate"] > 0.7, "rate > 0.5"),  # the wider one: where from is not known
        (lambda v: v["kind"] == "c" and v["rate"] > 0.2, "kind == 'c' and rate > 0.0"),
        (lambda v: v["deep"] and v["layers"] == 3, "layers == 3 and deep == true"),
        (lambda v: v["kind"] == "a" or v["layers"] == 3, None),
        (lambda v: v["kind"] == "a" and v["deep"] and v["layers"] == 3, None),
    ],
)
def test_the_simplest_condition(exists: Any, condition: str | None) -> None:
    """One comparison, or two that must both hold; none is better than a wrong one."""
    assert found(exists) == condition


def test_a_known_condition_comes_first() -> None:
    """Parameters that exist together say so in the same words."""
    tried = [each for each in ALL if not (each["kind"] == "a" and each["layers"] == 1)]
    assert found(lambda v: v["kind"] == "a" and v["deep"], ("deep == true and kind == 'a'",), tried) == (
        "deep == true and kind == 'a'"
    )


def test_what_was_not_tried_counts_as_existing() -> None:
    """A parameter that is missing fails a trial, one too many does not."""
    space = {"kind": distributions.CategoricalDistribution(("a", "b", "c", "d", "e"))}
    having, lacking = [{"kind": "a", "x": 1}, {"kind": "b", "x": 1}], [{"kind": "c"}, {"kind": "d"}]
    assert branches.condition("x", space, having, lacking) == "kind not in ['c', 'd']"


def test_only_what_comes_before_it_is_asked() -> None:
    """A parameter that is suggested later cannot say whether an earlier one exists."""
    having, lacking = [{"x": 1, "kind": "a"}, {"x": 1, "kind": "b"}], [{"kind": "c"}]
    assert branches.condition("x", SPACE, having, lacking) is None
