"""A study file's bytes as text and tables, or one line that says why they are none."""

import codecs
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from search import errors

MARK = "\ufeff"  # what Windows puts before UTF-8
OTHERS = {  # the longer mark first: one begins with the other
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
HINTS = {
    "[nN]one|[nN]ull|nil": "None is { none = true } there, or none = true beside choices",
    "True|False": "TOML writes true and false small",
}


def read(path: pathlib.Path) -> str:
    """A file's text, with its lines ended as here, whatever system wrote them.

    Raises:
        errors.StudyFileError: it cannot be read, or is no UTF-8.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError is a NUL in the name
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise errors.StudyFileError(f"{path}: cannot be read: {reason}") from error
    for mark, kind in OTHERS.items():
        if content.startswith(mark):
            raise errors.StudyFileError(f"{path}: cannot be read: it must be UTF-8, got {kind}: save it as UTF-8")
    if b"\0" in content[:4]:
        raise errors.StudyFileError(f"{path}: cannot be read: it must be UTF-8, got NUL bytes, as UTF-16 has")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise errors.StudyFileError(
            f"{path}: cannot be read: it must be UTF-8, got byte 0x{content[error.start]:02x} in line {line}: "
            "save it as UTF-8"
        ) from error
    return text.removeprefix(MARK).replace("\r\n", "\n").replace("\r", "\n")


def toml(text: str, name: str) -> dict[str, Any]:
    """The tables of a TOML text; `name` is the place that errors give.

    Raises:
        errors.StudyFileError: it is no TOML.
    """
    try:
        return tomllib.loads(text.removeprefix(MARK))
    except RecursionError:
        raise errors.StudyFileError(f"{name}: must be TOML: its tables or lists are nested too deep") from None
    except ValueError as error:  # tomllib's own, and Python's of a number of thousands of digits
        if "://" in str(error):  # a key that stands twice, which may be an address, and so a secret
            raise errors.StudyFileError(f"{name}: must be TOML: a key with :// in it stands twice") from None
        raise errors.StudyFileError(f"{name}: must be TOML: {error}{_hint(text, str(error))}") from error


def stated(text: str, table: str, values: Mapping[str, str], why: str) -> str:
    """A TOML text with keys added to one of its tables, all else as it was written.

    A table that no line can be added to (`training = {}`) has the text written anew, without its comments.

    Args:
        why: a comment behind each key.
    """
    text = text.removeprefix(MARK)
    raw = tomllib.loads(text)
    wanted = {**raw, table: {**raw.get(table, {}), **values}}
    for each in _with_lines(text, table, [f"{tomli_w.dumps({k: v}).strip()} # {why}\n" for k, v in values.items()]):
        try:
            if tomllib.loads(each) == wanted:  # what looks like the table's head may stand in a string
                return each
        except ValueError:
            continue
    return tomli_w.dumps(wanted)


def _with_lines(text: str, table: str, lines: list[str]) -> Iterator[str]:
    """The text with the lines in each of the places where they may belong."""
    for head in re.finditer(rf"""^[ \t]*\[[ \t]*["']?{table}["']?[ \t]*\][^\n]*(\n|\Z)""", text, re.MULTILINE):
        end = "" if head[1] else "\n"
        yield text[: head.end()] + end + "".join(lines) + text[head.end() :]
    yield f"{text.rstrip()}\n\n[{table}]\n" + "".join(lines)
    yield "".join(f"{table}.{line}" for line in lines) + text


def _hint(text: str, error: str) -> str:
    """What is meant where Python's words stand in TOML."""
    place = re.search(r"at line (\d+)", error)
    line = text.splitlines()[int(place[1]) - 1] if place else ""
    for words, hint in HINTS.items():
        if re.search(rf"[\[=,]\s*({words})\s*([\],}}#]|$)", line):
            return f"; {hint}"
    return ""
