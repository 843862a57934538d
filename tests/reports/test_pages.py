"""A report's two forms, whatever the names in it hold."""

import re

from search.reports import pages


def test_names_are_no_markup() -> None:
    """A study may be called what would be a tag, a picture or a link: it is shown, in HTML and in Markdown."""
    odd = "<img src=x> ![a](b)\n# c"
    blocks = [pages.Text(odd), pages.Bullets([odd]), pages.Table([odd], [[f"{odd}|d"]], odd)]
    page = pages.Page(odd, f"Study `{odd}`.", [(odd, odd)], [pages.Chapter(odd, blocks)])
    markdown = pages.markdown(page)
    outside = "".join(markdown.split("`")[::2])
    assert outside.count(r"\<img src=x> !\[a\](b) \# c") == 9
    assert re.findall(r"(?<!\\)[<\[]", outside) == []
    assert r"\|d |" in markdown
    html = pages.html(page)
    assert "<img src=x>" not in html
    assert "&lt;img src=x&gt;" in html
