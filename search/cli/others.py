"""Another tool's study as commands print it."""

import rich.box
from optuna.trial import FrozenTrial
from rich import table, text

from search import words
from search.cli import answers
from search.ledger import listings, outsiders
from search.storage.databases import Database


def show(database: Database, study: outsiders.Outsider) -> None:
    """What it seeks, its trials, and the best of them.

    Raises:
        errors.InputError: its rows cannot be read.
    """
    with listings.named(study.name):
        found = outsiders.trials(database, study)
    states = ", ".join(f"{count} {words.STATES[state]}" for state, count in sorted(study.counts.items()) if count)
    counts = f"{words.plural(study.total, 'trial')} ({states or 'none yet'})"
    answers.out.print(
        text.Text.assemble((study.name, "bold"), f": Optuna's own, {study.goal}; {counts}"), soft_wrap=True
    )
    answers.out.print(_table(study, found))
    answers.out.print(best(study, found), style="bold green", highlight=False, markup=False, soft_wrap=True)


def best(study: outsiders.Outsider, trials: list[FrozenTrial]) -> str:
    """The best trial with its parameters, in words; of several objectives, which trials none is better than."""
    if study.best is not None:
        params = "".join(f", {name} {words.setting(value)}" for name, value in study.best.params.items())
        return f"best: trial {study.best.number}, {study.metrics[0]} {words.metric(study.best.value)}{params}"
    if len(study.metrics) > 1 and (front := outsiders.front(study, trials)):
        return f"none is better in all: trials {', '.join(str(trial.number) for trial in front)}"
    return "no trial is complete yet"


def _table(study: outsiders.Outsider, trials: list[FrozenTrial]) -> table.Table:
    names = outsiders.parameters(trials)
    grid = table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    for name in ("#", "state", *study.metrics, *names, "steps", "sec"):
        grid.add_column(text.Text(name), justify="left" if name == "state" else "right", no_wrap=True)
    for trial in trials:
        values = trial.values or [None] * len(study.metrics)
        grid.add_row(
            str(trial.number),
            text.Text(words.STATES[trial.state], style=words.STYLES[trial.state]),
            *("" if value is None else words.metric(value) for value in values),
            *(text.Text(words.setting(trial.params[name])) if name in trial.params else "-" for name in names),
            str(len(trial.intermediate_values)),
            "" if trial.duration is None else f"{trial.duration.total_seconds():.1f}",
            style="bold" if study.best is not None and trial.number == study.best.number else None,
        )
    return grid
