"""What renderers make of Markdown: CommonMark with tables, struck text and links found in bare text."""

import re
from html import parser

from markdown_it import MarkdownIt

RENDERER = MarkdownIt("gfm-like", {"html": True})
# What a study, a user or an error may say, each with something that shall not become markup
EVIL = [
    "--><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b || c",
    "\\| \\",
    "back`tick",
    "`<b>` ``x`` `",
    "two\nlines\n\n# heading",
    "![picture](http://evil.example/x.png)",
    "[link](javascript:alert(1))",
    "<http://evil.example>",
    "http://evil.example/x and www.evil.example and evil.example and https://1.2.3.4/",
    "www.1evil.example //localhost/x ftp://localhost/x mailto:me@evil.example me@evil.example",
    "*bold* _em_ __init__ ~~struck~~ **",
    "&lt;b&gt; &#60;b&#62;",
    "- item", "+ item", "1. item", "2) item", "> quoted", "# heading", "heading #", "---", "===", "***",
    "```python", "~~~~", "    code",
    "[ref]: http://evil.example", "$x$", "\\", "\u2028- x\x0b# y",
]  # fmt: skip
# What has no room, or no letters, or looks like something else
LONG = "model/encoder.layers[3].attention.dropout_probability_of_the_keys_and_the_values" + "x" * 20
NASTY = [
    LONG,
    "W" * 80,
    r"$\frac{1}{2$ val/top-1 [%], costs $5",
    "日本語のとても長い名前" * 8,
    "_child0 Größe naïve",
    "a\nb\tc \x1b]0;title\x07 | " + EVIL[1],
    "",
]


class _Seen(parser.HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", {}))


def rendered(markdown: str) -> tuple[list[tuple[str, dict[str, str | None]]], str]:
    """The tags of a rendered text, in order, and what is read."""
    seen = _Seen(RENDERER.render(markdown))
    return seen.tags, seen.text


def read(words: str) -> str:
    """How words look where blanks do not count, and backticks mean code."""
    return re.sub(r"\s+", "", words).replace("`", "")
