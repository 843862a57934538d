"""Values in cells and in JSON: they come back as what they were."""

import csv
import io
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.space import cells, scalars

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text("=+-@'\"[]{}0123456789.eNa \r\n")
)
VALUES = st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(st.text("ab/~0"), each), max_leaves=5)


def same(one: Any, other: Any) -> bool:
    """Of the same types all the way down; nan is nan."""
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return scalars.same(one, other)


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_a_cell_comes_back(value: Any) -> None:
    """Whatever it is, through a file of comma-separated values, on one line, and not as what a row lacks."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([cells.text(value), "end"])
    assert written.getvalue().splitlines(keepends=True) == [written.getvalue()]
    ((cell, _),) = csv.reader(io.StringIO(written.getvalue()))
    assert cell != cells.ABSENT
    assert same(cells.value(cell), value)
    assert not (isinstance(value, str) and cell.startswith(cells.FORMULAS))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        *[("ReLU", "ReLU"), ("grün, 'or' \"so\"", "grün, 'or' \"so\""), ("None", "None"), (None, "null")],
        *[(1, "1"), (1.0, "1.0"), ("1", '"1"'), (True, "true"), ("true", '"true"'), ("", '""'), (" 1", '" 1"')],
        *[(math.nan, "NaN"), (-math.inf, "-Infinity"), ("NaN", '"NaN"'), ("nan", "nan"), (-0.5, "-0.5")],
        *[("=1+1", '"=1+1"'), ("@a", '"@a"'), ("\t=1", '"\\t=1"'), ("a\r\nb", '"a\\r\\nb"'), ("\udc80", '"\\udc80"')],
        *[("[" * 100_000, "[" * 100_000), ([1, "a"], '[1, "a"]')],
    ],
)
def test_how_a_cell_looks(value: Any, cell: str) -> None:
    """A text stands as it is, unless it would be taken for something else, by us or by a spreadsheet."""
    assert cells.text(value) == cell
    assert same(cells.value(cell), value)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("ab/~0"), VALUES))
def test_a_record_comes_back(record: dict[str, Any]) -> None:
    """Strict JSON on one line, and the same record again; a text "nan" is no number."""
    line = cells.line(record)
    assert line == cells.dumps(cells.strict(record))
    assert len(f"{line}\n".splitlines()) == 1
    read = json.loads(line, parse_constant=lambda token: pytest.fail(f"{token} is no JSON"))
    assert same(cells.restored(read), record)


def test_where_numbers_stand_that_json_has_not() -> None:
    """They are the words of every document of ours, and the places are listed where there are any."""
    record = {"value": math.inf, "params": {"a/b": "nan", "c": [1, math.nan]}}
    assert cells.strict(record) == {
        "value": "inf",
        "params": {"a/b": "nan", "c": [1, "nan"]},
        "non_finite": ["/value", "/params/c/1"],
    }
    assert cells.strict({"value": 1.0}) == {"value": 1.0}
    for place in ("/nobody", "/params/a~1b/x"):
        with pytest.raises((LookupError, TypeError, ValueError)):
            cells.restored({"value": 1.0, "params": {"a/b": "x"}, "non_finite": [place]})
