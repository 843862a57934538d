"""One figure per function, as PNG; drawn without a display, from any thread."""

import io
from collections.abc import Mapping

from matplotlib import figure, ticker

# of Okabe and Ito: told apart by colour-blind people too
BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#666666"
PIXELS_PER_INCH = 120


def learning_curve(values: Mapping[int, float], title: str, metric: str, note: str = "") -> bytes:
    """A trial's values over its epochs.

    Args:
        values: by 1-based epoch; nan and infinities are left out.
        note: why it ended early, below the title; the last value is marked then.
    """
    drawing = figure.Figure(figsize=(6.4, 3.6), dpi=PIXELS_PER_INCH, layout="constrained")
    axes = drawing.subplots()
    epochs = sorted(values)
    axes.plot(epochs, [values[epoch] for epoch in epochs], color=BLUE, marker="o", markersize=4, linewidth=1.8)
    if note and epochs:
        axes.plot(epochs[-1:], [values[epochs[-1]]], color=VERMILLION, marker="X", markersize=9, linestyle="none")
    axes.set_title(title, loc="left", fontweight="bold", pad=20 if note else 8)
    if note:
        short = note if len(note) <= 90 else note[:89] + "…"
        axes.text(0, 1.03, short, transform=axes.transAxes, fontsize=8, color=GREY, parse_math=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric, parse_math=False)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    drawing.savefig(picture, format="png")
    return picture.getvalue()
