"""What a study, a user or an error says, as part of one line: it ends no line, sends nothing to a terminal, has an end.

It needs no package: `search --help` and the keeper of a worker must not wait for one.
"""

import re
import unicodedata

LONGEST = 1_000  # characters of one thing said, wherever it is shown or stored
LINE_LONGEST = 2_000  # of a whole line of an error or a log
BREAKS = "\t\n\v\f\r\x85\u2028\u2029"
JOINERS = "\u200c\u200d"  # between the letters of some scripts, and the parts of some pictures
HIDDEN_KINDS = ("Cc", "Cf", "Cs")  # controls, marks that turn the writing round or are not seen, half characters

_NOTE = re.compile(r"\.\.\. \(([\d,]+) characters\)$")


def clean(said: str) -> str:
    r"""The same with breaks as spaces, and what is not seen as it is written in Python: `\x1b`, `\u202e`, `\udc80`."""
    if said.isprintable():
        return said
    return "".join(map(_shown, said.replace("\r\n", "\n")))


def cut(said: str, limit: int = LONGEST) -> str:
    """At most so many characters, the last of which say how many there were; what was cut before keeps its count."""
    if len(said) <= limit:
        return said
    before = _NOTE.search(said)
    note = f"... ({before[1] if before else format(len(said), ',')} characters)"
    return said[: max(0, limit - len(note))].rstrip() + note


def cut_within(said: str, limit: int = LINE_LONGEST) -> str:
    """At most so many characters: the beginning, how many there were, and the end, which says what helps."""
    if len(said) <= limit:
        return said
    note, tail = f"... ({len(said):,} characters) ...", limit // 4
    return f"{said[: limit - tail - len(note)]}{note}{said[-tail:]}"


def said(words: str, limit: int = LONGEST) -> str:
    """Clean, and cut."""
    return cut(clean(words), limit)


def is_cut(said: str) -> bool:
    """Whether its end says that there was more."""
    return _NOTE.search(said) is not None


def block(said: str, limit: int = LINE_LONGEST) -> str:
    """Several lines, as of a traceback, each clean and of at most so many characters."""
    return "\n".join(cut_within(clean(line), limit) for line in said.split("\n"))


def _shown(character: str) -> str:
    if character in BREAKS:
        return " "
    if character not in JOINERS and unicodedata.category(character) in HIDDEN_KINDS:
        return character.encode("unicode_escape").decode()
    return character
