"""Words of any length, fitted to the room that a figure has for them: in lines, then without their middle.

They are measured in the font in which they are drawn, since a letter may be five times as wide as another.
"""

import functools
import itertools

from matplotlib import font_manager, ft2font, textpath

POINTS_PER_INCH = 72
ELLIPSIS = "…"
HEAD = 0.6  # of what is kept, the part before the ellipsis: names differ at their ends, paths in both
BREAKS = " /_-.,;:|=+&"  # a line may end behind one of these
# Where the machine has one of them it draws what the first cannot; a letter that none has is shown as unknown
FALLBACKS = ("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Emoji")


@functools.cache
def families() -> list[str]:
    """Names of the fonts, the first that has a letter draws it."""
    there = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in FALLBACKS if name in there)]


def fit(words: str, inches: float, size: float, lines: int = 1, weight: str = "normal") -> str:
    """Words as they are drawn: what is too long is broken into lines, and what is longer still loses its middle.

    Args:
        inches: how long a line may be.
        size: of the font, in points.
        lines: how many there may be.
    """
    words = shown(words)
    room = _Room(inches, size, lines, weight)
    if (whole := room.lines(words)) is not None:
        return whole
    low, high = 0, len(words) - 1  # letters that are kept
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if room.lines(_without_middle(words, middle)) is not None else (low, middle - 1)
    return room.lines(_without_middle(words, low)) or ELLIPSIS


def shown(words: str) -> str:
    """Words on one line, in which every letter can be drawn; never empty, and never what matplotlib would leave out."""
    known = _letters()
    plain = "".join(each if ord(each) in known else "\N{REPLACEMENT CHARACTER}" for each in " ".join(words.split()))
    return (f" {plain}" if plain.startswith("_") else plain) or '""'


@functools.cache
def _letters() -> frozenset[int]:
    """What the fonts have."""
    return frozenset(
        code for name in families() for code in ft2font.FT2Font(font_manager.findfont(name)).get_charmap() if code >= 32
    )


def _without_middle(words: str, kept: int) -> str:
    head = round(kept * HEAD)
    tail = words[len(words) - (kept - head) :]
    return f"{words[:head].rstrip()}{ELLIPSIS}{tail.lstrip()}"


class _Room:
    """A block of lines of a font."""

    def __init__(self, inches: float, size: float, lines: int, weight: str) -> None:
        self._points, self._lines, self._size, self._weight = inches * POINTS_PER_INCH, lines, size, weight

    def lines(self, words: str) -> str | None:
        """The words in lines; None: they have no room."""
        found, rest = list[str](), words
        while rest:
            if len(found) == self._lines:
                return None
            end = self._end(rest)
            found.append(rest[:end].rstrip())
            rest = rest[end:].lstrip()
        return "\n".join(found)

    def _end(self, words: str) -> int:
        """How much of the words a line takes: to the last break within it, where there is one in its second half."""
        lengths = itertools.accumulate(_advance(each, self._size, self._weight) for each in words)
        most = max(1, sum(1 for _ in itertools.takewhile(lambda length: length <= self._points, lengths)))
        if most == len(words):
            return most
        return next((end for end in range(most, most // 2, -1) if words[end - 1] in BREAKS), most)


@functools.lru_cache(10_000)
def _advance(letter: str, size: float, weight: str) -> float:
    """What a letter adds to a line, in points."""
    font = font_manager.FontProperties(family=families(), size=size, weight=weight)
    measured = textpath.text_to_path.get_text_width_height_descent
    ends = [measured(f"|{between}|", font, ismath=False)[0] for between in (letter * 10, "")]
    return float(ends[0] - ends[1]) / 10


def distinct(labels: list[str]) -> list[str]:
    """The same labels, told apart by a number where cutting has made them equal."""
    seen: dict[str, itertools.count[int]] = {}
    return [f"{each} ({n})" if (n := next(seen.setdefault(each, itertools.count(1)))) > 1 else each for each in labels]
