"""Markdown in which nothing that a study, a user or an error says is markup: it shows as it was written.

Every Markdown text of ours goes through here. A renderer's extensions count too: tables, links that are found in bare
text, mathematics, struck text.
"""

import re
from collections.abc import Sequence
from urllib import parse

# Markup wherever it stands; an _ beside a letter on one side alone; an entity; what makes a link of bare text
_SPECIAL = re.compile(
    r"[\\`*\[\]<~$|@]"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|&(?=#?\w+;)"
    r"|/(?=/)|(?<=\w)\.(?=[^\W\d_])|(?<=www)\."
    r"|(?:(?<=\s)|^)#"
)
# What makes a list, a quotation, a rule or a heading of a paragraph that begins with it
_START = re.compile(r"^(?:(?=[-+=](?:[-+=\s]|$)|>)|(?<=\A)(\d{1,9})(?=[.)](?:\s|$)))")
_NO_CODE = re.compile(r"[`|\\]")


class Markup(str):
    """Text that is Markdown already."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Text within a line."""
    return Markup(_escaped(_one_line(words)))


def code(words: str) -> Markup:
    """Text as code, where it can be; what would end a piece of code or a cell is plain text."""
    words = _one_line(words)
    return text(words) if _NO_CODE.search(words) or not words else Markup(f"`{words}`")


def sentence(words: str) -> Markup:
    """A sentence within a line, or a cell; what stands between backticks is code."""
    if isinstance(words, Markup):
        return words
    parts = _one_line(words).split("`")
    return Markup("".join(code(part) if place % 2 else _escaped(part) for place, part in enumerate(parts)))


def paragraph(words: str) -> Markup:
    """A sentence that may begin a line."""
    return words if isinstance(words, Markup) else Markup(_START.sub(r"\1\\", sentence(words)))


def link(path: str) -> Markup:
    """Where a link or a picture leads."""
    return Markup(parse.quote(path))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> Markup:
    """A table of sentences.

    Args:
        right: for each column whether it is set to the right; none is, where it is not given.
    """
    rules = ["---:" if each else "---" for each in right or [False] * len(headings)]
    lines: list[list[str]] = [[*map(sentence, headings)], rules]
    lines += [[*map(sentence, row)] for row in rows]
    return Markup("\n".join(f"| {' | '.join(line)} |" for line in lines))


def fence(words: str, language: str) -> Markup:
    """A file's text; its fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"~+", words)), default=0)
    marks = "~" * max(4, longest + 1)
    return Markup(f"{marks}{language}\n{words.strip()}\n{marks}")


def _escaped(words: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", words)


def _one_line(words: str) -> str:
    return " ".join(words.split())
