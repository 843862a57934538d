"""Trials as a file, whose ending says of which format: CSV, JSON, JSON lines or Parquet; written as they are read."""

import contextlib
import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Protocol

from search import errors, files
from search.exports import trial_rows
from search.ledger import extracts, listings, studies
from search.space import cells
from search.storage import databases

Row = dict[str, Any]


class Writer(Protocol):
    """What puts rows into an open file."""

    def add(self, rows: Iterable[Row]) -> None:
        """Some more."""

    def end(self) -> None:
        """No more."""


class Csv:
    """Comma-separated values, a row a line; see `cells` for what a cell holds."""

    def __init__(self, file: BinaryIO, columns: dict[str, str]) -> None:
        self._text, self._columns = io.TextIOWrapper(file, "utf-8", newline="", write_through=True), list(columns)
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._rows.writerow([cells.text(name) for name in self._columns])

    def add(self, rows: Iterable[Row]) -> None:
        """See `Writer`."""
        for row in rows:
            self._rows.writerow([trial_rows.cell(row[each]) if each in row else cells.ABSENT for each in self._columns])

    def end(self) -> None:
        """See `Writer`."""
        self._text.detach()


class Lines:
    """JSON, a record a line."""

    def __init__(self, file: BinaryIO, columns: dict[str, str]) -> None:
        self._file = file

    def add(self, rows: Iterable[Row]) -> None:
        """See `Writer`."""
        for row in rows:
            self._file.write(f"{cells.line(row)}\n".encode())

    def end(self) -> None:
        """See `Writer`."""


class Array:
    """One JSON document, a list of the same records, a line each."""

    def __init__(self, file: BinaryIO, columns: dict[str, str]) -> None:
        self._file, self._before = file, "[\n"

    def add(self, rows: Iterable[Row]) -> None:
        """See `Writer`."""
        for row in rows:
            self._file.write(f"{self._before}{cells.line(row)}".encode())
            self._before = ",\n"

    def end(self) -> None:
        """See `Writer`."""
        self._file.write(b"[]\n" if self._before == "[\n" else b"\n]\n")


class Parquet:
    """Columns with types; those of which rows have several kinds are texts as in CSV, and say so in their metadata."""

    def __init__(self, file: BinaryIO, columns: dict[str, str]) -> None:
        import pyarrow
        from pyarrow import parquet

        kinds = {
            **{"bool": pyarrow.bool_(), "int": pyarrow.int64(), "float": pyarrow.float64(), "str": pyarrow.string()},
            **{"time": pyarrow.timestamp("us"), "cell": pyarrow.string()},
        }
        marks = {"cell": {cells.MARK: b"json"}}
        fields = [pyarrow.field(name, kinds[kind], metadata=marks.get(kind)) for name, kind in columns.items()]
        self._columns, self._schema, self._batch = columns, pyarrow.schema(fields), pyarrow.RecordBatch
        self._parquet = parquet.ParquetWriter(file, self._schema)

    def add(self, rows: Iterable[Row]) -> None:
        """See `Writer`."""
        content = [{name: self._value(name, each) for name, each in row.items()} for row in rows]
        if content:
            self._parquet.write_batch(self._batch.from_pylist(content, schema=self._schema))

    def end(self) -> None:
        """See `Writer`."""
        try:
            self._parquet.close()
        finally:
            self._parquet.is_open = False  # where that failed it would be tried again as an object that goes

    def _value(self, name: str, value: Any) -> Any:
        if self._columns[name] == "cell":
            return cells.text(value)
        # half a character is none to UTF-8
        return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


FORMATS: dict[str, Callable[[BinaryIO, dict[str, str]], Writer]] = {
    ".csv": Csv,
    ".json": Array,
    ".jsonl": Lines,
    ".parquet": Parquet,
}
NESTED = (".json", ".jsonl")  # whose rows are records


@dataclasses.dataclass(frozen=True)
class Written:
    """Files that were written.

    Attributes:
        columns: of the trials' file, or the keys of its records.
        curves: the file of the curves; None where none was asked for; `points` are its rows.
    """

    study: str
    file: pathlib.Path
    rows: int
    columns: list[str]
    curves: pathlib.Path | None
    points: int | None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}


def check_path(option: str, path: pathlib.Path, force: bool) -> None:
    """Passes a place where a file of a known format can be written.

    Raises:
        errors.InputError: another ending, a file that is there already, no such folder, or a library is missing.
    """
    if path.suffix.lower() not in FORMATS:
        raise errors.InputError(f"{option} must end in {', '.join(FORMATS)}, got {path}")
    if not path.parent.is_dir():
        raise errors.InputError(f"{option} {path} must lie in a folder that exists, got {path.parent}")
    if path.is_dir() or (path.exists() and not force):
        raise errors.InputError(f"{option} {path} exists already; --force replaces it")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise errors.InputError(
                f'{option} {path} needs pyarrow: `pip install "optuna-search-service[parquet]"` brings it'
            ) from error


def write(
    database: databases.Database,
    study: studies.Stored,
    path: pathlib.Path,
    curves: pathlib.Path | None,
    force: bool,
    on_trials: Callable[[int, int], None],
) -> Written:
    """Writes the trials of any study, ours or not, as they are at one moment; `check_path` has passed the paths.

    Args:
        curves: where the values that trials have reported go, a row each.
        on_trials: is told how many trials are written, of how many.

    Raises:
        errors.InputError: a file cannot be written, or the study's rows cannot be read.
    """
    try:
        with contextlib.ExitStack() as stack:
            wanted = [path] if curves is None else [path, curves]
            parts = {each: stack.enter_context(files.replacing(each, force)) for each in wanted}
            with listings.named(study.name):
                return extracts.take(
                    database, study, lambda moment: _fill(moment, study, path, curves, parts, on_trials)
                )
    except FileExistsError as error:
        raise errors.InputError(f"{error.filename2 or error.filename} exists already; --force replaces it") from error
    except OSError as error:
        place = error.filename2 or error.filename or path
        raise errors.InputError(f"{place} cannot be written: {error.strerror or error}") from error


def _fill(
    moment: extracts.Moment,
    study: studies.Stored,
    path: pathlib.Path,
    curves: pathlib.Path | None,
    parts: dict[pathlib.Path, pathlib.Path],
    on_trials: Callable[[int, int], None],
) -> Written:
    """Writes the files from their beginning: the transaction may be a second one, after an outage."""
    found = moment.columns()
    is_nested = path.suffix.lower() in NESTED
    columns, rows, points = trial_rows.columns(found), 0, 0
    with contextlib.ExitStack() as stack:
        trials = stack.enter_context(_Sheet(path, parts[path], columns))
        reported = None if curves is None else stack.enter_context(_Sheet(curves, parts[curves], trial_rows.CURVE))
        for batch in moment.read(on_trials):
            rows += trials.add((trial_rows.record if is_nested else trial_rows.flat)(each, found) for each in batch)
            if reported is not None:
                points += reported.add(point for each in batch for point in trial_rows.curve(each))
    names = trial_rows.keys(found) if is_nested else list(columns)
    return Written(study.name, path, rows, names, curves, None if curves is None else points)


class _Sheet:
    """A file that is being written, and `part`, where it is until it is whole; errors name the file."""

    def __init__(self, path: pathlib.Path, part: pathlib.Path, columns: dict[str, str]) -> None:
        self._path, self._part, self._columns = path, part, columns

    def __enter__(self) -> "_Sheet":
        with self._named():
            self._file = self._part.open("wb")
            self._writer = FORMATS[self._path.suffix.lower()](self._file, self._columns)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._named(), self._file, contextlib.nullcontext() if kind is None else contextlib.suppress(OSError):
            self._writer.end()

    def add(self, rows: Iterable[Row]) -> int:
        """Some more rows; returns how many."""
        known = list(rows)
        with self._named():
            self._writer.add(known)
        return len(known)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self._path)) from error
