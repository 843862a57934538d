"""The best value so far of some searches as one picture: over the trials begun above, over the time spent below."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy
from matplotlib import axes, ticker

from search.reports import figures, lettering, trajectories
from search.reports.trajectories import Stairs, Trajectory

HEIGHT = 5.6  # inches
FIRST = 0.1  # of a search: what it found before would press the rest flat
MARGIN = 0.08  # of an axis
FAR_APART = 30.0  # times: so much longer a search is than another where the axis is logarithmic
THICK, THIN = 2.4, 1.4  # points, of the first line and of the last
THICKER = 2.0  # points, of a line for each later one that is the same, under which it would not be seen


def picture(name: str, metric: str, found: Sequence[Trajectory], sign: int, kind: str) -> figures.Picture:
    """All of them, over the trials above and over the cost below.

    Args:
        kind: of the cost, as "CPU time".
    """
    drawn = [each for each in found if each.best is not None]
    named, seconds = trajectories.unit([each.by_cost.end for each in drawn])
    labels = lettering.distinct([figures.fit(each.label, figures.LEGEND - 0.3) for each in drawn])

    def panel(stairs: Sequence[Stairs], label: str, of: float) -> Callable[[axes.Axes], None]:
        def draw(room: axes.Axes) -> None:
            for place, each in enumerate(stairs):
                same = sum(_are_same(each, other) for other in stairs[place + 1 :])
                width = THICK + (THIN - THICK) * place / max(1, len(stairs) - 1) + THICKER * same
                _draw(room, each, of, {**figures.look(place), "linewidth": width, "label": labels[place]})
            _shape(room, stairs, of, sign)
            room.set_xlabel(label)
            room.set_ylabel(figures.fit(metric, figures.PANEL, 2))

        return draw

    text = f"the best {metric} so far over trials, and over {kind} spent, of {', '.join(each.label for each in drawn)}"
    panels = [
        panel([each.by_trial for each in drawn], "trials begun", 1.0),
        panel([each.by_cost for each in drawn], f"{kind} spent, {named}", seconds),
    ]
    return figures.picture(name, text, panels, (), legend=True, height=HEIGHT)


def _are_same(stairs: Stairs, other: Stairs) -> bool:
    return numpy.array_equal(stairs.values, other.values) and numpy.allclose(stairs.x, other.x)


def _draw(room: axes.Axes, stairs: Stairs, of: float, look: dict[str, Any]) -> None:
    x, y = [*stairs.x / of, max(stairs.end, *stairs.x) / of], figures.drawable([*stairs.values, stairs.values[-1]])
    room.step(x, y, where="post", markersize=3 + look["linewidth"], markevery=list(range(len(x) - 1)), **look)


def is_far_apart(stairs: Sequence[Stairs]) -> bool:
    """Whether one search is so much longer than another that the short one would be a line at the edge."""
    ends = [each.end for each in stairs if each.end > 0]
    return bool(ends) and max(ends) >= FAR_APART * min(ends)


def _shape(room: axes.Axes, stairs: Sequence[Stairs], of: float, sign: int) -> None:
    """The axes: such that what a search ends with can be told apart."""
    if is_far_apart(stairs):
        room.set_xscale("log")
        room.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        room.xaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        room.set_xlim(left=0)
        room.xaxis.set_major_locator(ticker.MaxNLocator(integer=of == 1))
    values = [value for each in stairs for value in figures.drawable(list(each.values))]
    if figures.is_logarithmic(values, sign > 0):
        figures.make_logarithmic(room)
        return
    kept = [value for each in stairs for value in figures.drawable(_later(each)) if not math.isnan(value)]
    if kept and min(kept) < max(kept) and len(kept) < len(values):
        space = MARGIN * (max(kept) - min(kept))
        room.set_ylim(min(kept) - space, max(kept) + space)


def _later(stairs: Stairs) -> list[float]:
    """What was the best from the first tenth of a search on."""
    place = max(0, int(numpy.searchsorted(stairs.x, FIRST * stairs.end, side="right")) - 1)
    return list(stairs.values[place:])


def note(found: Sequence[Trajectory], sign: int) -> str:
    """What a caption says of the axes."""
    said = ""
    stairs = [[each.by_trial for each in found], [each.by_cost for each in found]]
    if any(map(is_far_apart, stairs)):
        said += " Where one search is far longer than another, the axis is logarithmic."
    values = [value for each in stairs[0] for value in figures.drawable(list(each.values))]
    if figures.is_logarithmic(values, sign > 0):
        return f"{said} The axis of the values is logarithmic."
    if any(len(_later(each)) < len(each.values) for several in stairs for each in several):
        said += " What was the best in the first tenth of a search may lie beyond the edge."
    return said
