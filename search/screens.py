"""What is printed for people: whole into a pipe or a file, within the width of a terminal on one.

Nothing is read as markup, nothing is coloured by what it says, and no line is broken but between words.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich import cells, console, text

from search import lines, words

NARROWEST = 20  # columns that a terminal is taken to have at least
ROWS = 3  # of a terminal that one thing said may fill
NAME_COLUMNS = 24  # of a metric where not all has room
PAIR_COLUMNS = (24, 12)  # of a parameter's name, and of its value, where not all have room
DOTS = "..."
SIZES = ("COLUMNS", "LINES")  # of the environment


class Console(console.Console):
    """One that leaves a reader who has gone, as in `search status | head`, to the command line."""

    def on_broken_pipe(self) -> None:
        """Rich would end the process as failed."""
        raise BrokenPipeError


def make(stderr: bool = False, columns: int | None = None) -> Console:
    """A console; with NO_COLOR it styles nothing, bold and dim neither; a size of 0 is none."""
    more: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    if not all(os.environ.get(name, "1").strip("0") for name in SIZES):
        more["_environ"] = {name: value for name, value in os.environ.items() if name not in SIZES}
    return Console(stderr=stderr, width=columns, emoji=False, markup=False, highlight=False, **more)


out, err = make(), make(stderr=True)


def is_terminal(where: console.Console) -> bool:
    """Whether lines end at its edge: FORCE_COLOR colours a pipe, but makes no terminal of it."""
    try:
        return where.file.isatty()
    except (AttributeError, ValueError):  # no file, or a closed one
        return False


def is_live(where: console.Console) -> bool:
    """Whether what was printed can be printed over: not where nobody says what the terminal can do."""
    is_known = os.name == "nt" or bool(os.environ.get("TERM"))
    return is_known and is_terminal(where) and where.is_interactive and not where.is_dumb_terminal


def room(where: console.Console) -> int | None:
    """Columns of a terminal, by COLUMNS where it says so; None where a line may have any length."""
    if not is_terminal(where):
        return None
    given = os.environ.get("COLUMNS", "")
    return max(NARROWEST, int(given) if given.isdecimal() and int(given) else where.width or 80)


def rule() -> str:
    """What a line below headings is drawn of, in the encoding of stdout."""
    return "─" if out.encoding.startswith("utf") else "-"


def say(line: str, style: str = "", where: console.Console = out) -> None:
    """A line as it is, however long: a terminal breaks it, so that what is copied from it is one line."""
    where.print(text.Text(lines.clean(line), style=style), soft_wrap=True)


def say_wrapped(line: str, style: str = "", where: console.Console = out) -> None:
    """A line for reading: on a terminal broken between words, but where it holds a command to be copied."""
    columns = room(where)
    if columns is None or "`" in line:
        say(line, style, where)
        return
    for each in wrap(line, columns):
        say(each, style, where)


def wrap(line: str, columns: int, indent: str = "  ") -> list[str]:
    """Lines of at most so many columns, broken between words where these have room; all but the first are indented."""
    broken = text.Text(lines.clean(line)).wrap(out, max(1, columns - len(indent)), tab_size=1)
    return [f"{indent if number else ''}{each.plain.rstrip()}" for number, each in enumerate(broken)]


def spinner(sentence: str) -> contextlib.AbstractContextManager[object]:
    """Shows that something takes a moment, where that can be wiped out again."""
    return err.status(sentence) if is_live(err) else contextlib.nullcontext()


@contextlib.contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that goes when it is full, on a terminal; gives what moves it: how many are done, and of how many."""
    from rich import progress  # a tenth of all that a short command imports

    with progress.Progress(console=err, transient=True, disable=not is_live(err)) as shown:
        task = shown.add_task(label, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def width(said: str) -> int:
    """Columns that clean text fills; some characters fill two."""
    return len(said) if said.isascii() else cells.cell_len(said)


def shorten(said: str, columns: int, tail: int = 0) -> str:
    """At most so many columns: its beginning, and so many columns of its end."""
    if width(said) <= columns:
        return said
    end = _take(said[::-1], tail)[::-1]
    return f"{_take(said, columns - len(DOTS) - tail).rstrip()}{DOTS}{end}"


def distinct(names: Sequence[str], columns: int) -> list[str]:
    """Names in at most so many columns, each unlike the others; by their place where nothing else tells them apart."""
    left = max(0, columns - len(DOTS))
    for tail in (left // 2, 2 * left // 3, left // 3, left, 0):
        forms = [shorten(name, columns, tail) for name in names]
        if len(set(forms)) == len(forms):
            return forms
    marks = [f"{DOTS}{place + 1}" for place in range(len(names))]
    return [
        f"{_take(name, columns - len(mark))}{mark}" if forms.count(form) > 1 else form
        for name, form, mark in zip(names, forms, marks, strict=True)
    ]


def configuration(params: Mapping[str, Any], columns: int | None, short: bool = False) -> str:
    """Parameters with their values, as many as have room; what was left out is said.

    Args:
        columns: None for all.
        short: names as in headings, values without a name that speak for themselves.
    """
    whole = ", ".join(lines.clean(_pair(name, value, short)) for name, value in params.items())
    if columns is None or width(whole) <= columns:
        return whole
    for limit in PAIR_COLUMNS:
        names = distinct([*map(lines.clean, params)], limit)
        values = [shorten(lines.clean(words.setting(value)), limit) for value in params.values()]
        pairs = zip(names, values, strict=True)
        found = _fitting([f"{words.HEADINGS.get(n, n) if short else n} {value}" for n, value in pairs], columns)
        if found:
            return found
    return words.plural(len(params), "parameter")


def literal(params: Mapping[str, Any], where: console.Console = out) -> str:
    """The same as Python writes them, whole where no terminal is; on one, as many as a few of its rows hold."""
    pieces = [f"{lines.said(name)!r}: {lines.cut(repr(value))}" for name, value in params.items()]
    columns = room(where)
    whole = ", ".join(pieces)
    return f"{{{whole if columns is None else _fitting(pieces, ROWS * columns) or whole}}}"


def _fitting(pieces: Sequence[str], columns: int) -> str:
    """As many as have room, with how many more there are; nothing where none has."""
    taken = ""
    for place, piece in enumerate(pieces):
        more = len(pieces) - place - 1
        longer = f"{taken}, {piece}" if taken else piece
        if width(longer + _more(more)) > columns:
            return taken and taken + _more(more + 1)
        taken = longer
    return taken


def _pair(name: str, value: Any, short: bool) -> str:
    if short:
        return words.short_configuration({name: lines.cut(value) if isinstance(value, str) else value})
    return f"{name} {lines.cut(words.setting(value))}"


def _more(count: int) -> str:
    return f", {DOTS} {count} more" if count else ""


def _take(said: str, columns: int) -> str:
    """Its beginning of at most so many columns."""
    taken, filled = "", 0
    for character in said:
        filled += width(character)
        if filled > columns:
            break
        taken += character
    return taken
