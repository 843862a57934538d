import itertools

import pytest
from conftest import ROOT
from optuna.distributions import FloatDistribution, IntDistribution

from search.space import conditions, lines, parameters, spaces
from search.space.scalars import CategoricalDistribution
from search.study import specs

LAB = specs.load(ROOT / "studies" / "lab.toml").space


def tree(**parameters: parameters.Parameter) -> spaces.Space:
    return spaces.Space.arrange(parameters)


def parameter(name: str, choices: list[object], when: str | None = None) -> parameters.Parameter:
    return parameters.Parameter(
        name, CategoricalDistribution(choices), conditions.Condition.parse(when) if when else None
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


def test_conditions_on_several_parents_are_counted_trimmed_and_walked_alike() -> None:
    """Size, enumeration, neighbours and trimming agree on conditions of any form, on branches of branches too."""
    space = tree(
        a=parameter("a", [1, True, None, "1"]),
        b=parameter("b", [True, False]),
        c=parameter("c", ["x", "none", None], "a == true or (a is none and b)"),
        d=parameter("d", [1, 2], "not b and c in ['none', none]"),
        e=parameter("e", [0], "c != 'x' and d not in [2]"),
        f=parameters.Parameter("f", IntDistribution(1, 9), conditions.Condition.parse("not (a == 1 or c == 'x')")),
    )
    rows = [space.key(params) for params in space.configurations()]
    assert len(rows) == len(set(rows)) == space.size
    assert set(rows) == everything(space)
    start = next(space.configurations())
    seen, queue = {space.key(start)}, [start]
    while queue:
        params = queue.pop()
        assert space.holds(params)
        assert space.trim(params) == (params, {})
        for near in space.neighbours(params):
            if space.key(near) not in seen:
                seen.add(space.key(near))
                queue.append(near)
    assert seen == set(rows)


def test_what_cannot_exist_is_dropped_and_what_may_is_kept() -> None:
    """Of a partial configuration only that is dropped which no value of the open parents brings into being."""
    space = tree(
        a=parameter("a", [0, 1]),
        b=parameter("b", [0, 1], "a > 0"),
        c=parameter("c", [5], "b > 0 or a == 0"),
        d=parameter("d", [5], "not b == 1"),
    )
    assert space.trim({"c": 5}) == ({"c": 5}, {})
    assert space.trim({"a": 1, "b": 0, "c": 5}) == ({"a": 1, "b": 0}, {"c": 5})
    assert space.trim({"a": 1, "c": 5, "d": 5}) == ({"a": 1, "c": 5, "d": 5}, {})
    # where a parent does not exist, `not` of a question about it is no more so than the question
    assert space.trim({"a": 0, "c": 5, "d": 5}) == ({"a": 0, "c": 5}, {"d": 5})


def test_true_and_one_are_two_choices_everywhere() -> None:
    """Keys, neighbours, positions, checks and conditions keep 1, true, "1", none and "none" apart."""
    choices = [1, True, "1", None, "none", 0, False]
    axis = parameter("x", choices)
    space = tree(x=axis, y=parameter("y", [1], "x == true"), z=parameter("z", [1], "x == 1"))
    assert len({space.key({"x": value}) for value in choices}) == len(choices)
    for value in choices:
        again = axis.at(axis.position(value))
        assert (type(again), again) == (type(value), value)
        assert (
            axis.distribution.to_external_repr(axis.distribution.to_internal_repr(value))
            is choices[choices.index(value) if not isinstance(value, bool) else (1 if value else 6)]
        )
    assert space.is_complete({"x": True, "y": 1})
    assert not space.is_complete({"x": True, "z": 1})
    assert space.is_complete({"x": 1, "z": 1})
    found = [near["x"] for near in tree(x=axis).neighbours({"x": True})]
    assert [repr(value) for value in found] == ["1", "'1'", "None", "'none'", "0", "False"]
    assert axis.distribution != CategoricalDistribution([True, 1, "1", None, "none", 0, False])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("true", True), ("True", True), ('"1"', "1"), ("'1'", "1"), ("none", None), ("None", None),
        ('"none"', "none"), ("'none'", "none"), ("plain", "plain"), ('"plain"', "plain"), ('"a"', "a"),
        (r'"\"a\""', '"a"'), ("2.5", 2.5), ("a=b", "a=b"), ("", ""), ("é", "é"),
    ],
)  # fmt: skip
def test_a_choice_is_typed_as_in_a_study_file(text: str, value: object) -> None:
    """A bare number, true, false or none is that, quotes make a string of it, and a string needs none otherwise."""
    axis = parameter("x", [1, True, "1", None, "none", "plain", "a", '"a"', 2.5, "a=b", "", "é"])
    found = axis.parse(text)
    assert (type(found), found) == (type(value), value)


def test_a_word_is_a_string_where_only_a_string_is_written_so() -> None:
    """Without None or a number among the choices, none and 1 are the strings that are."""
    assert parameter("x", ["none", "l2"]).parse("none") == "none"
    assert parameter("x", ["1", "2"]).parse("1") == "1"
    assert parameter("x", ["none", "l2", None]).parse("none") is None
    assert parameter("x", [0.1, 1.0]).parse("1") == 1.0


def test_a_setting_is_split_at_the_parameters_name() -> None:
    """A name may hold dots, dashes, blanks and the sign itself; an accent is found however it was typed."""
    space = tree(**{n: parameter(n, ["1", "b=1"]) for n in ("model.lr", "layer-1", "a", "a=b", "taux é")})
    assert space.split("model.lr=1") == ("model.lr", "1")
    assert space.split("layer-1=1") == ("layer-1", "1")
    assert space.split("a=1") == ("a", "1")
    assert space.split("a=b=1") == ("a=b", "1")
    assert space.split("taux e\u0301=1") == ("taux é", "1")
    assert space.split("nothing=1=2") == ("nothing", "1=2")
    assert space.split("a") is None
    assert space.split("=1") is None


def test_huge_spaces_are_counted_without_being_walked() -> None:
    """Parents of billions of values, and hundreds of parents and branches, are counted in a moment."""
    wide = parameters.Parameter("n", IntDistribution(-(2**53), 2**53))
    assert tree(n=wide, b=parameter("b", [1, 2], "n > 0 and n != 7")).size == 2**54 + 1 + (2**53 - 1)
    many: dict[str, parameters.Parameter] = {}
    for number in range(150):
        many[f"p{number}"] = parameter(f"p{number}", [True, False, None])
        many[f"c{number}"] = parameter(f"c{number}", [1, 2, 3], f"p{number} or p{max(number - 1, 0)} is none")
    space = tree(**many)
    assert space.size is not None
    assert space.size > 3**150
    assert len(list(itertools.islice(space.configurations(), 3))) == 3


@pytest.mark.parametrize(
    ("low", "high", "step", "first"),
    [
        (0.1, 0.7, 0.1, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (-0.3, 0.3, 0.15, [-0.3, -0.15, 0.0, 0.15, 0.3]),
        (1e-13, 5e-13, 1e-13, [1e-13, 2e-13, 3e-13, 4e-13, 5e-13]),
        (1e6, 1e6 + 1, 0.25, [1e6, 1e6 + 0.25, 1e6 + 0.5, 1e6 + 0.75, 1e6 + 1]),
    ],
)
def test_steps_are_the_numbers_as_they_are_written(low: float, high: float, step: float, first: list[float]) -> None:
    """Values of a stepped range are those that one would write, whatever adding them up makes of them."""
    axis = parameters.Parameter("x", FloatDistribution(low, high, step=step))
    assert list(axis.values or ()) == first
    for place, value in enumerate(first):
        assert axis.snap(low + place * step) == value
        axis.check(value)
    assert axis.snap(low + 0.4 * step) == low + 0.4 * step
    assert axis.nearest(low + 0.4 * step) == low


def test_every_number_has_a_nearest_step() -> None:
    """Half-way too, where floats make of half a step a little more: 0.0075 is 0.008 in steps of 0.001."""
    for step in (1e-4, 1e-3, 0.01, 0.1, 0.3, 7.0):
        axis = parameters.Parameter("x", FloatDistribution(0.0, 16 * step, step=step))
        line = lines.Line.find(axis)
        assert line is not None
        for place in range(33):
            assert axis.nearest(place / 2 * step) in set(axis.values or ())
            assert line.value(axis, place / 32) in set(axis.values or ())
    assert parameters.Parameter("x", FloatDistribution(0.0, 0.015, step=0.001)).nearest(0.0075) == 0.008
