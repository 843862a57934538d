"""Every kind of figure, with names that are too long, too many, or look like something else: nothing is cut."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from markup import LONG, NASTY
from matplotlib import figure
from matplotlib.backends import backend_agg
from playwright import sync_api

from search.dashboard import curves
from search.reports import figures, scatters

EDGE = 0.01  # inches: a line is as wide
CHOICES = [f"{number} " + "choice of sixty letters " * 3 for number in range(20)]


class Kept(figure.Figure):
    """A figure of matplotlib's that can be looked at after it was saved."""

    made: list["Kept"]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        Kept.made.append(self)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    Kept.made = []
    monkeypatch.setattr(figure, "Figure", Kept)
    return Kept.made


def curve(labels: list[str], words: str, seeds: int = 2, marks: int = 1) -> figures.Picture:
    lines = [figures.Line(label, n, [[0.01 * n, 0.2, 0.3 + 0.01 * n]] * seeds) for n, label in enumerate(labels)]
    marked = [figures.Mark("human accuracy 0.835", 0.8), figures.Mark("the lab's best 0.8607", 0.9)][:marks]
    return figures.curves("curves", words, lines, words, marked, words)


def search(words: str, values: list[float], axis: str = "trial") -> figures.Picture:
    """A search chapter's figure, with as many entries as it ever has."""
    marks = [figures.Mark("human accuracy 0.835", 0.835), figures.Mark("the lab's best 0.8607", 0.8607)]
    places = list(map(float, range(len(values))))
    points = [scatters.Points("complete", 0, places, values), scatters.Points("pruned", 1, places, values)]
    return scatters.picture("progress", words, scatters.Progress(points, (places, values), (axis, words)), marks)


KINDS: dict[str, Callable[[str], figures.Picture]] = {
    "curves": lambda words: curve([words, words + "!"], words),
    "one-curve": lambda words: curve([words], words, seeds=1, marks=0),
    "history": lambda words: search(words, [0.0, 0.5, 0.9]),
    "cost": lambda words: search(words, [0.1, 0.5, 0.9], "training time spent, minutes"),
    "batch-losses": lambda words: figures.batch_losses("losses", words, range(200), [1.0] * 200),
    "bars": lambda words: figures.bars("bars", words, {words: 0.5, f"{words} ": 1.0, "b": 0.0}, "importance, 0 to 1"),
    "confusion": lambda words: figures.confusion("confusion", words, numpy.eye(10).tolist(), [words] * 10),
}
MANY: dict[str, Callable[[], figures.Picture]] = {
    "choices": lambda: curve(CHOICES, LONG, marks=2),
    "short-choices": lambda: curve([str(n) for n in range(20)], "depth"),
    "four-entries": lambda: curve(["ReLU", "Sigmoid", "GELU"], "activation"),
    "parameters": lambda: figures.bars("bars", "", {f"{n}_{LONG}": n / 40 for n in range(40)}, "importance"),
    "infinite": lambda: search("loss", [math.inf, -math.inf, math.nan, 1e308, -1e308, 0.5]),
    "huge": lambda: search("loss", [1e299, -1e299, 0.5]),
    "tiny": lambda: search("loss", [1.000001e-9, 1.000002e-9]),
    "one-trial": lambda: search("loss", [123456789.123]),
    "nothing": lambda: search("loss", []),
}


def outside(drawing: figure.Figure) -> list[str]:
    """What is wrong with a figure: parts beyond its edges, by matplotlib's own measure, or no room for the panel."""
    renderer: Any = backend_agg.RendererAgg(drawing.bbox.width, drawing.bbox.height, drawing.dpi)
    drawing.draw(renderer)
    found, (width, height) = [], drawing.get_size_inches()
    parts = {"figure": drawing.get_tightbbox(renderer)}  # inches; of all that is drawn, without what is clipped
    for each in [*drawing.axes[0].texts, *drawing.legends]:  # these are drawn, whatever they are clipped to
        parts[str(each)] = each.get_window_extent(renderer).transformed(drawing.dpi_scale_trans.inverted())
    for name, box in parts.items():
        if box.x0 < -EDGE or box.y0 < -EDGE or box.x1 > width + EDGE or box.y1 > height + EDGE:
            found.append(f"{name} is at {box.extents.round(2)} of {width:.2f} x {height:.2f}")
    panel = drawing.axes[0].get_position()
    if panel.width * width < 1.8 or panel.height * height < 0.7:
        found.append(f"the panel has {panel.width * width:.2f} x {panel.height * height:.2f}")
    return found


@pytest.mark.parametrize("words", NASTY)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_whatever_the_names_are(made: list[Kept], kind: str, words: str) -> None:
    """All that matplotlib draws lies within the figure, and the panel keeps its room."""
    KINDS[kind](words)
    assert outside(made[0]) == []


@pytest.mark.parametrize("kind", MANY)
def test_nothing_is_cut_however_many_there_are(made: list[Kept], kind: str) -> None:
    """Twenty choices, forty parameters, values that no axis holds."""
    MANY[kind]()
    assert outside(made[0]) == []


def test_the_legend_has_every_line(made: list[Kept]) -> None:
    """Also a label that matplotlib would leave out, an empty one, and two that are equal once they are cut."""
    curve(["_hidden", "_child3", "", LONG + "a" * 40 + LONG, LONG + "b" * 40 + LONG], "x", marks=2)
    (legend,) = made[0].legends
    labels = [each.get_text() for each in legend.get_texts()]
    assert labels[:3] == [" _hidden", " _child3", '""']
    assert labels[5:] == ["human accuracy 0.835", "the lab's best 0.8607"]
    assert len({*labels}) == 7


def test_lines_are_told_apart() -> None:
    """Twenty of them have twenty looks."""
    assert len({tuple(figures.look(place).values()) for place in range(64)}) == 64


@pytest.mark.parametrize("words", ["$x_1$ costs $5", r"\frac{1}{2}$", "a $ b"])
def test_a_dollar_is_a_dollar(made: list[Kept], words: str) -> None:
    """No name is read as mathematics."""
    search(words, [0.1, 0.2])
    assert made[0].axes[0].get_ylabel() == words
    assert made[0].axes[0].yaxis.label.get_parse_math() is False


def test_names_of_files_are_their_own() -> None:
    """Two studies whose names differ in letters that no file has do not share a picture."""
    names = [
        figures.bars(f"{study}-importance", "", {"a": 1.0}, "").name for study in ("a b", "a-b", "日本", "中国", "lab")
    ]
    assert len({*names}) == 5
    assert names[4] == "lab-importance"
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


@pytest.mark.parametrize("words", NASTY)
def test_a_learning_curve_of_the_dashboard_is_whole(made: list[Kept], words: str) -> None:
    """The picture of a trial, with the metric's name and why it was pruned."""
    curves._picture({1: 0.1, 2: 0.5}, "trial 100000, pruned: 0.5000", words, words * 3)
    assert outside(made[0]) == []


LOOK = """(upright) => {
  const problems = [], overlaps = (a, b) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
  for (const svg of document.querySelectorAll('svg')) {
    const view = svg.viewBox.baseVal, page = svg.getBoundingClientRect(), scale = page.width / view.width;
    const drawn = svg.querySelector('g').getBBox();
    if (drawn.x < -0.5 || drawn.y < -0.5 || drawn.x + drawn.width > view.width + 0.5
        || drawn.y + drawn.height > view.height + 0.5)
      problems.push(`${svg.id}: ${drawn.x} ${drawn.y} ${drawn.width} ${drawn.height} of ${view.width} ${view.height}`);
    const texts = [...svg.querySelectorAll("g[id^='text_']")].map(g => g.getBoundingClientRect());
    for (const text of texts)
      if (text.left < page.left - 1 || text.right > page.right + 1
          || text.top < page.top - 1 || text.bottom > page.bottom + 1)
        problems.push(`${svg.id}: a text leaves the figure`);
    if (upright) for (let i = 0; i < texts.length; i++) for (let j = 0; j < i; j++)
      if (overlaps(texts[i], texts[j])) problems.push(`${svg.id}: texts ${j} and ${i} overlap`);
  }
  return problems;
}"""


@pytest.mark.slow
def test_a_browser_draws_all_of_every_figure(browser: sync_api.Browser) -> None:
    """By the boxes that Chromium gives to what the SVG draws."""
    drawn = {f"{kind} {words!r}": KINDS[kind](words) for kind in KINDS for words in NASTY}
    drawn |= {kind: MANY[kind]() for kind in MANY}
    opened = browser.new_page(viewport={"width": 700, "height": 900})
    for name, picture in drawn.items():
        opened.set_content(f"<body>{picture.svg}</body>")
        # names of classes are slanted: their boxes overlap, they do not
        assert opened.evaluate(LOOK, not name.startswith("confusion")) == [], name
    opened.close()


def test_losses_that_lie_far_apart_have_a_logarithmic_axis() -> None:
    """Where less is better, all are above 0, and the largest is more than a thousand times the least; else none."""
    assert figures.is_logarithmic([1e-8, 3.0, math.inf, math.nan], higher=False)
    for values, higher in (([1e-8, 3.0], True), ([0.0, 3.0], False), ([0.01, 9.0], False), ([math.nan], False)):
        assert not figures.is_logarithmic(values, higher)
