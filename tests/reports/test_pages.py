"""A report's two forms, whatever the names in it hold."""

import re

import pytest
from markup import NASTY
from playwright import sync_api

from search.reports import figures, pages


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


def test_titles_in_any_script_have_places_of_their_own() -> None:
    """Chapters whose titles share their ASCII letters are told apart in links."""
    anchors = [pages.Chapter(title, []).anchor for title in ("日本: the search", "中国: the search", "lab: the search")]
    assert anchors[2] == "lab-the-search"
    assert len({*anchors}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_long_words_leave_the_page_its_width(browser: sync_api.Browser, width: int) -> None:
    """In titles, facts, lists, captions and tables of forty columns; only a table scrolls, in its own frame."""
    chapters = []
    for number, words in enumerate(NASTY):
        columns = [f"{words}{column}" for column in range(40)]
        drawing = pages.Drawing(figures.bars(f"{number}", words, {words: 1.0}, "share"), words)
        table = pages.Table(columns, [["0.5"] * 39 + [words], columns], words)
        pair = pages.Table(["parameter", words], [[words, "0.5"]], words)
        blocks = [pages.Text(f"`{words}` {words}"), pages.Bullets([words]), table, pair, drawing]
        chapters.append(pages.Chapter(words, blocks))
    title = " ".join(NASTY)
    opened = browser.new_page(viewport={"width": width, "height": 900})
    opened.set_content(pages.html(pages.Page(title, title, [(words, words) for words in NASTY], chapters)))
    assert opened.evaluate(LOOK) == []
    opened.close()


LOOK = """() => {
  const root = document.documentElement, problems = [];
  if (root.scrollWidth > root.clientWidth) problems.push(`page is ${root.scrollWidth} wide`);
  for (const each of document.querySelectorAll('body *')) {
    const name = each.outerHTML.slice(0, 90), box = each.getBoundingClientRect();
    if (each.closest('svg') && each.tagName !== 'svg') continue;
    if (!each.closest('table') && (box.right > root.clientWidth + 1 || box.left < -1))
      problems.push(`${name} leaves the page`);
    if (each.matches('h1, h2, p, li, dt, dd, figcaption, th, td') && each.scrollWidth > each.clientWidth + 1)
      problems.push(`${name} is wider than its box`);
  }
  return problems;
}"""
