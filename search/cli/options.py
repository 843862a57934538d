"""What commands share: their options, and the study that a user means by a name."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

import click

from search import errors
from search.ledger import presence
from search.storage import addresses, databases
from search.training import objectives
from search.worker import workforces

T = TypeVar("T")

debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
data_option = click.option(
    "--data-dir",
    envvar="SEARCH_DATA",
    default="data",
    show_default=True,
    type=click.Path(path_type=pathlib.Path, file_okay=False),
    help="Folder of FashionMNIST; filled on first use.",
)
study_argument = click.argument("name", metavar="STUDY")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def common(command: Callable[..., T]) -> Callable[..., T]:
    """Options that every command takes."""

    @click.option(
        "--storage",
        envvar="SEARCH_STORAGE",
        default=addresses.DEFAULT_URL,
        show_default=True,
        metavar="URL",
        help="SQLite file or Postgres database of the studies. A URL with a password belongs into SEARCH_STORAGE.",
    )
    @click.option(
        "--storage-password-file",
        "password_file",
        envvar="SEARCH_STORAGE_PASSWORD_FILE",
        type=click.Path(path_type=pathlib.Path),
        help="File with the password of a Postgres storage.",
    )
    @debug_option
    @functools.wraps(command)
    def wrapped(*args: Any, storage: str, password_file: pathlib.Path | None, **kwargs: Any) -> T:
        if password_file is not None:
            storage = addresses.with_password(storage, read_secret(password_file, "--storage-password-file"))
        return command(*args, storage=storage, **kwargs)

    return wrapped


def read_secret(path: pathlib.Path, option: str) -> str:
    """What a secret file holds, without the newline that editors leave.

    Raises:
        errors.InputError: it cannot be read, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise errors.InputError(f"{option} {path} cannot be read: {reason}") from error
    if not secret:
        raise errors.InputError(f"{option} {path} must hold a secret, got an empty file")
    return secret


def training(command: Callable[..., T]) -> Callable[..., T]:
    """Options of the commands that train."""

    @data_option
    @click.option("--device", envvar="SEARCH_DEVICE", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
    @click.option("--engine", envvar="SEARCH_ENGINE", help="Engine, in place of the study file's.")
    @click.option(
        "--grace",
        envvar="SEARCH_GRACE_SECONDS",
        type=click.FloatRange(min=0.3),
        default=presence.GRACE_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Silence after which a worker counts as gone; the same for all workers of a study.",
    )
    @click.option(
        "--patience",
        envvar="SEARCH_PATIENCE_SECONDS",
        type=click.FloatRange(min=0),
        default=databases.PATIENCE_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="How long a worker waits for a database that is away, before it gives up.",
    )
    @click.option(
        "--checkpoint-seconds",
        envvar="SEARCH_CHECKPOINT_SECONDS",
        type=click.FloatRange(min=0),
        default=objectives.SAVE_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Training between two checkpoints of a trial, at least.",
    )
    @click.option(
        "--slots",
        envvar="SEARCH_SLOTS",
        type=click.IntRange(1, workforces.SLOTS_LIMIT),
        default=1,
        show_default=True,
        metavar="TRIALS",
        help="Trials at once in each worker process, which share its memory of the dataset.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        return command(*args, **kwargs)

    return wrapped


def local_workers(command: Callable[..., T]) -> Callable[..., T]:
    """Options of the commands that start workers here; the command gets them as `workforce`."""

    @click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per core and slot]")
    @training
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workers: int | None,
        data_dir: pathlib.Path,
        device: str,
        engine: str | None,
        grace: float,
        patience: float,
        checkpoint_seconds: float,
        slots: int,
        **kwargs: Any,
    ) -> T:
        workforce = workforces.Workforce(workers, data_dir, device, engine, grace, patience, checkpoint_seconds, slots)
        return command(*args, workforce=workforce, **kwargs)

    return wrapped
