"""The command that sets studies side by side."""

import pathlib
from typing import TYPE_CHECKING

import click

from search import screens, words
from search.api import comparisons
from search.cli import answers, completions, jsons, layouts
from search.cli.layouts import Column, Rank
from search.cli.options import common, json_option
from search.storage import addresses
from search.worker import progress

if TYPE_CHECKING:
    from search.reports import comparison_tables
    from search.reports.comparisons import Comparison

DISPENSABLE = ("paused", "failed", "pruned", "of the space", "fresh seeds", "95 % by its images")  # where they are empty


@click.command()
@click.argument("names", metavar="[STUDY...]", nargs=-1, shell_complete=completions.studies)
@click.option(
    "--other",
    "others",
    type=(str, str),
    multiple=True,
    metavar="URL STUDY",
    help="A study of another storage; may be given more than once.",
)
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path),
    metavar="FOLDER",
    help="Writes a page, the same as Markdown, and the picture of the best values over trials and time.",
)
@click.option("--title", help="Title of the page.")
@json_option
@common
def compare(
    names: tuple[str, ...],
    others: tuple[tuple[str, str], ...],
    output: pathlib.Path | None,
    title: str | None,
    as_json: bool,
    storage: str,
) -> None:
    """Sets studies side by side: their bests with intervals, what they cost, and in which keys their files differ.

    Of one metric and direction; other tools' studies too. Which is better it says as far as that can be told: the best
    of many noisy values is too good, what `search confirm` has measured is compared.

    \b
    Example:
      search compare depth width
      search compare depth width activation --output compared
    """
    located = [(addresses.check_url(url), name) for url, name in others]
    with screens.spinner("comparing ..."):
        found = comparisons.compare(*names, others=located, storage=storage)
        written = None if output is None else comparisons.write(found, output, title)
    if as_json:
        paths = {"html": written and str(written[0]), "markdown": written and str(written[1])}
        jsons.say({**found.as_json(), **paths})
        return
    _show(found, "search compare " + " ".join(map(words.typed, names)))
    if written is not None:
        screens.say(f"comparison: {written[0]} and {written[1]}")


def _show(found: "Comparison", command: str) -> None:
    from search.reports import comparison_sentences, comparison_tables

    for line in comparison_sentences.cautions(found):
        progress.note(line)
    for rows in (comparison_tables.found(found), comparison_tables.spent(found)):
        answers.print_table(_layout(rows), whole=command)
        screens.say("")
    _show_differences(comparison_tables.differing(found))
    for line in comparison_sentences.verdicts(found):
        screens.say_wrapped(line)


def _layout(rows: "comparison_tables.Rows") -> layouts.Layout:
    columns = []
    for heading, *cells in zip(rows.headings, *rows.rows, strict=True):
        is_name = heading == "study"
        rank = Rank.KEPT if is_name or heading.startswith("best") else Rank.OURS
        if heading in DISPENSABLE and not any(cell.strip("-0") for cell in cells):
            rank = Rank.EMPTY
        columns.append(Column(heading, cells, not is_name, rank, hangs=is_name))
    return layouts.lay_out(columns, screens.room(screens.out), rule=screens.rule())


def _show_differences(rows: "comparison_tables.Rows") -> None:
    """A table where it has room; else each key with a line for each study."""
    if not rows.rows:
        screens.say("their files do not differ, but for the name")
        return
    columns = [Column(heading, cells, right=False) for heading, *cells in zip(rows.headings, *rows.rows, strict=True)]
    room = screens.room(screens.out)
    if room is None or sum(each.width + 1 for each in columns) <= room:
        answers.print_table(layouts.lay_out(columns, room, rule=screens.rule()), whole="")
        return
    screens.say("in which keys their files differ:", "bold")
    for key, *values in rows.rows:
        screens.say(key)
        for label, value in zip(rows.headings[1:], values, strict=True):
            for line in screens.wrap(f"  {label}: {value}", room, "    "):
                screens.say(line)
