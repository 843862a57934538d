"""The command line's one table: each command, where it is defined, and its line in the help."""

import gc
import importlib
import io
import os
import re
import sys
import traceback

import click

from models import errors as models
from search import errors, lines
from search.cli import exits, helps

# A command is imported when it is called: `search --help` must not wait for what only some of them need.
COMMANDS = {
    "amend": (
        "search.cli.amendments:amend",
        "Lets a study follow its edited file: budget, sampler, pruning and what is enqueued.",
    ),
    "artifacts": (
        "search.cli.artifacts:artifacts",
        "Lists the files that trials have kept, of a study or of trial NUMBER, or writes them to a folder.",
    ),
    "backup": (
        "search.cli.backups:backup",
        "Writes a study into a new FILE, as it is now, workers or not. Any Optuna tool opens it as sqlite:///FILE.",
    ),
    "bench": (
        "search.cli.benches:bench",
        "Measures a training step of the CPU engine beside plain PyTorch and the lab's notebook loop, on one core.",
    ),
    "check": (
        "search.cli.checks:check",
        "Counts all rows of a study and compares: the counts that claims rest on, owners, configurations, budget.",
    ),
    "completion": (
        "search.cli.shells:completion",
        "Prints the script that completes commands, options, studies and values in SHELL: bash, zsh or fish.",
    ),
    "confirm": (
        "search.cli.results:confirm",
        "Trains the best configurations again on all training images, with fresh seeds, and tests them once.",
    ),
    "copy": (
        "search.cli.lives:copy",
        "Copies a study under a new name, here or to another storage. Not while workers are at it.",
    ),
    "create": ("search.cli.runs:create", "Creates a study from its file, for workers to come."),
    "dashboard": (
        "search.cli.views:dashboard",
        "Serves optuna-dashboard on all studies, for reading; /metrics for Prometheus, /healthz.",
    ),
    "delete": (
        "search.cli.lives:delete",
        "Deletes a study with all its trials, once it says how much that is and you agree.",
    ),
    "enqueue": (
        "search.cli.queues:enqueue",
        "Queues a configuration to be tried next; what it leaves open is sampled.",
    ),
    "export": (
        "search.cli.exports:export",
        "Trains the best trial again and writes its network as a file, with a card that says how good it is.",
    ),
    "extend": (
        "search.cli.orders:extend",
        "Gives a study more trials, hours or failures to bear, or another end. Workers that run, wait or stay follow.",
    ),
    "fetch": (
        "search.cli.runs:fetch",
        "Puts what a study trains on into the data folder, for workers that reach no network; needs no database.",
    ),
    "list": ("search.cli.views:list_studies", "Lists the studies of the storage."),
    "logs": (
        "search.cli.logs:show",
        "Shows what the code of a trial has printed: all of it on the machine that trained it, elsewhere the end.",
    ),
    "pause": (
        "search.cli.orders:pause",
        "Lets no trial begin until `search resume`; workers stay and wait. Running trials are finished.",
    ),
    "predict": (
        "search.cli.exports:predict",
        "Says what a MODEL of `search export` takes images for: PNG or JPEG files, or the test set.",
    ),
    "rename": (
        "search.cli.lives:rename",
        "Gives a study another name; trials, budget and settings stay. Not while workers are at it.",
    ),
    "replay": (
        "search.cli.results:replay",
        "Trains trial NUMBER of a study again, stores nothing, and says whether its curve is the same to the last bit.",
    ),
    "report": (
        "search.cli.results:report",
        "Writes a report of studies: a page that needs no network, and the same as Markdown with pictures.",
    ),
    "reproduce": (
        "search.cli.results:reproduce",
        "Repeats the whole lab and writes its report: baseline, five factors, the search, the published trials.",
    ),
    "restore": (
        "search.cli.backups:restore",
        "Puts the study of a backup FILE into the storage, SQLite or Postgres, under its name.",
    ),
    "resume": ("search.cli.orders:resume", "Lets a paused or stopped study go on."),
    "retry": (
        "search.cli.orders:retry",
        "Puts failed trials back, all or those NUMBERed: new trials with their configurations; they count no longer.",
    ),
    "run": ("search.cli.runs:run", "Creates or resumes a study and works on it here until it is finished."),
    "simulate": (
        "search.cli.simulations:simulate",
        "Compares samplers and pruners on recorded trainings, in simulated time, beside plain Optuna.",
    ),
    "status": (
        "search.cli.views:status",
        "Shows a study's workers, cost, best and last trials; without a name, every study's.",
    ),
    "stop": (
        "search.cli.orders:stop",
        "Ends a study's workers, wherever they run, once their trials are finished; those that stay, too.",
    ),
    "upgrade": (
        "search.cli.upgrades:upgrade",
        "Brings a storage that an older version made up to date, all or nothing; of a SQLite file it keeps a copy.",
    ),
    "work": (
        "search.cli.runs:work",
        "Works on a study, as one process, until it is finished. Any number may join and leave at any time.",
    ),
}
# Which option mends it: models/ knows nothing of a command line.
HINTS: dict[type[models.ModelError], str] = {
    models.DataError: "; --data-dir takes another folder",
    models.PictureSizeError: "; --resize scales it",
}
# In a message: what stands before the @ of an address that a user has typed where none belongs, and of its options.
SECRETS = re.compile(r"(?<=://)(?![^\s@]*\*\*\*@|USER:PASSWORD@)\S*@|(?<=password=)(?!\*)[^\s&'\")]+", re.IGNORECASE)


def main(arguments: list[str] | None = None) -> int:
    """The `search` command; returns its exit code, see docs/exit-codes.md.

    Without arguments it takes those of the process, and ends it.
    """
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
