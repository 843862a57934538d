"""A study as commands print it, in text or JSON, and whether anybody is there to work on it."""

import sys
from typing import Any

from optuna.trial import FrozenTrial

from search import lines, screens, words
from search.cli import layouts, tables
from search.ledger import (
    backlogs,
    causes,
    efficiencies,
    excerpts,
    forecasts,
    goals,
    listings,
    notices,
    orders,
    rosters,
    sentences,
    summaries,
)
from search.storage import databases
from search.study import judgements

FEW = 30  # trials that are shown, every one
REASON_PREFIX = len("trial 12345 complete: ")


def counts(summary: summaries.Summary) -> str:
    """How far a study is, in a phrase."""
    state = "" if summary.order.state is orders.StudyState.ACTIVE else f", {summary.order.state}"
    return f"{summary.done} of {summary.budget} trials done ({sentences.state_counts(summary)}){state}"


def as_json(database: databases.Database, summary: summaries.Summary) -> dict[str, Any]:
    """What `--json` prints of a study."""
    crew = rosters.read(database, summary.study.study_id)
    left = forecasts.seconds_left(summary, len(crew.members))
    efficiency = efficiencies.read(database, summary)
    return {
        **summary.as_json(),
        **goals.as_json(summary),
        **crew.as_json(is_open=not backlogs.is_closed(summary)),
        **notices.read(database, summary.study).as_json(),
        "reasons": causes.count(database, summary),
        "forecast_seconds": None if left is None else round(left, 1),
        "efficiency": efficiency and efficiency.as_json(),
    }


def each_as_json(database: databases.Database, found: listings.Readable | listings.Unreadable) -> dict[str, Any]:
    """The same where studies that cannot be read, or are other tools', stand between others."""
    return as_json(database, found) if isinstance(found, summaries.Summary) else found.as_json()


def undelivered(database: databases.Database, summary: summaries.Summary) -> list[str]:
    """That people could not be told of the study, and why, in a line; nothing where they were."""
    found = notices.read(database, summary.study)
    if not found.left or found.reason is None:
        return []
    what, name = words.plural(found.left, "message"), words.typed(summary.study.name)
    return [f"not delivered: {what}: {found.reason}; `search notify {name}` tries again at once"]


def how_far(database: databases.Database, summary: summaries.Summary) -> str:
    """What is done of the budget, and whether anybody does the rest."""
    return f"{summary.done} of {summary.budget} trials done; {who_does_it(database, summary)}"


def who_does_it(database: databases.Database, summary: summaries.Summary) -> str:
    """Whether anybody is there to do what was ordered."""
    name, crew = words.typed(summary.study.name), rosters.read(database, summary.study.study_id)
    if summary.order.state is not orders.StudyState.ACTIVE:
        return f"it is {summary.order.state}: `search resume {name}` lets it go on"
    if crew.members:
        return f"{words.plural(len(crew.members), 'worker')} alive"
    if summary.has_failed and summary.done < summary.budget:
        return sentences.state_note(summary)
    if summary.stop is not None and summary.done < summary.budget:
        return f"{goals.reason(summary)}: {goals.lifting(summary)}"
    if summary.done >= summary.budget:
        return f"the budget is used up: `search extend {name} --trials N` adds to it"
    spec = summary.study.spec
    work = "" if spec.is_shipped else f" or `search work {name}`"
    return f"no worker is alive: {spec.again}{work} does it"


def print_table(found: layouts.Layout, *more: str, whole: str) -> None:
    """A table, and below it what it leaves out.

    Args:
        more: what else is left out, in phrases.
        whole: a command that prints all of it where its output is no terminal.
    """
    with screens.out:
        for row in found.rows:
            screens.out.print(row, soft_wrap=True)
    if phrases := [*found.left_out, *more]:
        columns = screens.room(screens.out)
        shown = ", ".join(phrases)
        where = "`search dashboard` shows all" if columns is None else f"`{whole} | less -S` shows all"
        parts = [f"{shown}: {where}"]
        if columns is not None and len(parts[0]) > columns:
            parts = [f"{shown}:", f"  {where}"]
        for part in parts:
            screens.say_wrapped(part, "yellow")


def as_far_as_shown(database: databases.Database, summary: summaries.Summary, every: bool = False) -> summaries.Summary:
    """The study with all its trials, where they are few or every one is asked for; else as it is.

    Raises:
        errors.InputError: they cannot be read.
    """
    if not every and summary.total > FEW:
        return summary
    with listings.named(summary.study.name):
        return listings.checked(summaries.whole(database, summary.study))


def _shown(summary: summaries.Summary) -> list[FrozenTrial]:
    """The trials that a screenful has room for: all where they were read, else the best, the last and the running."""
    if isinstance(summary, summaries.Whole):
        return list(summary.trials)
    some = [*summary.latest, *summary.running[: excerpts.LATEST], *([] if summary.best is None else [summary.best])]
    return sorted({trial.number: trial for trial in some}.values(), key=lambda trial: trial.number)


def print_trials(summary: summaries.Summary, *more: str) -> None:
    """The table of trials, the reasons, more lines, the best."""
    columns, trials = screens.room(screens.out), _shown(summary)
    limit = lines.LINE_LONGEST if columns is None else screens.ROWS * columns - REASON_PREFIX
    reasons = sentences.reasons(summary, trials, limit)
    whole = sentences.reasons(summary, trials, sys.maxsize)
    cut = sum(one != other for one, other in zip(reasons, whole, strict=True))
    said = [f"{words.plural(cut, 'reason')} cut"] if cut else []
    command = f"search status {words.typed(summary.study.name)}" + (" --all" if summary.total > FEW else "")
    print_table(tables.of_trials(summary, trials, columns), *said, whole=command)
    print_rest(summary.total, len(trials), command)
    for line in reasons:
        screens.say_wrapped(line, "dim")
    for line in more:
        screens.say_wrapped(line)
    for line in judgements.lines(summary.study.spec) if summary.best is not None else ():
        screens.say_wrapped(line, "dim")
    screens.say_wrapped(sentences.best(summary, columns and screens.ROWS * columns), "bold green")


def print_rest(total: int, shown: int, command: str) -> None:
    """How many trials a table leaves out, and what shows them."""
    if total > shown:
        left = f"the best, the last and the running of {total:,} trials; `{command}` shows every one"
        screens.say_wrapped(left, "yellow")


def print_end(summary: summaries.Summary) -> None:
    """What `search run` ends with."""
    print_trials(summary)
    screens.say(f"{summary.study.name}: {counts(summary)}")
    name = words.typed(summary.study.name)
    more = f"`search extend {name} --trials 10` then {summary.study.spec.again} for more"
    if summary.order.state is orders.StudyState.STOPPED:
        more = f"{summary.study.spec.again} goes on"
    elif summary.is_exhausted:
        more = sentences.exhausted(summary)
    elif summary.is_out_of_hours:
        more = f"budget.hours is used up; `search extend {name} --hours H` then {summary.study.spec.again} for more"
    elif summary.stop is not None and summary.done < summary.budget:
        more = f"{goals.reason(summary)}: {goals.lifting(summary)}"
    elif summary.done < summary.budget:
        more = f"{summary.study.spec.again} goes on"
    screens.say(f"next: {more}; `search dashboard` to look at it")
