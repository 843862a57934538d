"""A tool that results are published to: what each of them does, and how one that is not installed is told."""

import enum
import importlib
import pathlib
from types import ModuleType
from typing import Protocol

import filelock

from search import errors
from search.exports import entries

LOCK = ".search-publish.lock"
LOCK_SECONDS = 30.0  # whoever holds it writes one trial


class Outcome(enum.StrEnum):
    """What became of a trial."""

    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Target(Protocol):
    """Takes a study's trials; each method may be called again after it has failed."""

    def begin(self, heading: entries.Heading) -> None:
        """Makes or finds the study's own place.

        Raises:
            errors.PublishFailed: it does not answer, or cannot be written.
        """

    def send(self, heading: entries.Heading, entry: entries.Entry) -> Outcome:
        """Writes a trial as it is now, once: another that says the same changes nothing.

        Raises:
            errors.PublishFailed: the same.
        """

    def finish(self, heading: entries.Heading) -> None:
        """Writes what is told of the study as a whole.

        Raises:
            errors.PublishFailed: the same.
        """


def load(module: str, extra: str) -> ModuleType:
    """A library that is only here where it was asked for.

    Raises:
        errors.InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise errors.InputError(
            f"publishing to {extra} needs its library ({error}): pip install 'optuna-search-service[{extra}]'"
        ) from error


def folder(path: pathlib.Path, kind: str) -> pathlib.Path:
    """A folder to write to, made where it is missing.

    Raises:
        errors.PublishFailed: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(kind, path, error) from error
    return path


def lock(path: pathlib.Path) -> filelock.BaseFileLock:
    """The lock of a folder: one writes a trial in it at a time. It raises OSError, a Timeout among them."""
    return filelock.FileLock(path / LOCK, timeout=LOCK_SECONDS)


def unwritable(kind: str, path: pathlib.Path, error: OSError) -> errors.PublishFailed:
    """What is said of a folder that does not take what is written."""
    return errors.PublishFailed(f"--to {kind}:{path} cannot be written: {error.strerror or error}")
