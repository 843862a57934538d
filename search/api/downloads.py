"""Files that trials have kept, from Python: listed, and fetched from their store."""

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from search import errors, files
from search.api import access
from search.api.access import Storage
from search.ledger import artifacts as kept
from search.ledger import belongings, bundles, excerpts, studies
from search.storage import stores

OnBytes = Callable[[int, int], None]
SILENT: OnBytes = lambda done, total: None  # noqa: E731


def artifacts(
    name: str,
    number: int | None = None,
    *,
    output: str | pathlib.Path | None = None,
    store: str | None = None,
    storage: Storage = None,
    on_bytes: OnBytes = SILENT,
) -> list[dict[str, Any]]:
    """The files that trials of a study have kept: of each trial's number, name, size in bytes, id, and file here.

    Args:
        number: of a trial; all where none is given.
        output: folder to which they are written, as NUMBER/NAME; then each has its `file`, None where the store has it
            no more, or where no folder is given.
        store: where they are, if the study file does not say it; the environment's where none is given.
        on_bytes: is told how many bytes are written, of how many.

    Raises:
        errors.StudyNotFound: there is no such study.
        errors.InputError: no such trial, or a file that is there already; then none is written.
        errors.StorageError: the store cannot be read, or a file in it is damaged.
    """
    database = access.open_to_read(storage)
    study = studies.load_stored(database, name)
    if number is not None and study.token is not None:
        excerpts.load(database, study.read(), number)
    found = kept.of_study(database, study, number)
    rows = [{"trial": e.number, "name": e.name, "size": e.size, "id": e.artifact_id, "file": None} for e in found]
    if output is None:
        return rows
    place = stores.Store(belongings.location_of(database, study, store))
    written = _write(found, place, pathlib.Path(output), on_bytes)
    return [{**row, "file": file} for row, file in zip(rows, written, strict=True)]


def _write(
    found: list[kept.Artifact], store: stores.Store, folder: pathlib.Path, on_bytes: OnBytes
) -> list[pathlib.Path | None]:
    targets = [_target(folder, each) for each in found]
    if (taken := next((each for each in targets if each.exists() or targets.count(each) > 1), None)) is not None:
        raise errors.InputError(f"{taken} exists already: take another --output, or move it away")
    done, total = 0, sum(each.size or 0 for each in found)

    def count(more: int) -> None:
        nonlocal done
        done += more
        on_bytes(done, max(done, total))

    try:
        return [_fetch(each, store, target, count) for each, target in zip(found, targets, strict=True)]
    except OSError as error:
        raise errors.InputError(f"--output {folder} cannot be written: {error.strerror or error}") from error


def _fetch(
    each: kept.Artifact, store: stores.Store, target: pathlib.Path, on_bytes: stores.OnBytes
) -> pathlib.Path | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as folder:
        part = pathlib.Path(folder, "part")
        try:
            bundles.fetch(store, each, part, on_bytes)
        except stores.Missing:
            return None
        files.put_in_place(part, target)
    return target


def _target(folder: pathlib.Path, each: kept.Artifact) -> pathlib.Path:
    """What a name may hold that a disk may not, its hash stands for; two names have two files."""
    return folder.joinpath(str(each.number), *(files.safe_name(part) for part in each.name.split("/")))
