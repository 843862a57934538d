"""A value in a cell of a table, or in JSON, that comes back as what it was: 1 is not "1", true or 1.0.

A cell is JSON where it can be read as JSON, with Python's `NaN`, `Infinity` and `-Infinity`; else the text itself.
So a text stands as it is, unless it would be read as something else: then in quotes, as JSON has it.
"""

import json
import math
from typing import Any

ABSENT = ""  # the cell of what a row does not have; an empty text is `""`
# what a spreadsheet takes for the beginning of a formula, in both widths; in quotes it is text to it
FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_encode = json.JSONEncoder(ensure_ascii=False).encode
_encode_strictly = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
MARK = b"search:cell"  # in the metadata of a Parquet column of such cells
NON_FINITE = "non_finite"  # key of a JSON record: where in it a text stands for a number


def text(value: Any) -> str:
    """The cell of a value: None, a number, a text, or lists and objects of these."""
    if not isinstance(value, str):
        return dumps(value)
    if value and value.isprintable() and not value.startswith(FORMULAS) and not _is_json(value):
        return value
    return dumps(value)


def value(cell: str) -> Any:
    """What a cell holds that is not `ABSENT`."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def dumps(value: Any) -> str:
    r"""JSON on one line, whatever reads lines: what is no letter, digit or sign is written as `\uXXXX`."""
    found = _encode(value)
    return found if found.isprintable() else json.dumps(value)


def line(record: dict[str, Any]) -> str:
    """A record as strict JSON on one line, see `strict`."""
    try:
        found = _encode_strictly(record)
    except ValueError:
        return dumps(strict(record))
    return found if found.isprintable() else json.dumps(record)


def strict(record: dict[str, Any]) -> dict[str, Any]:
    """A record in what JSON has: "inf", "-inf" and "nan" for numbers that it has not, and where these stand in it.

    `NON_FINITE` lists the places as JSON pointers; it is there only where there are any.
    """
    places: list[str] = []
    found = {str(key): _strict(each, f"/{_escaped(key)}", places) for key, each in record.items()}
    return {**found, NON_FINITE: places} if places else found


def restored(record: dict[str, Any]) -> dict[str, Any]:
    """What `strict` was given, but that keys are texts.

    Raises:
        LookupError, TypeError, ValueError: a place of `NON_FINITE` is none of the record's, or holds no number.
    """
    found: dict[str, Any] = json.loads(json.dumps(record))
    for place in found.pop(NON_FINITE, ()):
        *way, last = (each.replace("~1", "/").replace("~0", "~") for each in place.split("/")[1:])
        holder: Any = found
        for each in way:
            holder = holder[int(each) if isinstance(holder, list) else each]
        key: Any = int(last) if isinstance(holder, list) else last
        holder[key] = float(holder[key])
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _strict(value: Any, place: str, places: list[str]) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        places.append(place)
        return str(value)
    if isinstance(value, dict):
        return {str(key): _strict(each, f"{place}/{_escaped(key)}", places) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each, f"{place}/{number}", places) for number, each in enumerate(value)]
    return value


def _escaped(key: Any) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
