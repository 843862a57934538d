"""A study's note on the dashboard: its settings as Markdown, of which a browser makes HTML."""

import json

import pytest
from markup import EVIL, RENDERER, read, rendered

from search.study import notes, specs

BLOCKS = ["table", "table", "paragraph", "fence"]
TEXT = """
# {more}
objective = "mine:evil"
[study]
name = "own"
metric = {metric}
[space]
kind = [{metric}, "b"]
more = {{ choices = [1, 2], when = "kind == 'b'" }}
[budget]
trials = 3
"""


def blocks(markdown: str) -> list[str]:
    """What it consists of."""
    tokens = RENDERER.parse(markdown)
    return [token.type.removesuffix("_open") for token in tokens if token.level == 0 and token.nesting >= 0]


@pytest.mark.parametrize("words", [words for words in EVIL if "\x0b" not in words])
def test_what_a_study_says_is_no_markup(words: str) -> None:
    """Its metric and choices are read as they stand in the file, and make no tag and no cell."""
    note = notes.markdown(specs.parse(TEXT.format(metric=json.dumps(words), more=""), "own.toml"))
    assert blocks(note) == BLOCKS
    tags, text = rendered(note.partition("Study file:")[0])
    assert {tag for tag, _ in tags} <= {"table", "thead", "tbody", "tr", "th", "td", "code"}
    assert read(text).count(read(words)) == 2


@pytest.mark.parametrize("line", ["~~~~", "```", "~~~~~~~~ x", "</code></pre><script>"])
def test_the_file_stays_in_its_fence(line: str) -> None:
    """Whatever stands in a line of it."""
    metric = f'"""\n{line}\n"""'
    note = notes.markdown(specs.parse(TEXT.format(metric=metric, more=line), "own.toml"))
    assert blocks(note) == BLOCKS
    assert RENDERER.parse(note)[-1].content.count(line) == 3
