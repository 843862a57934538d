"""What a record says of a trial of somewhere else, held against a study."""

import datetime
import decimal
import resource
import tempfile
from typing import Any

import mine
import pytest

from search import errors
from search.study import specs
from search.study.result_files import Record
from search.training import results, spools

SPACE = """
x = { low = 0.0, high = 1.0 }
n = { low = 1, high = 9 }
kind = { choices = ["a", "1"], none = true }
on = [true, false]
deep = { low = 0, high = 3, when = "n > 2" }
"""
SPEC = specs.parse(mine.text(space=SPACE), "own.toml")
PARAMS: dict[str, Any] = {"x": 0.5, "n": 2, "kind": "a", "on": True}


def record(params: dict[str, Any] | None = None, **more: Any) -> Record:
    return Record("f.csv:2", {**PARAMS, **(params or {})}, **{"value": 0.25, **more})


def test_a_whole_record_is_a_result() -> None:
    """Value, curve, repeat, times in UTC; what is ours among the attributes only where it could be, and no seconds."""
    attributes = {"mine": [1], "search:seed": 7, "search:repeat": 2, "search:engine": 3, "search:seconds": 9.0}
    attributes |= {"search:imported": "elsewhere", "search:unknown": 1}
    steps = {"1": 0.5, 2: None}
    ended = "2026-01-01T12:00:00+02:00"
    found = results.read(record(attributes=attributes, steps=steps, ended=ended), SPEC)
    assert (found.params, found.value, found.state, found.repeat) == (PARAMS, 0.25, "COMPLETE", 2)
    assert found.attributes == {"mine": [1], "search:seed": 7, "search:repeat": 2}
    assert found.steps["1"] == 0.5
    assert found.steps["2"] != found.steps["2"]
    assert (found.started, found.ended) == (None, "2026-01-01T10:00:00")


def test_cells_of_a_table_are_read_by_the_space() -> None:
    """Text, floats that pandas made of integers, an empty cell for None, quotes as the export writes them."""
    cells = {"x": "1", "n": "2.0", "kind": '"1"', "on": "True"}
    assert results.read(record(cells, is_table=True), SPEC).params == {"x": 1.0, "n": 2, "kind": "1", "on": True}
    given = Record("f.csv:3", {"x": 0.5, "n": 3.0, "on": "false", "deep": 0.0}, "0.5", is_table=True)
    assert results.read(given, SPEC).params == {"x": 0.5, "n": 3, "kind": None, "on": False, "deep": 0}
    assert results.read(record({"kind": "null"}, is_table=True), SPEC).params["kind"] is None


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"x": 2.0}, "x must be a number from 0.0 to 1.0"),
        ({"x": "half"}, "x must be a number from 0.0 to 1.0"),
        ({"n": 2.5}, "n must be an integer from 1 to 9"),
        ({"kind": "b"}, "kind must be one of 'a', '1', None"),
        ({"on": 1}, "on must be one of True, False"),
        ({"momentum": 0.9}, "momentum is no parameter of the space"),
        ({"n": 3}, "deep is missing"),
        ({"deep": 1}, "deep must be left out unless n > 2"),
    ],
)
def test_what_does_not_fit_is_said(params: dict[str, Any], rule: str) -> None:
    """A parameter out of range, of another type, unknown, missing, or where it cannot exist."""
    with pytest.raises(results.Misfit) as misfit:
        results.read(record(params), SPEC)
    assert misfit.value.rule == rule


@pytest.mark.parametrize("state", ["FAIL", "RUNNING", "waiting"])
def test_only_results_come_in(state: str) -> None:
    """What has failed, runs or waits has none."""
    with pytest.raises(results.Misfit, match=f"without a result: {state.upper()}"):
        results.read(record(state=state), SPEC)
    with pytest.raises(results.Misfit, match="a constraint is violated"):
        results.read(record(constraints=[-1.0, 0.5]), SPEC)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"value": "nan"}, "f.csv:2: value must be a number, got nan"),
        ({"value": float("nan")}, "f.csv:2: value must be a number, got nan"),
        ({"value": None}, "f.csv:2: value must be a number, got None"),
        ({"value": "high"}, "f.csv:2: value must be a number, got 'high'"),
        ({"value": True}, "f.csv:2: value must be a number, got True"),
        ({"state": "DONE"}, "f.csv:2: state must be one of COMPLETE, PRUNED, FAIL, RUNNING, WAITING, got 'DONE'"),
        ({"steps": {"-1": 0.5}}, "f.csv:2: a step must be an integer from 0, got '-1'"),
        ({"steps": {"1": "x"}}, "f.csv:2: step 1 must be a number, got 'x'"),
        ({"attributes": {"a\0": 1}}, "f.csv:2: the name of an attribute must have 1 to 512 characters, got 'a\\x00'"),
        ({"ended": "monday"}, "f.csv:2: datetime_complete must be a moment, ISO 8601, got 'monday'"),
        (
            {"started": "0001-01-01T00:00:00+23:00"},
            "f.csv:2: datetime_start must be of the years 1 to 9999 in UTC, got '0001-01-01T00:00:00+23:00'",
        ),
        (
            {"ended": datetime.datetime(9999, 12, 31, 23, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))},
            "f.csv:2: datetime_complete must be of the years 1 to 9999 in UTC, got '9999-12-31 23:00:00-05:00'",
        ),
    ],
)
def test_what_cannot_be_is_refused(more: dict[str, Any], message: str) -> None:
    """With place, rule and value."""
    with pytest.raises(errors.InputError) as error:
        results.read(record(**more), SPEC)
    assert str(error.value) == message


def test_a_pruned_trial_needs_no_value() -> None:
    """It has one or none; moments may be Python's."""
    found = results.read(record(value=None, state="PRUNED", started=datetime.datetime(2026, 1, 1)), SPEC)
    assert (found.state, found.value, found.started) == ("PRUNED", None, "2026-01-01T00:00:00")


def test_decimals_are_numbers() -> None:
    """As Parquet has them: the value, steps and parameters."""
    half = decimal.Decimal("0.50")
    found = results.read(
        record({"x": half, "n": decimal.Decimal("2.0")}, value=half, steps={1: half}, is_table=True), SPEC
    )
    assert (found.params, found.value, found.steps) == (PARAMS, 0.5, {"1": 0.5})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"raw", "got bytes b'raw'"),
        (decimal.Decimal("1.5"), "got Decimal Decimal('1.5')"),
        ([1, datetime.date(2026, 1, 1)], "got list [1, datetime.date(2026, 1, 1)]"),
    ],
)
def test_an_attribute_that_no_json_holds_is_named(value: Any, said: str) -> None:
    """With place, column and kind; nothing is counted."""
    with spools.Spool("f.parquet") as spool:
        with pytest.raises(errors.InputError) as error:
            spool.add(record(attributes={"fine": 1, "odd": value}), SPEC)
        assert str(error.value).startswith(f"f.csv:2: user_attrs_odd must be a value that JSON has, {said}")
        assert spool.count == 0


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the last bytes, before any transaction; without a folder for temporary files; closing says no more."""
    was = resource.getrlimit(resource.RLIMIT_FSIZE)
    with spools.Spool("f.csv") as spool:
        spool.add(record(), SPEC)  # it waits in memory
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, was[1]))
        try:
            with pytest.raises(errors.InputError, match=r"f.csv: no room to check it on the disk: .*File too large"):
                spool.flush()
            spool.__exit__()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, was)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(errors.InputError, match="f.csv: no room to check it on the disk"):
        spools.Spool("f.csv")
