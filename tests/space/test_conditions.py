import pytest

from search.space.conditions import Condition

PARAMS = {
    "depth": 3,
    "rate": 0.01,
    "act": "ReLU",
    "early": True,
    "late": False,
    "max": None,
    "model.lr": 1,
    "it's": "a'b",
}


def one(sign: str, parent: str, *among: object) -> Condition:
    return Condition(sign, parent, among)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("depth > 0", one(">", "depth", 0)),
        ("rate<=1e-2", one("<=", "rate", 0.01)),
        ("activation == 'ReLU'", one("==", "activation", "ReLU")),
        ('activation != "ReLU"', one("!=", "activation", "ReLU")),
        ("x == true", one("==", "x", True)),
        ("x is none", one("==", "x", None)),
        ("x is not None", one("!=", "x", None)),
        ("x in [1, 'a', none]", one("in", "x", 1, "a", None)),
        ("x not in ['and']", one("not in", "x", "and")),
        ("model.optimizer.lr > -1", one(">", "model.optimizer.lr", -1)),
        ("layer-1 == 2", one("==", "layer-1", 2)),
        ("`in` == 2", one("==", "in", 2)),
        ("`a ``b`` c` == 'it''s'", one("==", "a `b` c", "it's")),
        ("\u00e9t\u00e9 == 1", one("==", "\u00e9t\u00e9", 1)),
    ],
)
def test_comparisons_are_read(text: str, expected: Condition) -> None:
    """A comparison is a name, an operator and a value, or several in a list; strings stand in quotes."""
    found = Condition.parse(text)
    assert found == expected
    assert [type(each) for each in found.among] == [type(each) for each in expected.among]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("depth > 0 and act == 'ReLU'", True),
        ("depth > 5 or act in ['ReLU', 'GELU']", True),
        ("depth > 5 or depth < 2", False),
        ("early", True),
        ("late", False),
        ("not late and early", True),
        ("early == 1", False),
        ("depth == 3.0", True),
        ("max is none", True),
        ("max == none", True),
        ("max > 3", False),
        ("max == 'none'", False),
        ("act is none", False),
        ("early or late and late", True),
        ("(early or late) and late", False),
        ("not (depth > 0 and late)", True),
        ("not not early", True),
        ("model.lr == 1 and `it's` == \"a'b\"", True),
        ("gone == 1", False),
        ("gone != 1", False),
        ("not gone == 1", False),
        ("not (gone == 1 or early)", False),
        ("gone == 1 or early", True),
        ("not (gone == 1 and late)", True),
    ],
)
def test_what_is_joined_holds_by_the_rules_of_logic(text: str, holds: bool) -> None:
    """`and` binds before `or`, `not` before both; nothing that is asked about an absent parameter is so."""
    condition = Condition.parse(text)
    assert condition.holds(PARAMS) is holds
    again = Condition.parse(str(condition))
    assert again == condition
    assert again.holds(PARAMS) is holds


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "a name is missing"),
        ("depth >", "a value is missing"),
        ("> 0", "> is no name"),
        ("depth = 0", "an operator is missing behind depth"),
        ("depth > zero", "zero is no value"),
        ("depth > `a`", "`a` is no value"),
        ("depth > 0 and", "a name is missing"),
        ("depth > 0 && early", "&& is too much"),
        ("depth > 0 depth", "depth is too much"),
        ("x in 1", "[ is missing before 1"),
        ("x in []", "] is no value"),
        ("x in [1", "] is missing"),
        ("(x == 1", ") is missing"),
        ("x == 'a", "a quote is not closed"),
        ("0 < x", "0 is no name"),
        ("x not 1", "an operator is missing behind x"),
        ("true", "true is no name"),
        ("__import__('os').system('ls')", "( is too much"),
        ("(" * 60 + "x" + ")" * 60, "more than 50 brackets are open"),
        ("not " * 5_000 + "x", "more than 50 brackets are open"),
    ],
)
def test_other_conditions_are_refused(text: str, what: str) -> None:
    """Anything else is refused in one line, with the form it must have and what is wrong; nothing is evaluated."""
    with pytest.raises(ValueError, match="must read NAME OPERATOR VALUE") as raised:
        Condition.parse(text)
    assert what in str(raised.value)
    assert "\n" not in str(raised.value)
