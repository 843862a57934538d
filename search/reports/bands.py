"""Figures of many trials by their quantiles: the middle, half and four fifths of them, instead of a line each."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy
from matplotlib import axes, ticker

from search.reports import figures, lettering

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
WORDS = "median, middle half and middle four fifths"
MARGIN = 0.05  # of an axis


@dataclasses.dataclass(frozen=True)
class Bands:
    """Quantiles of what lies at each place along the x axis; nan where nothing finite does."""

    x: Sequence[float]
    quantiles: numpy.ndarray  # (5, x)

    @classmethod
    def of(cls, values: Mapping[float, Sequence[float]]) -> "Bands":
        """The quantiles of values by place."""
        places = sorted(values)
        return cls(places, numpy.array([_quantiles(values[place]) for place in places]).reshape(-1, 5).T)


def _quantiles(values: Sequence[float]) -> list[float]:
    finite = [value for value in figures.drawable(values) if not math.isnan(value)]
    return numpy.quantile(finite, QUANTILES).tolist() if finite else [math.nan] * len(QUANTILES)


def curves(
    name: str,
    text: str,
    bands: Bands,
    sample: Sequence[Mapping[int, float]],
    best: tuple[str, Mapping[int, float]] | None,
    label: str,
    higher: bool = True,
) -> figures.Picture:
    """Learning curves.

    Args:
        sample: the curves that are drawn themselves, thin.
        best: a curve that is drawn thick, after its label.
    """

    def draw(panel: axes.Axes) -> None:
        for curve in sample:
            panel.plot(list(curve), _drawable(curve), color=figures.INK, linewidth=0.4, alpha=0.25)
        _fill(panel, bands)
        if best is not None:
            panel.plot(
                list(best[1]),
                _drawable(best[1]),
                color=figures.COLOURS[1],
                linewidth=1.8,
                label=lettering.shown(best[0]),
            )
        panel.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        panel.set_xlabel("step")
        _height(panel, bands, [] if best is None else _drawable(best[1]), higher)
        panel.set_ylabel(figures.fit(label, figures.PANEL, 2))

    return figures.picture(name, text, draw, (), legend=True)


def levels(
    name: str,
    text: str,
    groups: Sequence[tuple[str | float, Sequence[float]]],
    labels: tuple[str, str],
    logarithmic: bool = False,
    higher: bool = True,
) -> figures.Picture:
    """The values of trials by a parameter.

    Args:
        groups: a name, or a number along the axis, each with the values of its trials.
        labels: of the x and the y axis.
    """
    is_named = any(isinstance(place, str) for place, _ in groups)
    places = [float(number) if is_named else float(place) for number, (place, _) in enumerate(groups)]
    values = {place: found for place, (_, found) in zip(places, groups, strict=True)}
    bands, better = Bands.of(values), max if higher else min
    best = [better(filter(math.isfinite, values[place]), default=math.nan) for place in bands.x]

    def draw(panel: axes.Axes) -> None:
        if is_named:
            _stand(panel, bands)
            panel.set_xticks(places, [figures.fit(str(place), 0.8 * 4 / max(4, len(places)), 2) for place, _ in groups])
            panel.set_xlim(-0.5, len(places) - 0.5)
        else:
            _fill(panel, bands)
            if logarithmic:  # powers would be set as mathematics, which names are never
                panel.set_xscale("log")
                panel.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
                panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        drawn = figures.drawable(best)
        panel.plot(bands.x, drawn, color=figures.COLOURS[1], linestyle="none", marker="D", markersize=4, label="best")
        _height(panel, bands, drawn, higher)
        panel.set_xlabel(figures.fit(labels[0], figures.PANEL * 2, 2))
        panel.set_ylabel(figures.fit(labels[1], figures.PANEL, 2))

    return figures.picture(name, text, draw, (), legend=True)


def _drawable(curve: Mapping[int, float]) -> list[float]:
    return figures.drawable(list(curve.values()))


def _fill(panel: axes.Axes, bands: Bands) -> None:
    low, lower, middle, upper, high = bands.quantiles
    colour = figures.COLOURS[0]
    panel.fill_between(bands.x, low, high, color=colour, alpha=0.15, linewidth=0)
    panel.fill_between(bands.x, lower, upper, color=colour, alpha=0.25, linewidth=0)
    panel.plot(bands.x, middle, color=colour, linewidth=1.6, marker="o", markersize=2.5, label="median")


def _stand(panel: axes.Axes, bands: Bands) -> None:
    low, lower, middle, upper, high = bands.quantiles
    colour = figures.COLOURS[0]
    panel.vlines(bands.x, low, high, color=colour, alpha=0.3, linewidth=8)
    panel.vlines(bands.x, lower, upper, color=colour, alpha=0.5, linewidth=8)
    panel.plot(bands.x, middle, color=colour, linestyle="none", marker="o", markersize=6, label="median")


def _height(panel: axes.Axes, bands: Bands, best: Sequence[float], higher: bool) -> None:
    """The axis shows the bands, and the best: a sample's outliers would press both flat."""
    shown = [value for value in [*bands.quantiles.ravel().tolist(), *best] if math.isfinite(value)]
    if figures.is_logarithmic(shown, higher):
        figures.make_logarithmic(panel)
        panel.set_ylim(min(shown) / (1 + 10 * MARGIN), max(shown) * (1 + 10 * MARGIN))
    elif shown:
        low, high = min(shown), max(shown)
        room = MARGIN * (high - low) or 1.0
        panel.set_ylim(low - room, high + room)
