"""The command that shows what the code of a trial has printed."""

import pathlib
import sys
import time
from collections.abc import Iterator

import click

from search import errors, screens
from search.cli import jsons
from search.cli.options import common, json_option, study_argument, worker_options
from search.ledger import excerpts, logs, studies
from search.storage import databases
from search.training import folders
from search.worker.settings import Settings

LOOK_SECONDS = 0.5


@click.command(name="logs")
@study_argument
@click.argument("number", type=click.IntRange(0))
@click.option("--follow", is_flag=True, help="Go on until the trial has ended.")
@worker_options("trials_dir")
@json_option
@common
def show(name: str, number: int, follow: bool, settings: Settings, as_json: bool, storage: str) -> None:
    """Shows what the code of a trial has printed: all of it on the machine that trained it, elsewhere the end.

    \b
    Example:
      search logs mine 0
      search logs mine 0 --follow
    """
    database = databases.open_to_read(storage)
    study = studies.load(database, name)
    if study.spec.code is None:
        raise errors.InputError(f"study {study.name!r} trains the lab's networks, which print nothing of their own")
    if follow and as_json:
        raise errors.InputError("--json must not stand beside --follow, which prints while there is more")
    excerpts.load(database, study, number)
    reader = _Reader(database, study, number, folders.Folders(settings.folder(database.url), study.name))
    if as_json:
        jsons.say(reader.as_json())
        return
    for chunk in reader.follow() if follow else reader.chunks():
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    reader.say_what_is_missing()


class _Reader:
    """What there is of one trial's: its file here, or the end of it that the database has."""

    def __init__(
        self, database: databases.Database, study: studies.Study, number: int, places: folders.Folders
    ) -> None:
        self._database, self._study, self._number, self._folder = database, study, number, places.find(number)
        self._read = 0
        self._excerpt: logs.Excerpt | None = None

    @property
    def _files(self) -> list[pathlib.Path]:
        """Those of the last owner; another machine's is newer than what lies here of an earlier one."""
        found = self._folder.logs
        return found if self._excerpt is None or logs.is_here(self._excerpt) else []

    def _look(self) -> bool:
        """Whether the trial runs, or waits to go on."""
        self._excerpt, is_open = self._database.read(lambda c: logs.look(c, self._study.study_id, self._number))
        return is_open

    def chunks(self) -> Iterator[bytes]:
        """All that there is now."""
        self._look()
        if not self._files:
            yield self._excerpt.tail.encode() if self._excerpt else b""
        for path in self._files:
            yield path.read_bytes()

    def follow(self) -> Iterator[bytes]:
        """The same, and what comes, until the trial has ended."""
        yield from self.chunks()
        self._read = self._size()
        while True:
            is_open = self._look()
            yield self._more()
            if not is_open:
                return
            time.sleep(LOOK_SECONDS)

    def _size(self) -> int:
        if self._files:
            return self._files[-1].stat().st_size
        return self._excerpt.bytes if self._excerpt else 0

    def _more(self) -> bytes:
        size = self._size()
        first, self._read = (self._read if size >= self._read else 0), size
        if size == first:
            return b""
        if self._files:
            with self._files[-1].open("rb") as stream:
                stream.seek(first)
                return stream.read(size - first)
        kept = self._excerpt.tail.encode() if self._excerpt else b""
        return kept[-(size - first) :]

    def say_what_is_missing(self) -> None:
        """A note on stderr, where not all was shown."""
        if self._files:
            return
        if self._excerpt is None:
            screens.err.print(f"trial {self._number} of {self._study.name!r} has printed nothing so far")
        elif self._excerpt.bytes > len(self._excerpt.tail.encode()):
            screens.err.print(f"the end of {self._excerpt.bytes:,} bytes; all is on the machine {self._excerpt.host}")

    def as_json(self) -> dict[str, object]:
        """For programs."""
        text = b"".join(self.chunks()).decode(errors="replace")
        return {
            "name": self._study.name,
            "number": self._number,
            "host": self._excerpt.host if self._excerpt else None,
            "bytes": self._excerpt.bytes if self._excerpt else 0,
            "files": [str(path) for path in self._files],
            "text": text,
        }
