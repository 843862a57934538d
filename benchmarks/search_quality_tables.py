"""The figures of `search_quality.py` as Markdown, and as a picture."""

import json
import math
import pathlib
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy
from matplotlib import axes, ticker

from search.reports import figures
from search.simulations import findings

SIDES = ("service", "plain")
NEAR = 0.002  # of accuracy: as good as
NOTHING = 0.0  # the accuracy of a search before its first trial has ended: less than any
FOUND = (
    "dataset",
    "trials",
    "side",
    "best: mean",
    "worst tenth",
    "range",
    "none",
    "tested: mean",
    "CPU s: median (range)",
    "trials",
    "complete",
    "seeds",
)
COMPARED = (
    "dataset",
    "trials",
    "service wins, ties, loses",
    "p",
    "mean gain",
    "plain's CPU s until as good, by the service's: median (range)",
    "got there",
    "plain after as many trials: mean, CPU s, seeds",
)
FIRST_SEED = 1_000_000  # of quoting: no study has it
MARKS = 100  # of a curve

Row = dict[str, Any]
Group = tuple[str, int, list[Row]]  # dataset, trials, a row for each seed


def quoting_seeds(count: int) -> range:
    """Training seeds that no search used."""
    return range(FIRST_SEED, FIRST_SEED + count)


def best(side: Row, seconds: float = math.inf) -> float:
    """The best accuracy of a search after so many CPU seconds."""
    return max((value for spent, value in side["ends"] if spent <= seconds), default=NOTHING)


def until(side: Row, value: float) -> float:
    """CPU seconds until a search has found as much; inf where it never did."""
    return min((spent for spent, found in side["ends"] if found >= value), default=math.inf)


def groups(rows: Iterable[Row]) -> dict[str, list[Group]]:
    """All searches by how they were made, and by dataset and trials."""
    found: dict[str, dict[tuple[str, int], dict[int, Row]]] = {}
    for row in rows:
        key = row["key"]
        if "study" in key:
            how = (
                f"{key['sampler']} with pruner {key['pruner']}, {key['epochs']} epochs, beside Optuna {key['optuna']}; "
                f"code {key['code']}"
            )
            found.setdefault(how, {}).setdefault((key["dataset"], key["trials"]), {})[key["seed"]] = row
    return {
        how: [(*place, [rows[seed] for seed in sorted(rows)]) for place, rows in sorted(places.items())]
        for how, places in found.items()
    }


def table(rows: Sequence[Row], quoted: int) -> Iterator[str]:
    """Markdown: what each side found, then how they compare, seed by seed."""
    tests: dict[str, dict[int, float]] = {}
    for row in rows:
        if "params" in row["key"]:
            tests.setdefault(_configuration(row["key"], row["key"]["params"]), {})[row["key"]["seed"]] = row["test"]
    for how, found in groups(rows).items():
        yield f"\n{how}\n"
        yield from _head(FOUND)
        for group in found:
            yield from (_found(group, side, tests, quoted) for side in SIDES)
        yield f"\nAs good: within {NEAR} of the service's best; inf: not in equal CPU seconds.\n"
        yield from _head(COMPARED)
        yield from map(_compared, found)


def _head(columns: Sequence[str]) -> Iterator[str]:
    yield _line(columns)
    yield "|" + "---|" * len(columns)


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _configuration(key: Row, params: Row) -> str:
    return json.dumps([key["dataset"], key["epochs"], params], sort_keys=True)


def _found(group: Group, side: str, tests: dict[str, dict[int, float]], quoted: int) -> str:
    """Mean and range are over searches that have found something; `none` counts the others."""
    dataset, trials, rows = group
    every = sorted(best(row[side]) for row in rows)
    values = [value for value in every if value != NOTHING]
    judged = [tests.get(_configuration(row["key"], row[side]["best"]), {}) for row in rows if row[side]["ends"]]
    seeds = quoting_seeds(quoted)
    means = [statistics.fmean(each[seed] for seed in seeds) for each in judged if seeds and set(seeds) <= set(each)]
    return _line(
        [
            *(dataset, trials, side),
            f"{statistics.fmean(values):.4f}" if values else "-",
            "none" if (worst := every[len(every) // 10]) == NOTHING else f"{worst:.4f}",
            f"{values[0]:.4f} to {values[-1]:.4f}" if values else "-",
            len(every) - len(values),
            f"{statistics.fmean(means):.4f}" if means and len(means) == len(values) else "-",
            _spread([row[side]["cpu_seconds"] for row in rows], ".0f"),
            f"{statistics.fmean(row[side]['trials'] for row in rows):.1f}",
            f"{statistics.fmean(len(row[side]['ends']) for row in rows):.1f}",
            len(rows),
        ]
    )


def _compared(group: Group) -> str:
    """Wins and p are over all seeds, the mean gain over those where both sides have found something."""
    dataset, trials, rows = group
    pairs = [(best(row["service"]), best(row["plain"])) for row in rows]
    signs = [int(numpy.sign(round(ours - theirs, 5))) for ours, theirs in pairs]
    p = findings.compare(*zip(*pairs, strict=True))
    gains = [ours - theirs for ours, theirs in pairs if NOTHING not in (ours, theirs)]
    bars = [(row, ours - NEAR) for row, (ours, _) in zip(rows, pairs, strict=True) if ours != NOTHING]
    ratios = [until(row["plain"], bar) / until(row["service"], bar) for row, bar in bars]
    same = [ends[:trials] for row in rows if len(ends := row["plain"]["ends"]) >= trials]
    after = statistics.fmean(max(value for _, value in ends) for ends in same) if same else 0.0
    spent = statistics.median(ends[-1][0] for ends in same) if same else 0.0
    return _line(
        [
            *(dataset, trials, ", ".join(str(signs.count(sign)) for sign in (1, 0, -1))),
            "-" if p is None else f"{p:.2g}",
            f"{statistics.fmean(gains):+.4f}" if gains else "-",
            _spread(ratios, ".2f") if ratios else "-",
            f"{sum(map(math.isfinite, ratios))} of {len(rows)}",
            f"{after:.4f}, {spent:.0f}, {len(same)}" if same else "-",
        ]
    )


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def plot(rows: Sequence[Row], file: pathlib.Path) -> None:
    """Draws the best accuracy over CPU seconds: of each dataset the largest budget, in the latest settings."""
    found = [group for each in list(groups(rows).values())[-1:] for group in each]
    largest = {dataset: (dataset, trials, seeds) for dataset, trials, seeds in found}
    for dataset, group in largest.items():
        place = file if len(largest) == 1 else file.with_stem(f"{file.stem}-{dataset}")
        picture = _picture(group)
        if file.suffix == ".svg":
            place.write_text(picture.svg.replace("currentColor", "#333333"))
        else:
            place.write_bytes(picture.png)
        print(place)


def _picture(group: Group) -> figures.Picture:
    dataset, trials, rows = group
    firsts = [row[side]["ends"][0][0] for row in rows for side in SIDES if row[side]["ends"]]
    marks = numpy.geomspace(min(firsts), max(row["service"]["cpu_seconds"] for row in rows), MARKS)

    def draw(panel: axes.Axes) -> None:
        for place, side in enumerate(SIDES):
            curves = numpy.array([[best(row[side], mark) for mark in marks] for row in rows])
            # the lower one of two: between nothing and something lies no accuracy
            low, middle, high = (
                numpy.where(each > NOTHING, each, numpy.nan)
                for each in numpy.quantile(curves, (0.25, 0.5, 0.75), axis=0, method="lower")
            )
            colour = figures.look(place)["color"]
            panel.fill_between(marks, low, high, color=colour, alpha=0.15, linewidth=0)
            label = f"service, {trials} trials" if side == "service" else "plain Optuna"
            panel.plot(marks, middle, color=colour, linewidth=1.6, label=label)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))  # its own is a formula
        panel.xaxis.set_minor_formatter(ticker.NullFormatter())
        panel.set_xlabel("CPU seconds")
        panel.set_ylabel(f"best accuracy on the hold-out, {dataset}")

    text = f"Best accuracy over CPU seconds on {dataset}: median over {len(rows)} seeds and the middle half of them"
    return figures.picture(f"search-quality-{dataset}", text, draw, (), legend=True, height=4.2)
