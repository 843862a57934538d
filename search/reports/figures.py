"""The figures of a report: drawn once, taken as SVG for the page and as PNG beside the Markdown."""

import dataclasses
import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib import axes, figure, ticker

from search import files

# of Okabe and Ito, without black and yellow: told apart by colour-blind people, on white and on black
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#7E5FA8")
MARKERS = "osD^vPX*"
INK = "#010101"  # in an SVG it becomes the page's own text colour
RUNNING = 50  # losses in a running mean
PIXELS_PER_INCH = 120
LARGEST = 1e300  # beyond it Matplotlib finds no limits for an axis
SIZE = (5.6, 3.5)  # inches: a phone shows it at full size
STYLE: dict[str, Any] = {
    "font.size": 9,
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


def drawable(values: Sequence[float]) -> list[float]:
    """The same with a gap where no axis reaches: at infinities, and near them."""
    return [value if abs(value) < LARGEST else math.nan for value in values]


def curves(
    name: str, text: str, lines: Sequence[Line], label: str, marks: Sequence[Mark] = (), heading: str | None = None
) -> Picture:
    """Curves over the epochs, each with its own colour and marker; `heading` is the legend's."""

    def draw(panel: axes.Axes) -> None:
        for line in lines:
            epochs = range(1, min(map(len, line.seeds)) + 1)
            by_epoch = list(zip(*map(drawable, line.seeds), strict=False))
            colour, mean = COLOURS[line.colour % len(COLOURS)], [sum(epoch) / len(epoch) for epoch in by_epoch]
            if len(line.seeds) > 1:
                panel.fill_between(epochs, list(map(min, by_epoch)), list(map(max, by_epoch)), color=colour, alpha=0.2)
            marker = MARKERS[line.colour % len(MARKERS)]
            panel.plot(epochs, mean, color=colour, marker=marker, markersize=4, linewidth=1.6, label=line.label)
        panel.set_xlabel("epoch")
        panel.set_ylabel(label)
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))

    return _picture(name, text, draw, marks, legend=len(lines) + len(marks) > 1, heading=heading)


def batch_losses(name: str, text: str, steps: Sequence[float], losses: Sequence[float]) -> Picture:
    """The loss of every mini-batch, with its running mean over fifty of them."""

    def draw(panel: axes.Axes) -> None:
        panel.plot(steps, drawable(losses), color=COLOURS[5], linewidth=0.8, label="each batch")
        if len(losses) >= 2 * RUNNING:
            means = [sum(losses[i : i + RUNNING]) / RUNNING for i in range(len(losses) - RUNNING + 1)]
            panel.plot(
                steps[RUNNING - 1 :], means, color=COLOURS[1], linewidth=1.8, label=f"mean of the last {RUNNING}"
            )
        panel.set_xlabel("mini-batch of the first epoch")
        panel.set_ylabel("cross-entropy loss, nats")

    return _picture(name, text, draw, (), legend=True)


@dataclasses.dataclass(frozen=True)
class Points:
    """Trials of one kind: where along the x axis, and their values."""

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]


def progress(
    name: str,
    text: str,
    points: Sequence[Points],
    best: tuple[Sequence[float], Sequence[float]],
    labels: tuple[str, str],
    marks: Sequence[Mark] = (),
) -> Picture:
    """Values of trials and, as a staircase, the best of them so far.

    Args:
        best: x, and the best value from there on.
        labels: of the x and the y axis.
    """

    def draw(panel: axes.Axes) -> None:
        for each in points:
            style: dict[str, Any] = {"color": COLOURS[each.colour], "marker": MARKERS[each.colour], "linestyle": "none"}
            panel.plot(each.x, drawable(each.y), markersize=5, label=each.label, **style)
        panel.step(best[0], drawable(best[1]), where="post", color=COLOURS[0], linewidth=1.6, label="best so far")
        panel.set_xlim(left=min([0, *best[0]]) - (0.5 if labels[0] == "trial" else 0))
        panel.set_xlabel(labels[0])
        panel.set_ylabel(labels[1])

    return _picture(name, text, draw, marks, legend=True)


def bars(name: str, text: str, shares: dict[str, float], label: str) -> Picture:
    """Horizontal bars, the first on top."""

    def draw(panel: axes.Axes) -> None:
        names = list(shares)
        panel.barh(names, [shares[each] for each in names], color=COLOURS[0], height=0.6)
        panel.invert_yaxis()
        panel.set_xlabel(label)
        panel.set_xlim(0, max([*shares.values(), 0.01]) * 1.18)
        for row, each in enumerate(names):
            panel.annotate(f"{shares[each]:.2f}", (shares[each], row), (4, 0), textcoords="offset points", va="center")

    return _picture(name, text, draw, (), legend=False, height=0.9 + 0.36 * len(shares))


def confusion(name: str, text: str, shares: Sequence[Sequence[float]], names: Sequence[str]) -> Picture:
    """A square of shares, 0 to 1, a row each; what is above one percent is written into it."""

    def draw(panel: axes.Axes) -> None:
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, line in enumerate(shares):
            for column, share in enumerate(line):
                colour = "white" if share > 0.5 else "#333333"
                words = f"{100 * share:.0f}" if share >= 0.01 else ""
                panel.text(column, row, words, ha="center", va="center", fontsize=7, color=colour)
        panel.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        panel.set_yticks(range(len(names)), names)
        panel.set_xlabel("taken for, % of the class's images")
        panel.set_ylabel("class")

    return _picture(name, text, draw, (), legend=False, height=5.2, grid=False)


def _picture(
    name: str,
    text: str,
    draw: Callable[[axes.Axes], None],
    marks: Sequence[Mark],
    legend: bool,
    height: float = SIZE[1],
    heading: str | None = None,
    grid: bool = True,
) -> Picture:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name)  # of a file: a study can be renamed to anything elsewhere
    style: Any = {**STYLE, "svg.hashsalt": name}  # salted: the figures of one page share no ids
    with matplotlib.rc_context(style):
        drawing = figure.Figure(figsize=(SIZE[0], height), dpi=PIXELS_PER_INCH, layout="constrained")
        panel = drawing.subplots()
        draw(panel)
        for dash, mark in enumerate(marks):  # named in the legend: on the line a label would hide curves
            dashes = (0, (4, 3) if dash == 0 else (1, 2))
            panel.axhline(mark.value, color=INK, linewidth=1, linestyle=dashes, alpha=0.7, label=mark.label)
        if grid:
            panel.grid(alpha=0.25, color=INK, linewidth=0.5)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        if legend:  # above the panel: nothing is hidden, however many lines there are
            above: dict[str, Any] = {"loc": "outside upper center", "ncols": 4, "frameon": False}
            drawing.legend(**above, title=heading, columnspacing=1.2, handlelength=1.6)
        vector, pixels = io.StringIO(), io.BytesIO()
        drawing.savefig(vector, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawing.savefig(pixels, format="png")
    svg = vector.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return Picture(files.safe_name(name), text, svg, pixels.getvalue())
