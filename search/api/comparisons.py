"""Several studies side by side, from Python: what `search compare` does."""

import collections
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from search import errors
from search.api import access
from search.api.access import Storage
from search.api.results import Path
from search.ledger import listings, outsiders, studies, summaries
from search.storage import addresses, databases

# scipy and matplotlib take seconds to import: each function imports what it needs
if TYPE_CHECKING:
    from search.reports import comparisons

Study = studies.Study | outsiders.Outsider
FEWEST = 2


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Some studies side by side.

    Attributes:
        found: their bests, trajectories, differences, and pairs of confirmed ones; see `search.reports.comparisons`.
        html, markdown: the page, and the same as Markdown; None where none was asked for.
    """

    found: "comparisons.Comparison"
    html: pathlib.Path | None = None
    markdown: pathlib.Path | None = None

    @property
    def cautions(self) -> list[str]:
        """Why their values may not be of the same thing, a sentence each."""
        from search.reports import comparison_sentences

        return comparison_sentences.cautions(self.found)

    @property
    def verdicts(self) -> list[str]:
        """Which is better, as far as it can be told, a sentence each."""
        from search.reports import comparison_sentences

        return comparison_sentences.verdicts(self.found)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        from search.reports import comparison_documents

        paths = {"html": self.html, "markdown": self.markdown}
        return {**comparison_documents.of(self.found), **{k: v and str(v) for k, v in paths.items()}}


def compare(
    *names: str,
    others: Sequence[tuple[Storage, str]] = (),
    output: Path | None = None,
    title: str | None = None,
    storage: Storage = None,
) -> Comparison:
    """Compares studies: their bests with intervals, their cost, and their files.

    Args:
        others: studies of other storages, each with the address of its own.
        output: a folder for the page, its Markdown and the picture; None for none.

    Raises:
        errors.InputError: fewer than two studies, one that is given twice or has several objectives, or different
            metrics or directions; or the folder cannot be written.
    """
    from search.reports import comparisons, entrants

    found = [(database, load(database, name)) for database, name in _wanted(names, others, storage)]
    _check(found)
    labels = _labels(found)
    entries = []
    for (database, study), label in zip(found, labels, strict=True):
        with listings.named(study.name):
            entries.append(entrants.read(database, study, label))
    compared = comparisons.of(entries)
    if output is None:
        return Comparison(compared)
    from search.reports import comparison_chapters, pages

    return Comparison(compared, *pages.write(comparison_chapters.page(compared, title), pathlib.Path(output)))


def load(database: databases.Database, name: str) -> Study:
    """A study by its name, ours or another tool's.

    Raises:
        errors.InputError: there is none, or it cannot be read.
    """
    stored = studies.load_stored(database, name)
    if not stored.is_foreign:
        return stored.read()
    found = listings.one(database, stored)
    return found.study if isinstance(found, summaries.Summary) else found


def _wanted(
    names: Sequence[str], others: Sequence[tuple[Storage, str]], storage: Storage
) -> list[tuple[databases.Database, str]]:
    if len(names) + len(others) < FEWEST:
        raise errors.InputError(f"compare takes two studies or more, got {len(names) + len(others)}")
    here = [access.open_to_read(storage)] * len(names) if names else []
    return [*zip(here, names, strict=True), *((access.open_to_read(where), name) for where, name in others)]


def _check(found: Sequence[tuple[databases.Database, Study]]) -> None:
    """Passes studies that are all different ones."""
    known = collections.Counter((_place(database), study.study_id) for database, study in found)
    for database, study in found:
        if known[_place(database), study.study_id] > 1:
            raise errors.InputError(f"study {study.name!r} is given more than once: a study is compared with others")


def _place(database: databases.Database) -> str:
    """The same of two addresses of one file."""
    file = addresses.sqlite_file(database.url)
    return addresses.hide_password(database.url) if file is None else str(file.resolve())


def _labels(found: Sequence[tuple[databases.Database, Study]]) -> list[str]:
    """Their names; with the storage where two have the same."""
    names = collections.Counter(study.name for _, study in found)
    return [
        study.name if names[study.name] == 1 else f"{study.name} of {addresses.hide_password(database.url)}"
        for database, study in found
    ]
