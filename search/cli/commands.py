"""The command line as a whole: a command found, imported and run, its errors said in one line."""

import gc
import importlib
import io
import logging
import os
import re
import sys
import traceback

import click

from models import errors as models
from search import errors, events, lines
from search.cli import exits, helps
from search.cli.entries import COMMANDS

# Which option mends it: models/ knows nothing of a command line.
HINTS: dict[type[models.ModelError], str] = {
    models.DataError: "; --data-dir takes another folder",
    models.PictureSizeError: "; --resize scales it",
}
# In a message: what stands before the @ of an address that a user has typed where none belongs, and of its options.
SECRETS = re.compile(r"(?<=://)(?![^\s@]*\*\*\*@|USER:PASSWORD@)\S*@|(?<=password=)(?!\*)[^\s&'\")]+", re.IGNORECASE)


def main(arguments: list[str] | None = None) -> int:
    """The `search` command; returns its exit code, see docs/exit-codes.md. Without arguments it ends the process."""
    if arguments is None:
        sys.excepthook = lambda _, error, __: _print_trace(error)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # what a study says may be more than the terminal can show
                stream.reconfigure(errors="backslashreplace")
        exits.leave(_run(sys.argv[1:]))
    return _run(arguments)


def _run(given: list[str]) -> int:
    if "_SEARCH_COMPLETE" in os.environ:
        from search.cli import shells

        return shells.answer(cli)
    try:
        code = cli.main(given, prog_name="search", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "search"
        return _fail(f"{error.format_message()} See `{where} --help`.", 2, given)
    except click.ClickException as error:
        return _fail(error.format_message(), 2, given)
    except errors.SearchError as error:
        return _fail(str(error), error.exit_code, given)
    except models.ModelError as error:
        return _fail(f"{error}{HINTS.get(type(error), '')}", 2, given)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # `search status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(message: str, code: int, given: list[str]) -> int:
    if "--debug" in given and (error := sys.exc_info()[1]) is not None:
        _print_trace(error)
    said = lines.clean(SECRETS.sub("***", message))
    if "--debug" not in given and len(said) > lines.LINE_LONGEST:
        said = f"{lines.cut_within(said)} (--debug shows all of it)"
    if events.is_on():
        logging.getLogger("search").error("event=failed exit_code=%d reason=%r", code, said)
    else:
        print(f"search: {said}", file=sys.stderr)
    return code


def _print_trace(error: BaseException) -> None:
    from search.storage import addresses  # a driver's error may repeat an address; and help must not wait for it

    trace = "".join(traceback.format_exception(error))
    limit = sys.maxsize if "--debug" in sys.argv else lines.LINE_LONGEST
    print(lines.block(SECRETS.sub("***", addresses.scrub(trace)), limit), end="", file=sys.stderr)


def load(name: str) -> helps.Command:
    """A command of the table, imported."""
    module, _, function = COMMANDS[name][0].partition(":")
    gc.disable()  # a tenth of a second: what an import makes is there to stay
    try:
        command: click.Command = getattr(importlib.import_module(module), function)
    finally:
        gc.freeze()
        gc.enable()
    return helps.explained(command)


class _Group(click.Group):
    """Its commands are names and lines of the help until one is called."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, line, rest = super().resolve_command(ctx, args)
        return name, load(name) if name is not None and line is not None else None, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with its whole line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Exit codes of all commands."""
        helps.write_ends(formatter)


@click.group(
    "search",
    cls=_Group,
    commands={name: click.Command(name, help=line) for name, (_, line) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=helps.print_versions,
    help="Show the versions that matter, a line each: this program's first.",
)
def cli() -> None:
    """Searches hyperparameters of small networks with worker processes that share one Optuna study.

    STUDY is a name in studies/ or the path of a study file.

    \b
    Example:
      search run lab          create or resume the study, train, show progress
      search status lab       what it did so far
    """
