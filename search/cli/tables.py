"""Tables for the terminal: trials, studies, confirmed configurations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import rich.box
from rich import table, text

from search import words
from search.ledger import listings, summaries
from search.training import records

if TYPE_CHECKING:
    from search.reports import confirmations


def of_trials(summary: summaries.Summary) -> table.Table:
    """All trials, a row each."""
    names = [p.name for p in summary.study.spec.space.parameters]
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    metric, trains = summary.study.spec.study.metric, summary.study.spec.training is not None
    losses = ("avg loss",) if trains else ()
    repeats = ("rep",) if any(map(records.repeat_of, summary.trials)) else ()
    # narrow enough for 80 columns
    for name in ("#", "state", metric, *losses, *(words.HEADINGS.get(n, n) for n in names), *repeats, "epochs", "sec"):
        grid.add_column(name, justify="left" if name in ("state", "act.") else "right", no_wrap=True)
    best = summary.best
    for trial in summary.trials:
        word, style = words.STATES[trial.state], words.STYLES[trial.state]
        loss, seconds = records.AVG_LOSS.find(trial), records.SECONDS.find(trial)
        grid.add_row(
            str(trial.number),
            text.Text(word, style=style),
            "" if trial.value is None else words.metric(trial.value),
            *((("" if loss is None else words.loss(loss)),) if trains else ()),
            *(words.setting(trial.params[n]) if n in trial.params else "-" for n in names),
            *(str(records.repeat_of(trial) or "-") for _ in repeats),
            str(len(trial.intermediate_values)),
            "" if seconds is None else f"{seconds:.1f}",
            style="bold" if best is not None and trial.number == best.number else None,
        )
    return grid


def of_studies(studies: Sequence[summaries.Summary | listings.Unreadable]) -> table.Table:
    """Studies, a row each; of one that cannot be read, its name."""
    grid = table.Table(box=rich.box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("study", "state", "budget", "complete", "pruned", "failed", "running", "waiting", "best"):
        grid.add_column(name, justify="left" if name in ("study", "state") else "right", no_wrap=name == "state")
    for summary in studies:
        if isinstance(summary, listings.Unreadable):
            grid.add_row(text.Text(summary.name), listings.UNREADABLE, style="dim")
            continue
        values = summary.as_json()
        best = summary.best
        grid.add_row(
            text.Text(summary.study.name),
            str(summary.order.state),
            str(summary.budget),
            *(str(n) for n in values["trials"].values()),
            "-" if best is None else words.metric(best.value),
        )
    return grid


def plain(*names: str) -> table.Table:
    """A table without a frame; columns of numbers stand right."""
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        grid.add_column(name, justify="right" if name in ("probability", "recall") else "left")
    return grid


def of_confirmation(found: "confirmations.Confirmation") -> table.Table:
    """Confirmed configurations, a row each."""
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("configuration", "search", "test", "±", "optimism"):
        grid.add_column(name, justify="left" if name == "configuration" else "right")
    for entry in found.entries:
        value = entry.runs.value
        half = f"{value.half:.4f}" if value.count > 1 else "-"
        row = (
            words.short_configuration(dict(entry.runs.params)),
            words.metric(entry.selected),
            words.metric(value.mean),
            half,
        )
        grid.add_row(*row, f"{entry.optimism:+.4f}")
    return grid
