"""Figures of a value for each trial: a mark each; of more than a thousand, points as pixels, denser where more lie."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from matplotlib import axes, ticker

from search.reports import figures, lettering

MARKED = 1_000  # trials that have a mark each; of more, marks would be one blot, and a page of megabytes
INK_OF_POINTS = 3_000  # trials: of more, each point is paler
PALEST, DARKEST = 0.06, 0.5  # of a point
SHOWN_SHARE = 0.99  # of many trials, where the worst of them would press the others flat
FLAT = 3.0  # times: so much higher the figure would be with the worst
MARGIN = 0.05  # of an axis


@dataclasses.dataclass(frozen=True)
class Points:
    """Trials of one kind: where along the x axis, and their values."""

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Values of trials, and the best of them so far.

    Attributes:
        best: x, and the best value from there on.
        labels: of the x and the y axis.
        higher: whether the higher value is the better.
    """

    points: Sequence[Points]
    best: tuple[Sequence[float], Sequence[float]]
    labels: tuple[str, str]
    higher: bool = True

    @property
    def total(self) -> int:
        """How many trials."""
        return sum(len(each.x) for each in self.points)

    @property
    def is_crowded(self) -> bool:
        """Whether there are more trials than have a mark each."""
        return self.total > MARKED

    @property
    def cut(self) -> float | None:
        """The value beyond which the worst of many trials lie outside the figure; None: it shows all."""
        if self.is_logarithmic:
            return None
        values = sorted(y for each in self.points for y in figures.drawable(each.y) if not math.isnan(y))
        if not self.is_crowded or not values:
            return None
        place = math.floor(SHOWN_SHARE * (len(values) - 1))
        best, worst, cut = values[0], values[-1], values[place]
        if self.higher:
            best, worst, cut = values[-1], values[0], values[len(values) - 1 - place]
        return cut if abs(worst - best) > FLAT * abs(cut - best) > 0 else None

    @property
    def is_logarithmic(self) -> bool:
        """Whether the axis of the values is; the worst of many trials alone make it none."""
        values = sorted(y for each in self.points for y in figures.drawable(each.y) if not math.isnan(y))
        shown = values[: math.ceil(SHOWN_SHARE * len(values))] if self.is_crowded else values
        return figures.is_logarithmic(shown, self.higher)

    @property
    def outside(self) -> int:
        """How many trials lie beyond it."""
        cut = self.cut
        if cut is None:
            return 0
        return sum((y < cut if self.higher else y > cut) for each in self.points for y in each.y)

    def note(self) -> str:
        """What a caption says of the axis and of how many trials are drawn: nothing, where each has its mark."""
        axis = " The axis of the values is logarithmic." if self.is_logarithmic else ""
        if not self.is_crowded:
            return axis
        beyond = f" The worst {self.outside:,} lie beyond the edge." if self.outside else ""
        return f" All {self.total:,} trials are drawn, darker where more of them lie.{beyond}{axis}"


def picture(name: str, text: str, found: Progress, marks: Sequence[figures.Mark] = ()) -> figures.Picture:
    """The trials and, as a staircase, the best of them so far."""

    def draw(panel: axes.Axes) -> None:
        for each in (some for some in found.points if some.x):
            style = figures.look(each.colour) | {"linestyle": "none"}
            label = lettering.shown(each.label)
            if found.is_crowded:
                _crowd(panel, each, style, found.total)
                panel.plot([], [], markersize=5, label=label, **style)  # for the legend
            else:  # a mark at the edge is whole
                panel.plot(each.x, figures.drawable(each.y), markersize=5, label=label, clip_on=False, **style)
        x, best = found.best[0], figures.drawable(found.best[1])
        if x:
            x, best = _steps(x, best) if found.is_crowded else (x, best)
            colour = figures.INK if found.is_crowded else figures.COLOURS[0]
            panel.step(x, best, where="post", color=colour, linewidth=1.6, label="best so far")
        is_by_number = found.labels[0] == "trial"
        if is_by_number:
            panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        panel.set_xlim(left=min([0, *x]) - (0.5 if is_by_number else 0))
        panel.set_xlabel(found.labels[0])
        panel.set_ylabel(figures.fit(found.labels[1], figures.PANEL, 2))
        if found.is_logarithmic:
            figures.make_logarithmic(panel)
        if (cut := found.cut) is not None:
            _zoom(panel, found, cut, marks)

    return figures.picture(name, text, draw, marks, legend=True)


def _crowd(panel: axes.Axes, points: Points, style: dict[str, Any], total: int) -> None:
    paleness = min(DARKEST, max(PALEST, DARKEST * INK_OF_POINTS / total))
    panel.plot(
        points.x,
        figures.drawable(points.y),
        markersize=2.4,
        markeredgewidth=0,
        alpha=paleness,
        rasterized=True,
        **{**style, "marker": "o"},
    )


def _steps(x: Sequence[float], best: Sequence[float]) -> tuple[list[float], list[float]]:
    """Where the best changes, and the ends: the staircase is the same."""
    last = len(x) - 1
    kept = [place for place in range(len(x)) if place in (0, last) or best[place] != best[place - 1]]
    return [x[place] for place in kept], [best[place] for place in kept]


def _zoom(panel: axes.Axes, found: Progress, cut: float, marks: Sequence[figures.Mark]) -> None:
    inside = [y for each in found.points for y in figures.drawable(each.y) if (y >= cut if found.higher else y <= cut)]
    inside += [mark.value for mark in marks]
    low, high = min(inside), max(inside)
    room = MARGIN * (high - low)
    panel.set_ylim(low - room, high + room)
