"""Regret over CPU seconds, as a picture: the median over seeds, and the middle half of them."""

from collections.abc import Mapping
from typing import Any

import numpy
from matplotlib import axes, ticker

from search.reports import figures, lettering

LEAST = 1e-4  # regret that is drawn: a logarithmic axis has no zero

Array = numpy.ndarray[Any, Any]


def regret(name: str, marks: Array, regrets: Mapping[str, Array], label: str) -> figures.Picture:
    """A curve for each method.

    Args:
        marks: CPU seconds, (marks,).
        regrets: of each method, (seeds, marks).
        label: of the regret's axis.
    """

    def draw(panel: axes.Axes) -> None:
        for place, (method, rows) in enumerate(regrets.items()):
            low, middle, high = numpy.maximum(numpy.quantile(rows, (0.25, 0.5, 0.75), axis=0), LEAST)
            look = figures.look(place)
            panel.fill_between(marks, low, high, color=look["color"], alpha=0.15, linewidth=0)
            panel.plot(marks, middle, markersize=3, linewidth=1.6, label=lettering.shown(method), markevery=4, **look)
        panel.set_xscale("log")
        panel.set_yscale("log")
        for axis in (panel.xaxis, panel.yaxis):  # their own labels would be formulas
            axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(ticker.NullFormatter())
        panel.set_xlabel("CPU seconds of all workers")
        panel.set_ylabel(label)

    text = f"{label} over CPU seconds: the median over seeds and the middle half of them, for {', '.join(regrets)}"
    return figures.picture(name, text, draw, (), legend=True, height=4.2)
