"""Reads a table of recorded trainings: what each configuration came to, epoch by epoch, and what that cost.

docs/simulation.md has the format: JSON lines, gzipped where the name ends in `.gz`, an optional header first.
"""

import dataclasses
import gzip
import json
import math
import pathlib
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

from search import errors, lines
from search.space import scalars
from search.space.spaces import Params

ENDING = ".table.jsonl.gz"  # of the table beside a study file
DIRECTIONS = ("maximize", "minimize")


@dataclasses.dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        seed: of the training.
        setup_seconds: CPU time before the first epoch.
        stop: the epoch after which the rule against hopeless networks ends it, 0 before the first; None for never.
        values: the metric by epoch; fewer than the table's steps where nothing changed any more, none where the rule
            ended it before the first.
        seconds: CPU time by epoch.
    """

    params: Params
    seed: int
    setup_seconds: float
    stop: int | None
    values: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Trainings, each configuration and seed once.

    Attributes:
        steps: epochs of a whole training.
        direction: of the metric, where the header says it.
        header: all that it says.
        place: the file, for messages.
    """

    rows: tuple[Row, ...]
    steps: int
    direction: str | None
    header: dict[str, Any]
    place: str

    @property
    def seeds(self) -> list[int]:
        """Of the trainings, ascending."""
        return sorted({row.seed for row in self.rows})

    def only(self, name: str, values: Collection[scalars.Value]) -> "Table":
        """The trainings that have one of some values of a parameter, or do not have it.

        Raises:
            errors.InputError: none has one of them.
        """
        for value in values:
            if not any(scalars.equal(row.params.get(name), value) for row in self.rows):
                raise errors.InputError(f"--only must name values of {name} that {self.place} has, got {value!r}")

        def fits(row: Row) -> bool:
            return name not in row.params or any(scalars.equal(row.params[name], value) for value in values)

        return dataclasses.replace(self, rows=tuple(filter(fits, self.rows)))

    def cut(self, steps: int) -> "Table":
        """The same trainings after so many epochs.

        Raises:
            errors.InputError: it has fewer.
        """
        if steps > self.steps:
            raise errors.InputError(
                f"{self.place}: steps must be at least the study's {steps} epochs, got {self.steps}"
            )

        def cut(row: Row) -> Row:
            stop = None if row.stop is not None and row.stop > steps else row.stop
            return dataclasses.replace(row, stop=stop, values=row.values[:steps], seconds=row.seconds[:steps])

        return dataclasses.replace(self, rows=tuple(map(cut, self.rows)), steps=steps) if steps < self.steps else self


def beside(study_file: pathlib.Path) -> pathlib.Path | None:
    """The table that lies beside a study file, or None."""
    path = study_file.with_name(study_file.name.removesuffix(".toml") + ENDING)
    return path if path.is_file() else None


def load(path: pathlib.Path, column: str = "values") -> Table:
    """Reads a table; the later of two rows of one configuration and seed counts.

    Args:
        column: of the metric, where rows have several; those without it have `values`.

    Raises:
        errors.InputError: with file, line, rule and value.
    """
    documents = list(_documents(path))
    header = documents.pop(0)[1] if documents and "params" not in documents[0][1] else {}
    steps, direction = _header(header, path)
    found: dict[tuple[str, int], Row] = {}
    for number, document in documents:
        row = _row(document, f"{path}: line {number}", steps, column)
        found[json.dumps(row.params, sort_keys=True), row.seed] = row
    if not found:
        raise errors.InputError(f"{path}: must hold a training in each line, got none")
    longest = max(len(row.values) for row in found.values())
    if not longest:
        raise errors.InputError(f"{path}: must hold trainings with values, got only some without")
    return Table(tuple(found.values()), steps or longest, direction, header, str(path))


def _documents(path: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file, with their lines' numbers."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise errors.InputError(f"{path}: must be a table, JSON lines in UTF-8: {error}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise errors.InputError(f"{path}: line {number} must be JSON: {error}") from None
        if not isinstance(document, dict):
            raise errors.InputError(f"{path}: line {number} must be an object, got {lines.cut(repr(document))}")
        yield number, document


def _header(header: dict[str, Any], path: pathlib.Path) -> tuple[int | None, str | None]:
    steps, direction = header.get("steps"), header.get("direction")
    if steps is not None and not _is_count(steps, 1):
        raise errors.InputError(f"{path}: line 1: steps must be an integer >= 1, got {lines.cut(repr(steps))}")
    if direction is not None and direction not in DIRECTIONS:
        raise errors.InputError(
            f"{path}: line 1: direction must be maximize or minimize, got {lines.cut(repr(direction))}"
        )
    return steps, direction


def _row(document: dict[str, Any], place: str, steps: int | None, column: str) -> Row:
    column = column if column in document else "values"

    def read(key: str, default: Any, rule: str, fits: Callable[[Any], bool]) -> Any:
        value = document.get(key, default)
        if not fits(value):
            raise errors.InputError(f"{place}: {key} must be {rule}, got {lines.cut(repr(value))}")
        return value

    stop = read("stop", None, "null or an integer >= 0", lambda value: value is None or _is_count(value, 0))
    values = read(column, [], "a list of numbers", lambda value: _are(value, _is_value))
    seconds = read("seconds", [], "a list of numbers >= 0", lambda value: _are(value, _is_time))
    if len(values) != len(seconds):
        raise errors.InputError(
            f"{place}: seconds must be as many as {column}, got {len(seconds)} and {len(values)} of them"
        )
    if steps is not None and len(values) > steps:
        raise errors.InputError(f"{place}: {column} must be at most {steps}, the table's steps, got {len(values)}")
    if not values and stop != 0:
        raise errors.InputError(f"{place}: {column} must not be empty unless stop is 0, got stop {stop}")
    return Row(
        params=read("params", None, "an object of parameters", _are_params),
        seed=read("seed", 0, "an integer >= 0", lambda value: _is_count(value, 0)),
        setup_seconds=float(read("setup_seconds", 0.0, "a number >= 0", _is_time)),
        stop=stop,
        values=tuple(math.nan if value is None else float(value) for value in values),
        seconds=tuple(map(float, seconds)),
    )


def _are(values: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(fits, values))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _is_value(value: Any) -> bool:
    """A metric; null where it was no number."""
    return value is None or _is_number(value) or (isinstance(value, float) and not math.isfinite(value))


def _is_time(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _are_params(value: Any) -> bool:
    scalar = (str, int, float, bool, type(None))
    return isinstance(value, dict) and bool(value) and all(isinstance(each, scalar) for each in value.values())
