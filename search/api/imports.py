"""Known results from Python: imported from a file, a study forked from another one, a plain Optuna study adopted."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import optuna

from search import errors
from search.api import access
from search.api import studies as verbs
from search.api.access import Storage
from search.ledger import imports, studies, warm_starts
from search.storage.databases import Database
from search.study import forks, result_files, specs, texts
from search.training import results

Path = str | os.PathLike[str]


def import_trials(
    name: str, file: Path, *, storage: Storage = None, on_trials: imports.OnTrials = imports.SILENT
) -> imports.Import:
    """Brings the results of a file into a study: told apart, outside the budget, never trained again.

    What lies outside the study's space is left out and counted; a configuration that a trial has already, too.

    Args:
        file: of `search export-trials` or of a table with `params_NAME` and `value`: .jsonl, .json, .csv or .parquet.
        on_trials: is told how many were looked at, of how many.

    Raises:
        errors.StudyNotFound: there is no such study.
        errors.InputError: what a file says cannot be, or nothing of it fits: place, rule and value.
    """
    database = access.open_existing(storage)
    study, path = studies.load(database, name), pathlib.Path(file)
    with results.Spool(str(path)) as spool:
        for record in result_files.read(path, study.spec.study.metric):
            spool.add(record, study.spec)
        if not spool.count:
            reason, left = next(iter(spool.left_out.items()))
            got = f", got {left.got}" if left.got else ""
            more = f" and {len(spool.left_out) - 1} other reasons" if len(spool.left_out) > 1 else ""
            raise errors.InputError(f"{left.place}: nothing fits study {study.name!r}: {reason}{got}{more}")
        return imports.take(database, study, spool, on_trials)


def fork(
    name: str, new: str, changes: Path | Mapping[str, Any] | None = None, *, storage: Storage = None
) -> optuna.Study:
    """Makes the next study from one: its file with some keys changed, and its results, imported.

    Args:
        changes: a TOML file, or its tables; a key whose value is `{"none": True}` goes.

    Raises:
        errors.StudyExists: the new name is taken.
        errors.StudyFileError: place, key, rule and value.
    """
    database = access.open_existing(storage)
    return verbs.as_optuna(database, forked(database, name, new, changes)[0])


def forked(
    database: Database,
    name: str,
    new: str,
    changes: Path | Mapping[str, Any] | None = None,
    on_trials: imports.OnTrials = imports.SILENT,
) -> tuple[studies.Study, list[str]]:
    """The same, with notes for its user."""
    source = studies.load(database, name)
    place, given = f"fork of {source.name}", changes or {}
    if not isinstance(given, Mapping):
        place = str(given)
        given = texts.toml(texts.read(pathlib.Path(given)), place)
    spec = forks.spec(source.spec, new, given, place)
    differ = [each for each in specs.differences(source.spec, spec) if each.startswith(("training.", "objective", "command"))]
    study, notes = warm_starts.create(database, spec, on_trials)
    return study, [*notes, *(f"its results were measured otherwise: {each}" for each in differ)]
