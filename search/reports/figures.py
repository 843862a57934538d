"""The figures of a report: drawn once, taken as SVG for the page and as PNG beside the Markdown."""

import dataclasses
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib import axes, figure, ticker
from matplotlib.backends import backend_agg

from search import files
from search.reports import lettering

# of Okabe and Ito, without black and yellow: told apart by colour-blind people, on white and on black
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#7E5FA8")
MARKERS = "osD^vPX*"
INK = "#010101"  # in an SVG it becomes the page's own text colour
SPREAD = 1_000.0  # times, from which on values that fall are drawn on a logarithmic axis
LARGEST = 1e300  # an axis of more would be wider than a float
RUNNING = 50  # losses in a running mean
PIXELS_PER_INCH = 120
PIXELS_OF_POINTS = 240  # per inch, where an SVG holds points as pixels: a phone has as many
SIZE = (5.6, 3.5)  # inches: a phone shows it at full size
LETTERS = 9  # points
NAMES, CLASSES = 2.2, 1.1  # inches: how long a name of a bar, and of a class may be
COLUMNS = 4  # of a legend, where they have room
PANEL = 2.2  # inches: how long a label beside the panel may be
LEGEND = SIZE[0] - 0.6  # inches: what a line of a legend has, beside its mark
STYLE: dict[str, Any] = {
    "font.size": LETTERS,
    "text.parse_math": False,  # a metric may be called $x_1$
    "svg.fonttype": "path",  # a browser's own font would be wider or narrower than the room that was left for it
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawn figure.

    Attributes:
        name: of its file, and unique on a page.
        text: what it shows, for who cannot see it.
    """

    name: str
    text: str
    svg: str
    png: bytes


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve over the epochs: by seed, drawn as its mean and, as a band, all the room between the seeds."""

    label: str
    colour: int
    seeds: Sequence[Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Mark:
    """A horizontal line to compare with."""

    label: str
    value: float


def look(place: int) -> dict[str, Any]:
    """Colour and marker of a line: together they are its own, up to 64 lines."""
    marker = MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]
    return {"color": COLOURS[place % len(COLOURS)], "marker": marker}


def drawable(values: Sequence[float]) -> list[float]:
    """Values of which an axis can be made; in place of others there is a gap."""
    return [value if math.isfinite(value) and abs(value) <= LARGEST else math.nan for value in values]


def is_logarithmic(values: Sequence[float], higher: bool) -> bool:
    """Whether values that are the better the less they are lie so far apart that the good ones would be one line."""
    drawn = [value for value in drawable(values) if not math.isnan(value)]
    return not higher and bool(drawn) and 0 < min(drawn) < max(drawn) / SPREAD


def make_logarithmic(panel: axes.Axes) -> None:
    """The y axis of a figure; powers would be set as mathematics, which names are never."""
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    panel.yaxis.set_minor_formatter(ticker.NullFormatter())


def curves(
    name: str,
    text: str,
    lines: Sequence[Line],
    label: str,
    marks: Sequence[Mark] = (),
    heading: str | None = None,
    step: str = "epoch",
    logarithmic: bool = False,
) -> Picture:
    """Curves over the epochs, or steps, each with its own colour and marker; `heading` is the legend's."""

    def draw(panel: axes.Axes) -> None:
        for line in lines:
            epochs = range(1, min(map(len, line.seeds)) + 1)
            by_epoch = list(zip(*map(drawable, line.seeds), strict=False))
            style, mean = look(line.colour), [sum(epoch) / len(epoch) for epoch in by_epoch]
            if len(line.seeds) > 1:
                low, high = (drawable(list(map(end, by_epoch))) for end in (min, max))
                panel.fill_between(epochs, low, high, color=style["color"], alpha=0.2)
            panel.plot(epochs, drawable(mean), markersize=4, linewidth=1.6, label=lettering.shown(line.label), **style)
        panel.set_xlabel(step)
        if logarithmic:
            make_logarithmic(panel)
        panel.set_ylabel(fit(label, PANEL, 2))
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))

    return picture(name, text, draw, marks, legend=len(lines) + len(marks) > 1, heading=heading)


def batch_losses(name: str, text: str, steps: Sequence[float], losses: Sequence[float]) -> Picture:
    """The loss of every mini-batch, with its running mean over fifty of them."""

    def draw(panel: axes.Axes) -> None:
        panel.plot(steps, drawable(losses), color=COLOURS[5], linewidth=0.8, label="each batch")
        if len(losses) >= 2 * RUNNING:
            means = [sum(losses[i : i + RUNNING]) / RUNNING for i in range(len(losses) - RUNNING + 1)]
            panel.plot(
                steps[RUNNING - 1 :],
                drawable(means),
                color=COLOURS[1],
                linewidth=1.8,
                label=f"mean of the last {RUNNING}",
            )
        panel.set_xlabel("mini-batch of the first epoch")
        panel.set_ylabel("cross-entropy loss, nats")

    return picture(name, text, draw, (), legend=True)


def bars(name: str, text: str, shares: dict[str, float], label: str) -> Picture:
    """Horizontal bars, the first on top."""

    def draw(panel: axes.Axes) -> None:
        rows = range(len(shares))  # places, not names: two may look alike once they are cut
        panel.barh(rows, list(shares.values()), color=COLOURS[0], height=0.6)
        panel.set_yticks(rows, [fit(each, NAMES, 2) for each in shares])
        panel.set_ylim(len(shares) - 0.4, -0.6)
        panel.set_xlabel(label)
        panel.set_xlim(0, max([*shares.values(), 0.01]) * 1.18)
        for row, share in enumerate(shares.values()):
            panel.annotate(f"{share:.2f}", (share, row), (4, 0), textcoords="offset points", va="center")

    return picture(name, text, draw, (), legend=False, height=0.9 + 0.36 * len(shares))


def confusion(name: str, text: str, shares: Sequence[Sequence[float]], names: Sequence[str]) -> Picture:
    """A square of shares, 0 to 1, a row each; what is above one percent is written into it."""

    def draw(panel: axes.Axes) -> None:
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, line in enumerate(shares):
            for column, share in enumerate(line):
                colour = "white" if share > 0.5 else "#333333"
                words = f"{100 * share:.0f}" if share >= 0.01 else ""
                panel.text(column, row, words, ha="center", va="center", fontsize=7, color=colour)
        cut = [fit(each, CLASSES) for each in names]
        panel.set_xticks(range(len(names)), cut, rotation=45, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(len(names)), cut)
        panel.set_xlabel("taken for, % of the class's images")
        panel.set_ylabel("class")

    return picture(name, text, draw, (), legend=False, height=5.2, grid=False)


def picture(
    name: str,
    text: str,
    draw: Callable[[axes.Axes], None] | Sequence[Callable[[axes.Axes], None]],
    marks: Sequence[Mark],
    legend: bool,
    height: float = SIZE[1],
    heading: str | None = None,
    grid: bool = True,
) -> Picture:
    """What `draw` puts on a panel, with marks, a grid and a legend, as SVG and as PNG.

    Args:
        draw: of several panels, one below the other, several; the legend is that of the first.
    """
    several = [draw] if callable(draw) else list(draw)
    style: Any = {**STYLE, "font.family": lettering.families(), "svg.hashsalt": name}  # salted: figures share no ids
    with matplotlib.rc_context(style):
        drawing = figure.Figure(figsize=(SIZE[0], height), dpi=PIXELS_PER_INCH, layout="constrained")
        panels = list(drawing.subplots(len(several), squeeze=False)[:, 0])
        for panel, drawn in zip(panels, several, strict=True):
            drawn(panel)
            _finish(panel, marks, grid)
        if legend:
            _legend(drawing, panels[0], heading)
        vector, pixels = io.StringIO(), io.BytesIO()
        plain: dict[str, Any] = {"transparent": True, "metadata": {"Date": None, "Creator": None}}
        drawing.savefig(vector, format="svg", dpi=PIXELS_OF_POINTS, **plain)
        drawing.savefig(pixels, format="png")
    svg = vector.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return Picture(files.safe_name(name), text, svg, pixels.getvalue())


def _finish(panel: axes.Axes, marks: Sequence[Mark], grid: bool) -> None:
    for dash, mark in enumerate(marks):  # named in the legend: on the line a label would hide curves
        dashes = (0, (4, 3) if dash == 0 else (1, 2))
        panel.axhline(mark.value, color=INK, linewidth=1, linestyle=dashes, alpha=0.7, label=mark.label)
    if grid:
        panel.grid(alpha=0.25, color=INK, linewidth=0.5)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _legend(drawing: figure.Figure, panel: axes.Axes, heading: str | None) -> None:
    """Above the panel, so that it hides nothing; in as many columns as have room. The figure grows for more rows."""
    lines = [line for line in panel.lines if not str(line.get_label()).startswith("_child")]
    renderer: Any = backend_agg.FigureCanvasAgg(drawing).get_renderer()  # type: ignore[no-untyped-call]
    title = heading and fit(heading, LEGEND)
    labels = lettering.distinct([fit(str(line.get_label()), LEGEND - 0.3) for line in lines])
    for columns in range(min(COLUMNS, len(lines)), 0, -1):
        above: dict[str, Any] = {"loc": "outside upper center", "ncols": columns, "frameon": False}
        made = drawing.legend(lines, labels, title=title, columnspacing=1.2, handlelength=1.6, **above)
        extent = made.get_window_extent(renderer)
        if extent.width <= drawing.bbox.width - PIXELS_PER_INCH * 0.1 or columns == 1:
            break
        made.remove()
    one_row = 0.35 if heading is None else 0.55  # inches, which every figure has
    drawing.set_figheight(drawing.get_figheight() + max(0.0, extent.height / PIXELS_PER_INCH - one_row))


def fit(words: str, inches: float, lines: int = 1) -> str:
    """Words in the letters of a figure, in lines of at most so many inches."""
    return lettering.fit(words, inches, LETTERS, lines)
