"""Known results as files have them: JSON lines, a JSON list, CSV or Parquet, a record at a time with its place.

What `search export-trials` writes, Optuna's `study.trials_dataframe()` saved as a table, or a table made by hand, with
a column `params_NAME` for each parameter and one `value`.
"""

import csv
import dataclasses
import json
import math
import pathlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from search import errors, lines
from search.space import cells

PARAMS, ATTRIBUTES, STEPS = "params_", "user_attrs_", "intermediate_values_"  # columns begin so, as in Optuna's tables
LONGEST = 2**27  # characters of a cell: an attribute may hold the losses of all mini-batches
ROWS = 200  # of Parquet at once


@dataclasses.dataclass(frozen=True)
class Record:
    """What a file says of one trial, unread.

    Attributes:
        place: `FILE:LINE`, or the file and the number of the record.
        is_table: of a table, where numbers may be texts, and an empty cell is what is not there, or None.
        constraints: of which one above 0 is violated.
    """

    place: str
    params: Mapping[str, Any]
    value: Any = None
    state: Any = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: Mapping[Any, Any] = dataclasses.field(default_factory=dict)
    started: Any = None
    ended: Any = None
    is_table: bool = False
    constraints: Any = None


def read(path: pathlib.Path, metric: str) -> Iterator[Record]:
    """The records of a file, in its order.

    Args:
        metric: of the study that they are for: what the column of values may be called after.

    Raises:
        errors.InputError: with place, rule and value.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise errors.InputError(f"import takes a file that ends in {', '.join(READERS)}, got {str(path)!r}")
    count = 0
    try:
        for record in reader(path, metric):
            count += 1
            yield record
    except UnicodeDecodeError as error:
        raise errors.InputError(f"{path}: must be UTF-8, got byte 0x{error.object[error.start]:02x}") from error
    except OSError as error:
        raise errors.InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not count:
        raise errors.InputError(f"{path}: must hold at least one trial, got none")


def _lines(path: pathlib.Path, metric: str) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _record(_json(line, f"{path}:{number}"), f"{path}:{number}", metric)


def _list(path: pathlib.Path, metric: str) -> Iterator[Record]:
    found = _json(path.read_text(encoding="utf-8-sig"), str(path))
    if not isinstance(found, list):
        raise errors.InputError(f"{path}: must be a list of trials, got {lines.said(repr(found), 80)}")
    for number, each in enumerate(found, 1):
        yield _record(each, f"{path}: trial {number} of the list", metric)


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.InputError(f"{place}: must be JSON: {error or 'nested too deep'}") from error


def _record(found: Any, place: str, metric: str) -> Record:
    """Of an object with the keys that `search export-trials` writes; the table's names of them will do too."""
    if not isinstance(found, dict):
        raise errors.InputError(f"{place}: must be an object, got {lines.said(repr(found), 80)}")
    try:
        found = cells.restored(found) if cells.NON_FINITE in found else found
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        got = lines.said(repr(found[cells.NON_FINITE]), 80)
        raise errors.InputError(
            f"{place}: {cells.NON_FINITE} must name places of nan, inf or -inf, got {got}"
        ) from error
    if "params" not in found:
        if any(key.startswith(PARAMS) for key in found):
            return _row(found, _value_column(list(found), place, metric), place)
        raise errors.InputError(f"{place}: params is missing")
    for key in ("params", "attributes", "intermediate_values"):
        if not isinstance(found.get(key) or {}, dict):
            raise errors.InputError(f"{place}: {key} must be an object, got {lines.said(repr(found[key]), 80)}")
    if found.get("state", "COMPLETE") == "COMPLETE" and "value" not in found:
        raise errors.InputError(f"{place}: value is missing")
    return Record(
        place,
        found["params"] or {},
        found.get("value"),
        found.get("state"),
        {**_told(found), **(found.get("attributes") or {})},
        found.get("intermediate_values") or {},
        found.get("datetime_start"),
        found.get("datetime_complete"),
        constraints=found.get("constraints"),
    )


def _told(found: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of ours that stand beside the others."""
    names = ("worker", "reason", "seed", "repeat")
    return {f"search:{name}": found[name] for name in names if not _is_empty(found.get(name))}


def _table(path: pathlib.Path, metric: str) -> Iterator[Record]:
    csv.field_size_limit(LONGEST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        try:
            names = [str(_plain(name)) for name in next(reader, [])]
            column = _value_column(names, f"{path}:1", metric)
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if not any(row):
                    continue
                if len(row) != len(names):
                    raise errors.InputError(f"{place}: must have {len(names)} cells, got {len(row)}")
                yield _row(dict(zip(names, row, strict=True)), column, place)
        except csv.Error as error:
            raise errors.InputError(f"{path}:{reader.line_num}: must be CSV: {error}") from error


def _parquet(path: pathlib.Path, metric: str) -> Iterator[Record]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise errors.InputError(
            f"{path}: Parquet needs pyarrow: pip install 'optuna-search-service[parquet]'; CSV and JSON need nothing"
        ) from error
    try:
        file = parquet.ParquetFile(path)
        column = _value_column(file.schema_arrow.names, str(path), metric)
        texts = {field.name for field in file.schema_arrow if cells.MARK not in (field.metadata or {})}
        number = 0
        for batch in file.iter_batches(batch_size=ROWS):
            for row in _rows(batch, f"{path}: rows {number + 1} to {number + batch.num_rows}"):
                number += 1
                yield _row(row, column, f"{path}: row {number}", texts)
    except pyarrow.ArrowException as error:
        raise errors.InputError(f"{path}: must be Parquet: {lines.said(str(error), 200)}") from error


def _rows(batch: Any, place: str) -> Iterator[dict[str, Any]]:
    """Of Parquet, as Python has them."""
    found = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            found.append(column.to_pylist())
        except UnicodeDecodeError:
            raise
        except (ValueError, OverflowError) as error:  # moments of nanoseconds, or of the year 10,000
            raise errors.InputError(
                f"{place}: {name} must hold values that Python has, got {column.type}: {lines.said(str(error), 120)}"
            ) from error
    for row in zip(*found, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


def _value_column(names: Sequence[str], place: str, metric: str) -> str:
    """The column of values: `value`, or as Optuna names it after a metric."""
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise errors.InputError(f"{place}: each column must stand there once, got {twice!r} twice")
    if not any(name.startswith(PARAMS) for name in names):
        raise errors.InputError(f"{place}: a column {PARAMS}NAME is missing, got {lines.said(', '.join(names), 200)}")
    known = ("value", f"value_{metric}", f"values_{metric}")
    if (column := next((name for name in known if name in names), None)) is not None:
        return column
    others = [name for name in names if name.startswith(("value_", "values_"))]
    if len(others) > 1:
        raise errors.InputError(f"{place}: must have the values of one objective, got {', '.join(others)}")
    if others:
        raise errors.InputError(f"{place}: the metric must be {metric!r}, as the study's, got {others[0]!r}")
    raise errors.InputError(f"{place}: a column value is missing, got {lines.said(', '.join(names), 200)}")


def _row(row: Mapping[str, Any], column: str, place: str, texts: Collection[str] = ()) -> Record:
    """Of a table; in the columns `texts` a text is one, whatever it looks like."""
    there = {name: value for name, value in row.items() if not _is_empty(value)}

    def named(prefix: str, values: Mapping[str, Any] = there) -> dict[str, Any]:
        return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

    plain = {name: value if name in texts else _plain(value) for name, value in there.items()}

    return Record(
        place,
        named(PARAMS),
        row.get(column),
        there.get("state"),
        {**_told(plain), **named(ATTRIBUTES, plain)},
        named(STEPS),
        there.get("datetime_start"),
        there.get("datetime_complete"),
        is_table=True,
        constraints=plain.get("constraints"),
    )


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    """An attribute: numbers, lists and tables of a cell are JSON, all else is text."""
    return cells.value(value) if isinstance(value, str) else value


READERS: dict[str, Callable[[pathlib.Path, str], Iterator[Record]]] = {
    ".jsonl": _lines,
    ".json": _list,
    ".csv": _table,
    ".parquet": _parquet,
}
