"""The command that sets studies side by side."""

import pathlib
import re
from typing import TYPE_CHECKING

import click

from search import errors, screens, words
from search.api import comparisons
from search.cli import answers, completions, jsons, layouts
from search.cli.layouts import Column, Rank
from search.cli.options import common, json_option
from search.storage import addresses
from search.worker import progress

if TYPE_CHECKING:
    from search.reports import comparison_tables

KEPT = ("best", "confirmed", "CPU time", "time", "best after", "best in")  # where there is little room
# columns that nobody misses where they say nothing
DISPENSABLE = ("paused", "failed", "pruned", "of space", "confirmed", "seeds", "95 %")


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
    for url, _ in others:
        _check(url)
    with screens.spinner("comparing ..."):
        found = comparisons.compare(*names, others=others, output=output, title=title, storage=storage)
    if as_json:
        jsons.say(found.as_json())
        return
    more = [f"--other {words.typed(addresses.hide_password(url))} {words.typed(name)}" for url, name in others]
    _show(found, " ".join(["search compare", *map(words.typed, names), *more]))
    if found.html is not None:
        screens.say(f"comparison: {found.html} and {found.markdown}")


def _check(url: str) -> None:
    """Passes an address.

    Raises:
        errors.InputError: it is none.
    """
    try:
        addresses.check_url(url)
    except errors.InputError as error:
        raise errors.InputError(str(error).replace("--storage", "--other", 1)) from error


def _show(compared: comparisons.Comparison, command: str) -> None:
    from search.reports import comparison_tables

    found = compared.found
    for line in compared.cautions:
        progress.note(line)
    for rows in (comparison_tables.found(found), comparison_tables.spent(found)):
        answers.print_table(_layout(rows), whole=command)
        screens.say("")
    _show_differences(comparison_tables.differing(found))
    for line in compared.verdicts:
        _say(line)


def _say(line: str) -> None:
    """A line for reading, on a terminal broken between words; each command in it stays whole, to be copied."""
    columns = screens.room(screens.out)
    if columns is None or "`" not in line:
        screens.say_wrapped(line)
        return
    shown = ""
    for word in re.findall(r"(?:`[^`]*`|[^\s`])+", line):
        if shown and screens.width(f"{shown} {word}") > columns:
            screens.say(shown)
            shown = f"  {word}"
        else:
            shown = f"{shown} {word}".lstrip() if not shown.startswith("  ") else f"{shown} {word}"
    screens.say(shown)


def _layout(rows: "comparison_tables.Rows") -> layouts.Layout:
    columns = []
    for heading, *cells in zip(rows.headings, *rows.rows, strict=True):
        is_name = heading == "study"
        rank = Rank.KEPT if is_name or heading in KEPT else Rank.OURS
        if heading in DISPENSABLE and not any(cell.strip("-0") for cell in cells):
            rank = Rank.EMPTY
        columns.append(Column(heading, cells, not is_name, rank, hangs=is_name))
    return layouts.lay_out(columns, screens.room(screens.out), rule=screens.rule())


def _show_differences(rows: "comparison_tables.Rows") -> None:
    """A table where it has room; else each key with its values, and which studies have each."""
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
        for value in dict.fromkeys(values):
            labels = [label for label, own in zip(rows.headings[1:], values, strict=True) if own == value]
            for line in screens.wrap(f"  {value}: {', '.join(labels)}", room, "    "):
                screens.say(line)
