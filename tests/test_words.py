"""How things are put to people."""

import subprocess

import pytest

from search import words


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "60 min"), (5400, "1.5 h")]
)
def test_a_duration(seconds: float, said: str) -> None:
    """In the unit that fits it."""
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.87024, "0.8702"), (0.0, "0.0000"), (1e-5, "1e-05"), (123456.0, "1.235e+05"), (-0.5, "-0.5000"), (None, "-")],
)
def test_a_metric(value: float | None, said: str) -> None:
    """Four decimals where they say something, else four digits."""
    assert words.metric(value) == said


def test_a_configuration_in_full_and_in_short() -> None:
    """Whole names in a sentence, headings where room is scarce."""
    params = {"learning_rate": 0.012345678, "depth": 3, "activation": "ReLU"}
    assert words.configuration(params) == "learning_rate 0.012345678, depth 3, activation ReLU"
    assert words.short_configuration(params) == "lr 0.01235, depth 3, ReLU"


def test_a_hint() -> None:
    """The nearest name, or all, or how to make one."""
    assert words.hint("lap", ["lab", "depth"]) == "; did you mean lab?"
    assert words.hint("xyz", ["lab", "depth"]) == "; there are lab, depth"
    assert words.hint("xyz", []) == "; `search create STUDY` makes one"
    assert [words.plural(count, "trial") for count in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]


@pytest.mark.parametrize("name", ["lab", "two words", "it's", "back\\slash\x1b[31m", "é \u202e'", "two\nlines"])
def test_a_name_as_it_is_typed(name: str) -> None:
    """A shell reads it as it is, and nothing in it moves a cursor."""
    typed = words.typed(name)
    assert typed.isprintable()
    read = subprocess.run(["bash", "-c", f"printf %s {typed}"], capture_output=True, check=True)
    assert read.stdout.decode() == name
