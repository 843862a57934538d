"""A study's trials, to take away, from Python."""

import os
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from search import errors
from search.api import access
from search.ledger import studies

if TYPE_CHECKING:
    from search.exports import trial_files

Path = str | os.PathLike[str]


def export_trials(
    name: str,
    to: Path,
    *,
    curves: Path | None = None,
    force: bool = False,
    storage: access.Storage = None,
    on_trials: Callable[[int, int], None] = lambda done, total: None,
) -> "trial_files.Written":
    """Writes all trials of a study, ours or another tool's, as CSV, JSON, JSON lines or Parquet: docs/exports.md.

    Args:
        to: the file, whose ending says which.
        curves: a file for the values that trials have reported, a row each; with any of these endings.
        force: replace files that are there.
        on_trials: is told how many trials are written, of how many.

    Raises:
        errors.InputError: no place for it, a file that is there, or pyarrow is not installed.
    """
    from search.exports import trial_files

    path, beside = pathlib.Path(to), None if curves is None else pathlib.Path(curves)
    trial_files.check_path("--to", path, force)
    if beside is not None:
        trial_files.check_path("--curves", beside, force)
        if beside.resolve() == path.resolve():
            raise errors.InputError(f"--curves {beside} must be another file than --to")
    database = access.open_to_read(storage)
    return trial_files.write(database, studies.load_stored(database, name), path, beside, force, on_trials)
