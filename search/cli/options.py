"""Options that several commands share; those of workers come from their settings."""

import functools
import logging
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import click

from search import events
from search.cli import completions
from search.storage import addresses, stores
from search.worker import settings
from search.worker.settings import Settings

T = TypeVar("T")

debug_option = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
study_argument = click.argument("name", metavar="STUDY", shell_complete=completions.studies)
store_option = click.option(
    "--store",
    envvar=stores.VARIABLE,
    metavar="PLACE",
    help="Where files of trials are, a folder or s3://BUCKET/PREFIX, if no study file says it.  "
    "[default: a folder beside the database]",
)
log_format_option = click.option(
    "--log-format",
    envvar=events.VARIABLE,
    type=click.Choice((events.PLAIN, events.JSON)),
    default=events.PLAIN,
    show_default=True,
    help="Lines of the log on stderr: plain, or a JSON object each.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def common(command: Callable[..., T]) -> Callable[..., T]:
    """Options that every command takes; it gets them as `storage`, the address of the database."""

    @click.option(
        "--storage",
        envvar=addresses.VARIABLE,
        default=addresses.DEFAULT_URL,
        show_default=True,
        metavar="URL",
        shell_complete=completions.storages,
        help="SQLite file or Postgres database of the studies. A URL with a password belongs into SEARCH_STORAGE.",
    )
    @click.option(
        "--storage-password-file",
        "password_file",
        envvar=addresses.PASSWORD_VARIABLE,
        type=click.Path(path_type=pathlib.Path),
        help="File with the password of a Postgres storage.",
    )
    @debug_option
    @functools.wraps(command)
    def wrapped(*args: Any, storage: str, password_file: pathlib.Path | None, **kwargs: Any) -> T:
        return command(*args, storage=addresses.complete(storage, password_file), **kwargs)

    return wrapped


def log(format_: str, level: int) -> None:
    """Sends what is logged from a level on to stderr, without secrets of addresses; as lines, unless it is JSON."""
    if events.is_on():
        return
    handler = logging.StreamHandler()
    handler.setFormatter(addresses.Formatter(format_))
    logging.basicConfig(level=level, handlers=[handler])


def log_as(log_format: str, level: int = logging.INFO) -> None:
    """Says all on stderr in JSON, where that is the format."""
    if log_format == events.JSON:
        import optuna

        optuna.logging.disable_default_handler()
        optuna.logging.enable_propagation()
        events.turn_on(level, addresses.scrub)


def worker_options(*names: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Options for these settings of workers, for all where none is named; the command gets them as `settings`."""
    chosen = {name: option for name, option in settings.options() if not names or name in names}

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(command)
        def wrapped(*args: Any, **kwargs: Any) -> T:
            found = Settings(**{name: kwargs.pop(name) for name in chosen})
            log_as(found.log_format)
            return command(*args, settings=found, **kwargs)

        decorated: Callable[..., T] = wrapped
        for name, option in reversed(chosen.items()):
            decorated = _click_option(name, option)(decorated)
        return decorated

    return decorate


training_options = worker_options(*(name for name, _ in settings.options() if name != "workers"))


def _click_option(name: str, option: settings.Option) -> Callable[[Callable[..., T]], Callable[..., T]]:
    field = Settings.model_fields[name]
    limits = {key: getattr(rule, key) for rule in field.metadata for key in ("ge", "le") if hasattr(rule, key)}
    kinds: dict[Any, Any] = {
        int: click.IntRange(limits.get("ge"), limits.get("le")),
        float: click.FloatRange(limits.get("ge"), limits.get("le")),
        pathlib.Path: click.Path(path_type=pathlib.Path, file_okay=False),
        str: str,
    }
    annotated = field.annotation
    if isinstance(annotated, types.UnionType):
        (annotated,) = (each for each in typing.get_args(annotated) if each is not types.NoneType)
    words = typing.get_args(annotated)  # of a Literal
    return click.option(
        option.flag,
        name,
        envvar=option.variable,
        type=click.Choice(words) if words else kinds[annotated],
        default=field.default,
        show_default=field.default is not None,
        metavar=option.metavar,
        shell_complete=completions.of_option(option.flag),
        help=option.help,
    )
