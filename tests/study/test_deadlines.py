"""A deadline is a time from the begin of a run, or a moment with its zone."""

import datetime

import pytest

from search.study import deadlines

HOUR = 3_600.0


@pytest.mark.parametrize(
    ("given", "text", "seconds"),
    [
        ("4h", "4h", 4 * HOUR),
        ("90m", "90m", 1.5 * HOUR),
        (" 1d12h ", "1d 12h", 36 * HOUR),
        ("0.5 h", "0.5h", HOUR / 2),
        ("30s", "30s", 30.0),
    ],
)
def test_a_time_counts_from_the_begin_of_a_run(given: str, text: str, seconds: float) -> None:
    """It is stored as it was given, and is no moment before the run has begun."""
    assert deadlines.read(given) == text
    assert deadlines.duration(text) == seconds
    assert deadlines.moment(text, None) is None
    assert deadlines.moment(text, 1000.0) == 1000.0 + seconds


@pytest.mark.parametrize(
    "given",
    [
        "2026-12-01T08:00:00Z",
        "2026-12-01T10:00:00+02:00",
        datetime.datetime(2026, 12, 1, 8, tzinfo=datetime.UTC),
    ],
)
def test_a_moment_is_stored_in_utc(given: object) -> None:
    """Whatever its zone; it does not depend on a run."""
    assert deadlines.read(given) == "2026-12-01T08:00:00Z"
    assert deadlines.moment("2026-12-01T08:00:00Z", 5.0) == 1796112000.0
    assert deadlines.said(1796112000.0) == "2026-12-01T08:00:00Z"


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ("soon", "must be a time from the begin of a run"),
        ("", "must be a time from the begin of a run"),
        (4, "must be a time from the begin of a run"),
        ("4", "must be a time from the begin of a run"),
        ("-4h", "must be a time from the begin of a run"),
        ("2026-12-01T08:00:00", "or a moment with its zone"),
        (datetime.datetime(2026, 12, 1, 8), "or a moment with its zone"),  # that is the point
        (datetime.date(2026, 12, 1), "or a moment with its zone"),
        ("0h", "must be longer than nothing"),
        ("101000d", "at most 100 years"),
        ("0." + "1" * 60 + "h", "40 characters at most"),
    ],
)
def test_what_is_no_deadline_is_refused(given: object, rule: str) -> None:
    """With the rule; a moment without a zone would be another one on every machine."""
    with pytest.raises(ValueError, match=rule):
        deadlines.read(given)
