"""Words fitted to their room."""

import pytest
from markup import EVIL, NASTY
from matplotlib import font_manager, textpath

from search.reports import lettering


def width(words: str, size: float) -> float:
    """Of the longest line, in inches, as it is drawn."""
    font = font_manager.FontProperties(family=lettering.families(), size=size)
    measured = textpath.text_to_path.get_text_width_height_descent
    return max(measured(line, font, ismath=False)[0] for line in words.split("\n")) / lettering.POINTS_PER_INCH


@pytest.mark.parametrize("words", [*NASTY, *EVIL, "ab " * 100, "i" * 10_000])
def test_words_have_the_room_that_they_are_given(words: str) -> None:
    """In so many lines, and no line is longer; where all of it fits, all of it is there."""
    for inches, lines in ((0.5, 1), (2.0, 2), (40.0, 1)):
        fitted = lettering.fit(words, inches, 9, lines)
        assert fitted.count("\n") < lines
        assert width(fitted, 9) <= inches * 1.02
        assert lettering.ELLIPSIS in fitted or "".join(fitted.split()) == "".join(lettering.shown(words).split())


def test_both_ends_of_what_is_cut_are_kept() -> None:
    """Names that differ only at an end stay apart."""
    fitted = [lettering.fit(f"{first}{'x' * 80}{last}", 2.0, 9) for first in "ab" for last in "12"]
    assert [each[0] + each[-1] for each in fitted] == ["a1", "a2", "b1", "b2"]


def test_a_line_ends_where_a_word_does() -> None:
    """Behind a blank, a slash or a hyphen, where there is one."""
    assert lettering.fit("optimizer/learning_rate", 1.0, 9, 2) == "optimizer/\nlearning_rate"
    assert lettering.fit("the first and the second", 1.1, 9, 2) == "the first and the\nsecond"


@pytest.mark.parametrize(
    ("words", "shown"),
    [("", '""'), (" \n", '""'), ("_x", " _x"), ("a\nb\tc", "a b c"), ("\x1b[2J", "\ufffd[2J"), ("é ∑ $", "é ∑ $")],
)
def test_what_cannot_be_drawn_is_shown_so(words: str, shown: str) -> None:
    """Nothing is empty, on several lines, or a control character."""
    assert lettering.shown(words) == shown


def test_labels_that_look_alike_are_told_apart() -> None:
    """By a number."""
    assert lettering.distinct(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
