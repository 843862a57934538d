import gzip
import json
import math

import pytest
import tabled

from search import errors
from search.space import tables

ROW = {"params": {"rate": 0.1}, "seed": 0, "values": [0.5, None], "seconds": [1, 2.5], "more": "is not looked at"}


def test_a_row_is_read_with_what_it_leaves_out(tmp_path):
    """A row needs parameters, values and seconds; the seed is 0, the setup took no time, and null is no number."""
    (row,) = tables.load(tabled.write(tmp_path / "t.jsonl", [ROW])).rows
    assert (row.params, row.seed, row.setup_seconds, row.stop) == ({"rate": 0.1}, 0, 0.0, None)
    assert row.values[0] == 0.5
    assert math.isnan(row.values[1])
    assert row.seconds == (1.0, 2.5)


def test_the_later_of_two_rows_of_one_training_counts(tmp_path):
    """A training that was recorded again replaces what was there; another seed does not."""
    again = [ROW, {**ROW, "seed": 1}, {**ROW, "values": [0.75, 0.875]}]
    table = tables.load(tabled.write(tmp_path / "t.jsonl", again, steps=2, direction="maximize", machine="any"))
    assert [(row.seed, row.values[0]) for row in table.rows] == [(0, 0.75), (1, 0.5)]
    assert (table.steps, table.direction, table.header["machine"], table.seeds) == (2, "maximize", "any", [0, 1])


def test_a_compressed_table_is_read_and_found_beside_its_study(tmp_path):
    """STUDY.toml has its table in STUDY.table.jsonl.gz."""
    study = tmp_path / "made.toml"
    assert tables.beside(study) is None
    path = tmp_path / "made.table.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ROW).encode()))
    assert tables.beside(study) == path
    assert len(tables.load(path).rows) == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"values": "0.5"}, "line 2: values must be a list of numbers, got '0.5'"),
        ({"values": [True, 1]}, "line 2: values must be a list of numbers, got [True, 1]"),
        ({"values": [0.5]}, "line 2: seconds must be as many as values, got 2 and 1 of them"),
        ({"values": [], "seconds": []}, "line 2: values must not be empty unless stop is 0, got stop None"),
        ({"values": [1, 2, 3, 4], "seconds": [1] * 4}, "line 2: values must be at most 3, the table's steps, got 4"),
        ({"seconds": [1, -1]}, "line 2: seconds must be a list of numbers >= 0, got [1, -1]"),
        ({"seed": 0.5}, "line 2: seed must be an integer >= 0, got 0.5"),
        ({"stop": -1}, "line 2: stop must be null or an integer >= 0, got -1"),
        ({"setup_seconds": None}, "line 2: setup_seconds must be a number >= 0, got None"),
        ({"params": {"rate": [1]}}, "line 2: params must be an object of parameters, got {'rate': [1]}"),
    ],
)
def test_a_wrong_row_is_one_clear_line(tmp_path, wrong, said):
    """File, line, rule and value."""
    path = tabled.write(tmp_path / "t.jsonl", [{**ROW, **wrong}], steps=3)
    with pytest.raises(errors.InputError) as caught:
        tables.load(path)
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must hold a training in each line, got none"),
        (b"{", "line 1 must be JSON"),
        (b"\n[1]\n", "line 2 must be an object, got [1]"),
        (b"\xff\xfe", "must be a table, JSON lines in UTF-8"),
        (b'{"steps": 0}', "line 1: steps must be an integer >= 1, got 0"),
        (b'{"direction": "up"}', "line 1: direction must be maximize or minimize, got 'up'"),
        (b'{"params": {"a": 1}, "stop": 0}', "must hold trainings with values"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, said):
    """A file that is empty, no text, no JSON, or has a wrong header is refused in one line; so is no file."""
    path = tmp_path / "t.jsonl"
    path.write_bytes(content)
    with pytest.raises(errors.InputError, match=".*") as caught:
        tables.load(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    with pytest.raises(errors.InputError, match="must be a table"):
        tables.load(tmp_path / "t.jsonl.gz")
