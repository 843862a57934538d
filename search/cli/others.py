"""Another tool's study as commands print it."""

from optuna.trial import FrozenTrial

from search import screens, words
from search.cli import answers, layouts, tables
from search.cli.layouts import Column, Rank
from search.ledger import excerpts, listings, outsiders
from search.lines import said
from search.storage.databases import Database


def show(database: Database, study: outsiders.Outsider, every: bool = False) -> None:
    """What it seeks, its best, last and running trials, or every one.

    Raises:
        errors.InputError: its rows cannot be read.
    """
    with listings.named(study.name):
        is_whole = every or study.total <= answers.FEW or len(study.metrics) > 1
        found = outsiders.trials(database, study) if is_whole else outsiders.excerpt(database, study)
    states = ", ".join(f"{count} {words.STATES[state]}" for state, count in sorted(study.counts.items()) if count)
    counts = f"{words.plural(study.total, 'trial')} ({states or 'none yet'})"
    screens.say(f"{study.name}: Optuna's own, {study.goal}; {counts}", "bold")
    columns = screens.room(screens.out)
    command = f"search status {words.typed(study.name)}" + (" --all" if study.total > answers.FEW else "")
    shown = found if every or len(found) <= answers.FEW else found[-excerpts.LATEST :]
    answers.print_table(_table(study, shown, columns), whole=command)
    answers.print_rest(study.total, len(shown), command)
    screens.say_wrapped(best(study, found, columns and screens.ROWS * columns), "bold green")


def best(study: outsiders.Outsider, trials: list[FrozenTrial], columns: int | None = None) -> str:
    """The best trial with its parameters, in words; of several objectives, which trials none is better than.

    Args:
        columns: that it may fill; None for all of it.
    """
    if study.best is not None:
        head = f"best: trial {study.best.number}, {said(study.metrics[0])} {words.metric(study.best.value)}, "
        left = None if columns is None else max(screens.NARROWEST // 2, columns - len(head))
        return (head + screens.configuration(study.best.params, left)).removesuffix(", ")
    if len(study.metrics) > 1 and (front := outsiders.front(study, trials)):
        return f"none is better in all: trials {', '.join(str(trial.number) for trial in front)}"
    return "no trial is complete yet"


def _table(study: outsiders.Outsider, trials: list[FrozenTrial], room: int | None) -> layouts.Layout:
    columns = [
        Column("#", [str(trial.number) for trial in trials]),
        tables.states(trials),
    ]
    for place, name in enumerate(study.metrics):
        values = [words.metric(trial.values[place]) if trial.values else "" for trial in trials]
        columns.append(Column(name, values))
    for name in outsiders.parameters(trials):
        found = [words.setting(trial.params[name]) if name in trial.params else "-" for trial in trials]
        columns.append(Column(name, found, rank=Rank.PARAMETER))
    columns.append(Column("steps", [str(len(trial.intermediate_values)) for trial in trials], rank=Rank.OURS))
    durations = ["" if t.duration is None else f"{t.duration.total_seconds():.1f}" for t in trials]
    columns.append(Column("sec", durations, rank=Rank.OURS))
    bold = ["bold" if study.best is not None and t.number == study.best.number else "" for t in trials]
    return layouts.lay_out(columns, room, bold, screens.rule())
