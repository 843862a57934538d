"""Text as Markdown: a real renderer shows it as it was written."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import EVIL, RENDERER, read, rendered

from search import escapes

MARKUP = st.text(string.ascii_lowercase[:3] + " \n\t`|\\<>*_[]()!#&;:/@.-+=~$019", max_size=24)
WORDS = MARKUP | st.lists(st.sampled_from(EVIL), max_size=3).map(" ".join)
many = settings(max_examples=400, deadline=None)


def tags(markdown: str) -> list[str]:
    return [tag for tag, _ in rendered(markdown)[0] if tag != "code"]


def test_the_renderer_takes_them_for_markup() -> None:
    """As they stand, these texts are links, pictures, scripts, rules, headings, lists and more."""
    found = {tag for words in EVIL for tag, _ in rendered(words)[0]}
    assert found >= {"script", "img", "a", "em", "strong", "s", "h1", "ul", "ol", "blockquote", "hr", "pre", "code"}
    assert {tag for words in EVIL for tag in tags(f"| a |\n|---|\n| {words} |")} >= {"script", "img", "a", "h1"}


@pytest.mark.parametrize("words", EVIL)
def test_it_is_shown_as_it_was_written(words: str) -> None:
    """As a paragraph, an item, a heading, the text of a picture, a cell."""
    once = escapes.paragraph(words)
    assert tags(once) == ["p"]
    assert read(rendered(once)[1]) == read(words)
    assert tags(f"- {once}\n- x") == ["ul", "li", "li"]
    assert tags(f"## {once}\n\nx") == ["h2", "p"]
    assert tags(f"**{once}**") in (["p", "strong"], ["p"])
    found, _ = rendered(f"![{once}](figures/a.png)")
    assert [(tag, attributes.get("src")) for tag, attributes in found] == [("p", None), ("img", "figures/a.png")]


@many
@given(WORDS)
def test_no_text_is_markup(words: str) -> None:
    """Whatever the text is: as a paragraph, beside other text, as code."""
    assert tags(escapes.paragraph(words)) in ([], ["p"])
    assert read(rendered(escapes.paragraph(words))[1]) == read(words)
    assert tags(f"so {escapes.text(words)} said") == ["p"]
    for once in (escapes.text(words), escapes.code(words)):
        assert "".join(rendered(f"so {once} said")[1].split()) == "".join(f"so {words} said".split())


@many
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
def test_no_text_breaks_a_table(rows: list[tuple[str, str]]) -> None:
    """Every row has its cells, each with its own text."""
    table = escapes.table(["one", "two"], [*rows, (escapes.code(rows[0][0]), "-0.5")], [False, True])
    wanted = ["table", "thead", "tr", "th", "th", "tbody", *["tr", "td", "td"] * (len(rows) + 1)]
    assert tags(table) == wanted
    said = "".join(first + second for first, second in rows)
    assert read(rendered(table)[1]) == read(f"onetwo{said}{rows[0][0]}-0.5")


@many
@given(st.text("~`\n ab<", max_size=40))
def test_a_file_stays_in_its_fence(words: str) -> None:
    """Whatever rows of tildes or backticks it has."""
    tokens = RENDERER.parse(f"{escapes.fence(words, 'toml')}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.strip() == words.strip()


def test_what_is_markdown_stays_so() -> None:
    """Ours is not escaped twice, and ordinary words and figures are left as they are."""
    for plain in (
        "learning_rate 0.1, depth 3 (8 %): 0.8702 ± 0.0031",
        "-0.5",
        "1.5 h",
        "a > b",
        "1e-05",
        "R & D",
        "x/y",
    ):
        assert escapes.paragraph(plain) == plain
    assert escapes.sentence("`learning_rate` is 3") == "`learning_rate` is 3"
    once = escapes.paragraph("*x*")
    assert escapes.paragraph(once) == escapes.sentence(once) == once == "\\*x\\*"
    assert escapes.link("a b(c).png") == "a%20b%28c%29.png"
