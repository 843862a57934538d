"""Known results that fit a study, kept on disk until they are written, and how many do not, by reason."""

import contextlib
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from search import errors, lines
from search.study import specs
from search.study.result_files import ATTRIBUTES, Record
from search.training import results


@dataclasses.dataclass
class LeftOut:
    """How many results were left out for one reason, with the first of them."""

    count: int
    place: str
    got: str


class Spool:
    """Results that fit a study, on disk until they are written: read as often as a transaction is tried.

    Attributes:
        source: what they come from, for people.
        count: how many there are.
        left_out: those that do not fit, by reason.
    """

    def __init__(self, source: str) -> None:
        self.source, self.count = source, 0
        self.left_out: dict[str, LeftOut] = {}
        with self._room():
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8", prefix="search-results-")  # noqa: SIM115

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it writes what no room was left for once more
            self._file.close()

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise errors.InputError(f"{self.source}: no room to check it on the disk: {error}") from error

    def add(self, record: Record, spec: specs.StudySpec) -> None:
        """Takes a record in, or counts why not.

        Raises:
            errors.InputError: what it says cannot be; or no room is left on the disk.
        """
        try:
            result = results.read(record, spec)
        except results.Misfit as misfit:
            self.leave_out(misfit.rule, record.place, misfit.got)
            return
        try:
            line = json.dumps(dataclasses.asdict(result))
        except (TypeError, ValueError, RecursionError) as error:  # Parquet has values that JSON has not
            raise errors.InputError(f"{record.place}: {_alien(result.attributes)}") from error
        with self._room():
            self._file.write(line + "\n")
        self.count += 1

    def flush(self) -> None:
        """Brings all of them onto the disk: a transaction finds out too late that there is no room.

        Raises:
            errors.InputError: no room is left.
        """
        with self._room():
            self._file.flush()

    def leave_out(self, rule: str, place: str, got: str = "") -> None:
        """Counts a result that does not fit."""
        self.left_out.setdefault(rule, LeftOut(0, place, got)).count += 1

    def batches(self, size: int) -> Iterator[list[results.Result]]:
        """The results in their order, so many at a time, from the first."""
        self._file.seek(0)
        found = (results.Result(**json.loads(line)) for line in self._file)
        while batch := list(itertools.islice(found, size)):
            yield batch


def _alien(attributes: Mapping[str, Any]) -> str:
    """What is wrong with the first attribute that no JSON holds."""
    for name, value in attributes.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            kind, got = type(value).__name__, lines.said(repr(value), 80)
            return f"{ATTRIBUTES}{name} must be a value that JSON has, got {kind} {got}: {error}"
    return "must hold values that JSON has"
