"""Columns side by side: whole where there is room, else the less important give way, and what gave way is said."""

import dataclasses
import enum
import functools
from collections.abc import Sequence

from rich import text

from search import lines, screens, words

LIMITS = (24, 16, 12)  # columns for a name or a value of a parameter, tried in this order
LEAST_NAME = 20  # columns that names keep while a column of ours has room; fewer on a very narrow terminal
LEAST = 8


class Rank(enum.IntEnum):
    """How soon a column gives way."""

    KEPT = 0
    OURS = 1
    PARAMETER = 2
    EMPTY = 3  # it says nothing, so nobody is told


@dataclasses.dataclass(frozen=True)
class Column:
    """A heading with its cells, clean.

    Attributes:
        hangs: a cell that has no room stands on a line of its own, above the others of its row.
        styles: of each cell, where they differ.
    """

    heading: str
    cells: Sequence[str]
    right: bool = True
    rank: Rank = Rank.KEPT
    hangs: bool = False
    styles: Sequence[str] = ()

    @functools.cached_property
    def width(self) -> int:
        """Columns of a terminal that it fills."""
        return max(map(screens.width, (self.heading, *self.cells)))

    def narrowed(self, heading: str, limit: int) -> "Column":
        """With a shorter heading and shorter values."""
        return dataclasses.replace(self, heading=heading, cells=[screens.shorten(cell, limit) for cell in self.cells])


@dataclasses.dataclass(frozen=True)
class Layout:
    """Lines to print, and what they leave out, in phrases."""

    rows: list[text.Text]
    left_out: list[str]


def lay_out(columns: Sequence[Column], room: int | None, row_styles: Sequence[str] = (), rule: str = "─") -> Layout:
    """A table in so many columns of a terminal, or, where `room` is None, as wide as it is."""
    columns = [
        dataclasses.replace(
            each,
            heading=lines.clean(each.heading),
            cells=[lines.clean(lines.cut(c) if each.rank is Rank.PARAMETER else c) for c in each.cells],
        )
        for each in columns
    ]
    left_out = [f"{words.plural(count, 'value')} cut"] if (count := sum(map(lines.is_cut, _values(columns)))) else []
    if room is None:
        return Layout(_draw(columns, None, row_styles, rule), left_out)
    shown = _fit(columns, room)
    return Layout(_draw(shown, room, row_styles, rule), _missing(columns, shown) or left_out)


def _values(columns: Sequence[Column]) -> list[str]:
    return [cell for each in columns if each.rank is Rank.PARAMETER for cell in each.cells]


def _total(columns: Sequence[Column], gap: int = 1) -> int:
    return sum(each.width for each in columns) + gap * (len(columns) - 1)


def _fit(columns: Sequence[Column], room: int) -> list[Column]:
    """The columns that have room, in their order."""
    for tried in (columns, useful := [each for each in columns if each.rank is not Rank.EMPTY]):
        if _total(tried) <= room:
            return list(tried)
    narrow = useful
    for limit in LIMITS:
        narrow = _narrowed(useful, limit, max(limit, room // 8))
        if _total(narrow) <= room:
            return narrow
    taken: set[int] = set()
    left = room + 1
    for place, each in sorted(enumerate(narrow), key=lambda pair: pair[1].rank):  # a stable sort
        needed = 1 + (min(each.width, LEAST_NAME) if each.hangs else each.width)
        if each.rank is Rank.KEPT or needed <= left:
            taken.add(place)
            left -= needed
    return [each for place, each in enumerate(narrow) if place in taken]


def _narrowed(columns: Sequence[Column], limit: int, other: int) -> list[Column]:
    names = iter(screens.distinct([each.heading for each in columns if each.rank is Rank.PARAMETER], limit))
    return [
        each.narrowed(next(names), limit)
        if each.rank is Rank.PARAMETER
        else dataclasses.replace(each, heading=screens.shorten(each.heading, other, other // 2))
        for each in columns
    ]


def _missing(columns: Sequence[Column], shown: Sequence[Column]) -> list[str]:
    """What a terminal had no room for."""
    found = []
    many, few = (sum(each.rank is Rank.PARAMETER for each in those) for those in (columns, shown))
    if few < many:
        found.append(f"{many - few} of {words.plural(many, 'parameter')}")
    kept = {each.heading for each in shown}
    ours = [each.heading for each in columns if each.rank is Rank.OURS and each.heading not in kept]
    if ours:
        found.append(f"{'columns' if len(ours) > 1 else 'column'} {', '.join(ours)}")
    phrases = [f"{' and '.join(found)} not shown"] if found else []
    whole = {cell for each in columns for cell in (each.heading, *each.cells)}
    if few and any(cell not in whole for each in shown for cell in (each.heading, *each.cells)):
        phrases.append("names or values shortened")
    return phrases


def _draw(columns: Sequence[Column], room: int | None, row_styles: Sequence[str], rule: str) -> list[text.Text]:
    gap = 2 if room is None or _total(columns, 2) <= room else 1
    widths = [each.width for each in columns]
    for place, each in enumerate(columns):
        if each.hangs and room is not None:
            others = sum(widths) - widths[place] + gap * (len(widths) - 1)
            widths[place] = max(min(widths[place], room - others), LEAST)
    drawn = [text.Text(_line([each.heading for each in columns], columns, widths, gap)[0], style="bold")]
    drawn.append(text.Text(rule * (sum(widths) + gap * (len(widths) - 1)), style="dim"))
    for number in range(len(columns[0].cells)):
        drawn += _row(columns, number, widths, gap, row_styles[number] if row_styles else "")
    return drawn


def _row(columns: Sequence[Column], number: int, widths: Sequence[int], gap: int, style: str) -> list[text.Text]:
    row = [each.cells[number] for each in columns]
    above = []
    for place, each in enumerate(columns):
        if each.hangs and screens.width(row[place]) > widths[place]:
            above.append(text.Text(row[place], style=style))
            row[place] = ""
    line, starts = _line(row, columns, widths, gap)
    drawn = text.Text(line, style=style)
    for each, start, cell in zip(columns, starts, row, strict=True):
        if each.styles and each.styles[number]:
            drawn.stylize(each.styles[number], start, start + len(cell))
    return [*above, drawn]


def _line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], gap: int) -> tuple[str, list[int]]:
    """A line without spaces at its end, and where each cell begins in it."""
    starts: list[int] = []
    line = ""
    for cell, each, width in zip(row, columns, widths, strict=True):
        line += " " * gap if starts else ""
        space = " " * (width - screens.width(cell))
        line += space if each.right else ""
        starts.append(len(line))
        line += cell if each.right else cell + space
    return line.rstrip(), starts
