import json

import pytest

from search import errors
from search.study import specs

TEXT = """
objective = "mine:objective"
[study]
name = {name}
direction = "minimize"
metric = "loss"
[space]
{space}
[sampler]
name = "{sampler}"
[budget]
trials = 3
"""


def text(space: str = "x = [1]", name: str = "own", sampler: str = "random") -> str:
    return TEXT.format(name=json.dumps(name, ensure_ascii=False), space=space, sampler=sampler)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("x = { low = -1e308, high = 1e308 }", "space.x.low must be from -1e+100 to 1e+100, got -1e+308"),
        ("x = { low = 5e-324, high = 1.0, log = true }", "space.x.low must be >= 1e-300 where log is true, got 5e-324"),
        ("x = { low = 0, high = 1099511627777 }", "space.x.high must be from -2^40 to 2^40"),
        ("x = { low = -99999999999999999999, high = 0 }", "space.x.low must be from -2^40 to 2^40"),
        ("x = [18446744073709551616]", "space.x[0] must be an integer of 64 bits, got 18446744073709551616"),
        ("x = [1" + "0" * 400 + "]", "space.x[0] must be an integer of 64 bits, got an integer of 1329 bits"),
        ("x = { low = 1.0, high = 1.0000000000000002 }", "space.x.high must lie above low by at least 1e-09"),
        ("x = { low = 1099511627775, high = 1099511627776, log = true }", "space.x.high must lie above low"),
        ("x = { low = 0.0, high = 5e-324 }", "space.x.high must lie above low"),
        ("x = { low = 1e16, high = 1e16, step = 1.0 }\ny = { low = 1e16, high = 1.1e16, step = 1.0 }", "space.y.step"),
        ("x = { low = 0.0, high = 1.0, step = 1e-9 }", "space.x.step must be at least 1e-07 of the larger end, 1"),
        ("x = { low = 0.0, high = 1e100, step = 1e-300 }", "space.x.step must"),
        ("x = { low = 1e-20, high = 0.30000000000000004, step = 0.1 }", "space.x.step must lead from low to high in whole steps"),
        ("x = { low = 0, high = 1, step = 0.3333333333333333 }", "space.x.step must lead from low to high in whole steps"),
        ("x = { low = 0.0, high = 0.6716909683749139, step = 0.33584548418745697 }", "to the last digit written"),
        ('x = ["a\\u0000b"]', "space.x[0] must hold no NUL"),
        ('x = ["' + "a" * 1_000_001 + '"]', "space must have choices of at most 1,000,000 characters in all"),
        ('"' + "n" * 513 + '" = [1]', "must be at most 512 characters long, which is what every database holds"),
        ('"\u00e9" = [1]\n"e\u0301" = [1]', "must not look like another parameter"),
        ('"" = [1]', "space.'' must be a name without blanks at its start or end, got ''"),
        ('" a" = [1]', "must be a name without blanks"),
        ('"a\\nb" = [1]', "must be a name of printable characters"),
        ('"a\\u0000b" = [1]', "must be a name of printable characters"),
        ('"a\\u200bb" = [1]', "must be a name of printable characters"),
        ("\n".join(f"p{n} = [1, 2]" for n in range(501)), "space must have at most 500 parameters, got 501"),
        ('a = ["x", "y"]\nb = { choices = [1], when = "a == \'X\'" }', "must compare a with a value that it can have"),
        ('a = [1, 2]\nb = { choices = [1], when = "a in [1, 3]" }', "must compare a with a value that it can have"),
        ('a = [1, 2]\nb = { choices = [1], when = "a == true" }', "must compare a with a value that it can have"),
        ('a = [1, 2]\nb = { choices = [1], when = "a is none" }', "must compare a with a value that it can have"),
        ('a = { low = 1, high = 9, step = 2 }\nb = { choices = [1], when = "a == 4" }', "a value that it can have"),
        ('a = [1, 2]\nb = { choices = [1], when = "a" }', "space.b.when must read NAME OPERATOR VALUE where the values"),
        ('a = ["1", "2"]\nb = { choices = [1], when = "a > 1" }', "must compare with == or != where values are no num"),
        ('a = [1, 2]\nb = { choices = [1], when = "a > none" }', "must compare with == or != where values are no num"),
        ('a = [1, 2]\nb = { choices = [1], when = "c > 1 and a > 1" }', "space.b.when must name a parameter of the spa"),
        ("x = { choices = [1], none = 1 }", "space.x.none must be a valid boolean, got 1"),
        ("x = { low = 1, high = 2, none = true }", "space.x.none must stand beside choices, got a range"),
        ("x = { choices = [{ none = true }], none = true }", "space.x[1] must not repeat an earlier choice, got None"),
        ("x = [{ none = false }]", "space.x.choices[0] must be a finite number, a string, true, false or { none = t"),
        ("x = [1, 1.0]", "space.x[1] must not repeat an earlier choice, got 1.0"),
        ("x = [0.0, -0.0]", "space.x[1] must not repeat an earlier choice, got -0.0"),
        ("x = [true, true]", "space.x[1] must not repeat an earlier choice, got True"),
        ("model.lr = [1, 2]", 'space.model must be one parameter, got a table of them: a name with dots stands in quotes, "model.lr"'),
        ("[space.model.optimizer]\nlr = { low = 1, high = 2 }", 'stands in quotes, "model.optimizer"'),
    ],
)  # fmt: skip
def test_what_no_database_or_sampler_holds_is_refused(space: str, message: str) -> None:
    """A new study's ranges, choices, names and conditions are checked, each refusal with key, rule and value."""
    with pytest.raises(errors.StudyFileError) as raised:
        specs.parse(text(space), "own.toml")
    assert str(raised.value).startswith("own.toml: space")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 2_000 or "500" in message


def test_what_an_earlier_version_took_is_still_read() -> None:
    """A stored study whose range or name is refused by now is read as it was created."""
    for space in ("x = { low = -1e308, high = 1e308 }", "n" * 600 + " = [1]", 'e = [true]\nb = { choices = [1], when = "e == 0" }'):  # fmt: skip
        with pytest.raises(errors.StudyFileError):
            specs.parse(text(space), "own.toml")
        assert specs.parse_stored(text(space), "stored").space.parameters
    spec = specs.parse_stored(text('e = [true, false]\nb = { choices = [1], when = "e == 1" }'), "stored")
    assert spec.space.is_complete({"e": True, "b": 1})
    assert spec.space.is_complete({"e": False})


@pytest.mark.parametrize(
    "name",
    ["lab", "a b", "Größe d'été", 'say "hi"', "🚀 run", "50% [bold] <b> & more", "a:b*c?d|e", "$HOME", "`ls`", "日本語", "x" * 100, "1.2", "a=b"],
)  # fmt: skip
def test_a_study_may_be_called(name: str) -> None:
    """Any printable name that is no path, option or file is a study's."""
    assert specs.parse(text(name=name), "own.toml").name == name


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "must be 1 to 100 characters long"),
        ("x" * 101, "must be 1 to 100 characters long"),
        ("a\nb", "must be printable characters"),
        ("a\u00a0b", "must be printable characters"),
        ("a\u202eb", "must be printable characters"),
        ("a\u200db", "must be printable characters"),
        (" a", "must have no blank at its start or end, nor two together"),
        ("a  b", "must have no blank at its start or end, nor two together"),
        ("-a", "must not start with '-' or '.'"),
        ("../a", "must not start with '-' or '.'"),
        ("a/b", "must not hold '/'"),
        ("a\\b", "must not hold '/'"),
        ("a.TOML", "must not end in .toml"),
    ],
)
def test_a_study_may_not_be_called(name: str, rule: str) -> None:
    """Other names are refused with the rule: what cannot be seen or typed, a path, an option, a file."""
    with pytest.raises(errors.StudyFileError, match="study.name must") as raised:
        specs.parse(text(name=name), "own.toml")
    assert rule in str(raised.value)


def test_an_accent_has_one_form() -> None:
    """A study's name typed with a letter and an accent is the one of the accented letter."""
    assert specs.parse(text(name="e\u0301te\u0301"), "own.toml").name == "\u00e9t\u00e9"


def test_the_gaussian_process_takes_no_range_that_it_would_list() -> None:
    """It makes an array of a range's values: one of millions is refused with the way out, without steps it is taken."""
    with pytest.raises(errors.StudyFileError, match="must not be 'gp' since it lists the values of space.x, which has"):
        specs.parse(text("x = { low = 0, high = 2_000_000 }", sampler="gp"), "own.toml")
    assert specs.parse(text("x = { low = 0.0, high = 2e6 }", sampler="gp"), "own.toml").sampler.name == "gp"
