"""A deadline as a study file says it: so long after a run has begun (`4h`), or a moment (`2026-12-01T08:00:00Z`)."""

import datetime
import re
from typing import Any

SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
PART = re.compile(r"(\d+(?:\.\d+)?)\s*([dhms])")
LONGEST = 100 * 365 * SECONDS["d"]
CHARACTERS = 40  # of a database's column
RULE = "must be a time from the begin of a run, as '4h' or '1h 30m', or a moment with its zone, as 2026-12-01T08:00:00Z"


def read(given: Any) -> str:
    """The one way in which a deadline is stored: a moment in UTC, a time as it was given.

    Raises:
        ValueError: it is neither, or has no zone, or is no time at all.
    """
    if isinstance(given, str) and (seconds := duration(given)) is not None:
        text = " ".join(f"{number}{unit}" for number, unit in PART.findall(given))
        if not 0 < seconds <= LONGEST or len(text) > CHARACTERS:
            raise ValueError(f"must be longer than nothing, at most 100 years, and {CHARACTERS} characters at most")
        return text
    if isinstance(given, str):
        try:
            given = datetime.datetime.fromisoformat(given)
        except ValueError:
            raise ValueError(RULE) from None
    if not isinstance(given, datetime.datetime) or given.tzinfo is None:
        raise ValueError(RULE)
    try:
        return given.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise ValueError(RULE) from None


def duration(deadline: str) -> float | None:
    """Seconds from the begin of a run; None of a moment."""
    text, whole = deadline.strip(), rf"(?:{PART.pattern}\s*)+"
    if not re.fullmatch(whole, text, re.ASCII):
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(text))


def moment(deadline: str, begun_at: float | None) -> float | None:
    """When it is, in seconds since 1970; None of a run that has not begun."""
    seconds = duration(deadline)
    if seconds is None:
        return datetime.datetime.fromisoformat(deadline).timestamp()
    return None if begun_at is None else begun_at + seconds


def said(seconds: float) -> str:
    """A moment, in seconds since 1970, as a file would say it."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).isoformat().replace("+00:00", "Z")
