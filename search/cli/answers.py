"""A study as commands print it, in text or JSON, and whether anybody is there to work on it."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich import console, progress

from search import words
from search.cli import tables
from search.ledger import forecasts, listings, orders, rosters, sentences, summaries
from search.storage import databases

out = console.Console(soft_wrap=False)
err = console.Console(stderr=True)


@contextlib.contextmanager
def epochs(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over the epochs of a training, on a terminal; gives what moves it: epochs done, and of how many."""
    with progress.Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def counts(summary: summaries.Summary) -> str:
    """How far a study is, in a phrase."""
    state = "" if summary.order.state is orders.StudyState.ACTIVE else f", {summary.order.state}"
    return f"{summary.done} of {summary.budget} trials done ({sentences.state_counts(summary)}){state}"


def as_json(database: databases.Database, summary: summaries.Summary) -> dict[str, Any]:
    """What `--json` prints of a study."""
    crew = rosters.read(database, summary.study.study_id)
    left = forecasts.seconds_left(summary, len(crew.members))
    return {
        **summary.as_json(),
        **crew.as_json(),
        "reasons": sentences.reason_counts(summary),
        "forecast_seconds": None if left is None else round(left, 1),
    }


def each_as_json(database: databases.Database, found: summaries.Summary | listings.Unreadable) -> dict[str, Any]:
    """The same where studies that cannot be read stand between others."""
    return found.as_json() if isinstance(found, listings.Unreadable) else as_json(database, found)


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
    if summary.done >= summary.budget:
        return f"the budget is used up: `search extend {name} --trials N` adds to it"
    return f"no worker is alive: `search run {name}` or `search work {name}` does it"


def say(line: str) -> None:
    """A line as it is, however long, whatever it holds."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def print_trials(summary: summaries.Summary, *more: str) -> None:
    """The table of trials, the reasons, more lines, the best."""
    out.print(tables.of_trials(summary))
    for line in sentences.reasons(summary):
        out.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
    for line in more:
        say(line)
    out.print(sentences.best(summary), style="bold green", highlight=False, markup=False, soft_wrap=True)


def print_end(summary: summaries.Summary) -> None:
    """What `search run` ends with."""
    print_trials(summary)
    say(f"{summary.study.name}: {counts(summary)}")
    name = words.typed(summary.study.name)
    more = f"`search extend {name} --trials 10` then `search run {name}` for more"
    if summary.order.state is orders.StudyState.STOPPED:
        more = f"`search run {name}` goes on"
    elif summary.is_exhausted:
        more = sentences.exhausted(summary)
    elif summary.is_out_of_hours:
        more = f"budget.hours is used up; `search extend {name} --hours H` then `search run {name}` for more"
    elif summary.done < summary.budget:
        more = f"`search run {name}` goes on"
    say(f"next: {more}; `search dashboard` to look at it")
