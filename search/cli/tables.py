"""Tables for people: trials, studies, confirmed configurations."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial

from search import screens, words
from search.cli import layouts
from search.cli.layouts import Column, Rank
from search.ledger import listings, orders, outsiders, summaries
from search.training import origins, records

if TYPE_CHECKING:
    from search.reports import choices, confirmations

COUNTS = ("complete", "pruned", "failed", "running", "waiting")
LEAST_CONFIGURATION = 24  # columns


def of_trials(summary: summaries.Summary, trials: Sequence[FrozenTrial], room: int | None) -> layouts.Layout:
    """Trials, a row each; on a terminal parameters give way to number, state and value."""
    best = summary.best
    parameters = [each.name for each in summary.study.spec.space.parameters]
    columns = [
        Column("#", [str(trial.number) for trial in trials]),
        states(trials, summary.paused_after if isinstance(summary, summaries.Whole) else {}),
        Column(
            summary.study.spec.study.metric,
            ["" if trial.value is None else words.metric(trial.value) for trial in trials],
        ),
    ]
    if summary.study.spec.training is not None:
        columns.append(
            Column(
                "avg loss",
                ["" if (loss := records.AVG_LOSS.find(t)) is None else words.loss(loss) for t in trials],
                rank=Rank.OURS,
            )
        )
    for name in parameters:
        found = [words.setting(trial.params[name]) if name in trial.params else "-" for trial in trials]
        heading = words.HEADINGS.get(name, name)
        columns.append(Column(heading, found, right=name != "activation", rank=Rank.PARAMETER))
    if any(map(records.repeat_of, trials)):
        columns.append(Column("rep", [str(records.repeat_of(trial) or "-") for trial in trials], rank=Rank.OURS))
    steps = f"{summary.study.spec.step}s"
    columns.append(Column(steps, [str(len(trial.intermediate_values)) for trial in trials], rank=Rank.OURS))
    columns.append(Column("sec", [_seconds(records.SECONDS.find(trial)) for trial in trials], rank=Rank.OURS))
    bold = ["bold" if best is not None and trial.number == best.number else "" for trial in trials]
    return layouts.lay_out(columns, room, bold, screens.rule())


def states(trials: Sequence[FrozenTrial], paused_after: Mapping[int, int] = MappingProxyType({})) -> Column:
    """What has become of them.

    Args:
        paused_after: the epoch after which trials have paused, by number.
    """
    styles = [words.STYLES[trial.state] for trial in trials]
    found = [
        f"paused after {paused_after[trial.number]}" if trial.number in paused_after else origins.state(trial)
        for trial in trials
    ]
    return Column("state", found, right=False, styles=styles)


def of_studies(studies: Sequence[listings.Readable | listings.Unreadable], room: int | None) -> layouts.Layout:
    """Studies, a row each, names whole; of one that cannot be read, its name, of another tool's what it has."""
    rows = []
    for each in studies:
        if isinstance(each, listings.Unreadable):
            rows.append([each.name, listings.UNREADABLE, *[""] * (len(COUNTS) + 2)])
            continue
        values, best = each.as_json()["trials"], each.best
        shown = "-" if best is None else words.metric(best.value)
        if isinstance(each, outsiders.Outsider):
            name, state, budget = each.name, outsiders.OPTUNAS, "-"
        else:
            name, state, budget = each.study.name, _state(each), str(each.budget)
        rows.append([name, state, budget, *(str(values[word]) for word in COUNTS), shown])
    columns = []
    for heading, *found in zip(("study", "state", "budget", *COUNTS, "best"), *rows, strict=True):
        rank = Rank.KEPT
        if heading in COUNTS:
            rank = Rank.OURS if any(cell.strip("0") for cell in found) else Rank.EMPTY
        columns.append(Column(heading, found, heading not in ("study", "state"), rank, hangs=heading == "study"))
    dim = ["dim" if isinstance(each, listings.Unreadable) else "" for each in studies]
    return layouts.lay_out(columns, room, dim, screens.rule())


def _state(summary: summaries.Summary) -> str:
    if summary.order.state is orders.StudyState.ACTIVE and summary.stop is not None and summary.done < summary.budget:
        return f"ended: {summary.stop}"
    return str(summary.order.state)


def of_confirmation(found: "confirmations.Confirmation", room: int | None) -> layouts.Layout:
    """Confirmed configurations, a row each; parameters give way."""
    columns = [
        Column("search", [words.metric(entry.selected) for entry in found.entries]),
        Column(
            "again" if found.spec.training is None else "test",
            [words.metric(entry.runs.value.mean) for entry in found.entries],
        ),
        Column("±", [_half(entry) for entry in found.entries]),
        Column("optimism", [words.metric(entry.optimism, "+") for entry in found.entries]),
    ]
    left = None if room is None else max(LEAST_CONFIGURATION, room - sum(each.width + 2 for each in columns))
    whole, shown = ([screens.configuration(e.runs.params, c, short=True) for e in found.entries] for c in (None, left))
    laid = layouts.lay_out([Column("configuration", shown, right=False), *columns], None, (), screens.rule())
    return laid if shown == whole else dataclasses.replace(laid, left_out=["not all parameters shown"])


def _half(entry: "choices.Confirmed") -> str:
    return words.metric(entry.runs.value.half) if entry.runs.value.count > 1 else "-"


def _seconds(value: float | None) -> str:
    """With a decimal, or in four digits where it is huge."""
    if value is None:
        return ""
    return f"{value:.1f}" if math.isfinite(value) and abs(value) < 1e6 else f"{value:.4g}"
