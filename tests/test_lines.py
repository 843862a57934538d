"""What others say, as part of one line."""

import pytest

from search import lines


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("loss [bold]x[/bold] :smile:", "loss [bold]x[/bold] :smile:"),
        ("\x1b]0;title\x07\x1b[2J", "\\x1b]0;title\\x07\\x1b[2J"),
        ("\x9b31m \x00 \x7f", "\\x9b31m \\x00 \\x7f"),
        ("a\nb\r\nc\td\x85e\u2028f\u2029g\vh\fi", "a b c d e f g h i"),
        ("\u202egnp.exe \u2066x\u2069 \u200e", "\\u202egnp.exe \\u2066x\\u2069 \\u200e"),
        ("a\u200bb\ufeff\xad", "a\\u200bb\\ufeff\\xad"),
        ("half \udc80 a character", "half \\udc80 a character"),
        ("Größe 学習率 👩\u200d🔬 a\xa0b", "Größe 学習率 👩\u200d🔬 a\xa0b"),
    ],
)
def test_nothing_reaches_a_terminal_but_what_is_seen(said: str, shown: str) -> None:
    """Breaks become spaces, controls and what turns the writing round are written out; letters and pictures stay."""
    assert lines.clean(said) == shown
    assert lines.clean(shown) == shown


def test_the_end_of_a_long_text_says_how_long_it_was() -> None:
    """It is cut to a length, its count in it; cut again it keeps the count; what fits stays as it is."""
    assert lines.cut("x" * 1_000) == "x" * 1_000
    once = lines.cut("y" * 100_000)
    assert len(once) == lines.LONGEST
    assert once.endswith("yyy... (100,000 characters)")
    assert lines.cut(once) == once
    assert lines.cut(once, 60).endswith("yyy... (100,000 characters)")
    assert len(lines.cut(once, 60)) == 60
    assert [lines.is_cut(text) for text in (once, "x" * 1_000, "")] == [True, False, False]


def test_an_error_keeps_its_end() -> None:
    """What helps stands there, behind whatever was too long."""
    found = lines.cut_within("no study '" + "y" * 9_000 + "' here; did you mean lab?", 200)
    assert len(found) == 200
    assert found.startswith("no study 'yyy")
    assert "y... (9,035 characters) ...y" in found
    assert found.endswith("yyy' here; did you mean lab?")


def test_lines_of_a_block_stay_lines() -> None:
    """A traceback keeps its lines, each clean and of a length."""
    found = lines.block("Traceback\n  \x1b[31mred\n" + "z" * 9_000, 80).split("\n")
    assert found[:2] == ["Traceback", "  \\x1b[31mred"]
    assert len(found[2]) == 80
    assert "zz... (9,000 characters) ...zz" in found[2]
