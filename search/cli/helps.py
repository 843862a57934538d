"""The page of help of a command: what it does, its options in groups, its variables, exit codes and examples."""

import inspect
from collections.abc import Iterable, Sequence

import click

EXAMPLE = "\b\nExample:\n"
ARGUMENTS = {
    "STUDY": "The study: its name, or the path of its file.",
    "STUDY...": "The studies: their names, or the paths of their files.",
    "[STUDY...]": "The studies: their names, or the paths of their files.",
    "[STUDY]": "The study: its name, or the path of its file.",
    "NUMBER": "Of a trial, as `search status` shows it.",
    "[NUMBER]": "Of a trial, as `search status` shows it.",
    "[NUMBER...]": "Of failed trials, as `search status` shows them.",
    "NEW": "The other name.",
    "FILE": "The backup, a SQLite file.",
    "MODEL": "A file of `search export`.",
    "[IMAGE...]": "PNG or JPEG files.",
    "[PARAMETER=VALUE...]": "Of the study's space; a parameter that is left out is sampled.",
    "OBJECTIVE": "The function: FILE.py:FUNCTION, or MODULE:FUNCTION of an installed package or of this folder.",
    "SHELL": "bash, zsh or fish.",
}
# of one command, where a word means something else
ARGUMENTS_OF = {"import": {"FILE": "Results: .csv, .jsonl, .json or .parquet."}}
STORAGE = ("storage", "password_file")
TRAINING = (
    *("workers", "data_dir", "device", "engine", "grace_seconds", "patience_seconds", "save_seconds", "slots"),
    *("allow_objectives", "trials_dir", "store", "gpus", "per_gpu", "gpu_locks", "log_format"),
)
HELP = ("--debug", "--help")
# of every command
EXITS = {
    "0": "Done.",
    "1": "Not done; the last line says why.",
    "2": "Wrong use or bad input, said in one line; nothing was written.",
    "130": "Ended by Ctrl-C.",
}
RUN_EXITS = {
    "0": "There is a best trial, and the budget is used up, or its target, patience, regret or deadline ended it, or "
    "the space is exhausted.",
    "1": "Less was done than the budget, or no trial is complete; the last line says why.",
    "2": EXITS["2"],
    "3": "A worker took itself out: its trials fail where those of others do not.",
    "129, 138, 143": "Ended by SIGHUP, SIGUSR1 or SIGTERM; what ran was handed over; the same command goes on.",
    "130": "Ended by Ctrl-C, the same.",
}
# where they say more
EXITS_OF = {
    **dict.fromkeys(("run", "confirm", "reproduce"), RUN_EXITS),
    "work": {
        "0": "Nothing is left to do, or it was asked to go: SIGTERM, `search stop`.",
        **{code: RUN_EXITS[code] for code in ("1", "2", "3", "130")},
    },
    "replay": {
        "0": "The same curve, or it is known why not.",
        "1": "Another curve, and nothing that is recorded differs.",
    },
    "check": {"0": "All holds.", "1": "Something does not; its line says what."},
    "notify": {"0": "All is delivered.", "1": "An address has not taken a message; its line says why."},
    "publish": {
        "0": "All places have the study as it is now.",
        "1": "A place does not answer, or not all have taken it; the line says which and why.",
    },
    "selfcheck": {"0": "It trains as exactly as plain PyTorch.", "1": "It does not; the lines say by how much."},
    "artifacts": {"0": EXITS["0"], "1": "Some are not in the store any more, or it cannot be read."},
    "delete": {"0": "Deleted.", "1": "You did not agree: the study is kept."},
}


class Command(click.Command):
    """A command whose page has a section for each kind of thing."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it does; the examples come last."""
        whole, self.help = self.help, (self.help or "").partition(EXAMPLE)[0]
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = whole

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Arguments, then options: the command's own, those of workers, the database's, those of every command."""
        known = {**ARGUMENTS, **ARGUMENTS_OF.get(self.name or "", {})}
        arguments = [p.make_metavar(ctx) for p in self.params if isinstance(p, click.Argument)]
        _section(formatter, "Arguments", [(each, known.get(each, "")) for each in arguments])
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        for title, chosen in (
            ("Options", [p for p in options if p.name not in (*TRAINING, *STORAGE) and p.opts[-1] not in HELP]),
            ("How it trains", [p for p in options if p.name in TRAINING]),
            ("Where the studies are", [p for p in options if p.name in STORAGE]),
            ("Help", [p for p in options if p.opts[-1] in HELP]),
        ):
            _section(formatter, title, [record for p in chosen if (record := p.get_help_record(ctx))])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Variables that stand for options, exit codes, examples."""
        _section(formatter, "Environment", _variables(self.get_params(ctx)))
        _section(formatter, "Exit codes", list(EXITS_OF.get(self.name or "", {}).items()))
        with formatter.section("Example"):
            for line in examples(self):
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")


def explained(command: click.Command) -> Command:
    """The command, with such a page."""
    text = inspect.cleandoc(command.help or "")
    return Command(command.name, callback=command.callback, params=command.params, help=text)


def examples(command: click.Command) -> list[str]:
    """What its help shows to be typed, a line each."""
    return [line.strip() for line in (command.help or "").partition(EXAMPLE)[2].splitlines() if line.strip()]


def write_ends(formatter: click.HelpFormatter) -> None:
    """What holds for every command, at the end of the first page."""
    _section(formatter, "Exit codes", list(EXITS.items()))


def _section(formatter: click.HelpFormatter, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def _variables(params: Iterable[click.Parameter]) -> list[tuple[str, str]]:
    return [(str(p.envvar), f"Stands for {p.opts[0]}.") for p in params if isinstance(p, click.Option) and p.envvar]


def print_versions(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    """What `--version` prints, a line each."""
    if is_asked and not context.resilient_parsing:
        from search.cli import programs

        for name, version in programs.versions().items():
            click.echo(f"{name} {version}")
        context.exit()
