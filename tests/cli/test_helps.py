"""The pages of help: a section for each kind of thing, and the reference that is made of them."""

import re
import runpy

import click
import pytest
from conftest import ROOT

from search.cli import commands, helps
from search.worker.settings import Settings


def page_of(name: str) -> str:
    command = commands.load(name)
    return command.get_help(click.Context(command, info_name=f"search {name}", terminal_width=100))


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_page_says_all_of_a_command(name: str) -> None:
    """What it does, every argument in words, every option, its variables, and examples that can be typed."""
    page, command = page_of(name), commands.load(name)
    titles = re.findall(r"(?m)^([A-Z][\w ]+):$", page)
    assert len(titles) == len(set(titles))
    assert titles[-1] == "Example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            shown = re.findall(rf"(?m)^  {re.escape(parameter.opts[0])}(?![\w-])", page)
            assert bool(shown) != parameter.hidden, parameter.name
            assert parameter.hidden or parameter.help, parameter.name
            assert not parameter.envvar or re.search(rf"(?m)^  {parameter.envvar}\s", page)
    context = click.Context(command)
    for argument in (parameter for parameter in command.params if isinstance(parameter, click.Argument)):
        assert helps.ARGUMENTS.get(argument.make_metavar(context)), argument.name
    assert ("Arguments" in titles) == any(isinstance(parameter, click.Argument) for parameter in command.params)
    assert all(re.search(rf"\bsearch {name}\b", line) for line in helps.examples(command))
    assert helps.examples(command)


def test_settings_of_workers_have_their_section() -> None:
    """A setting that is added stands with the others."""
    assert set(helps.TRAINING) == set(Settings.model_fields)


def test_exit_codes_are_told_where_they_differ() -> None:
    """On the first page those of every command; where one says more, on its own."""
    assert set(helps.EXITS_OF) <= set(commands.COMMANDS)
    context = click.Context(commands.cli, info_name="search", terminal_width=100, **commands.cli.context_settings)
    assert "2    Wrong use or bad input" in commands.cli.get_help(context)
    for name in commands.COMMANDS:
        assert ("Exit codes:" in page_of(name)) == (name in helps.EXITS_OF)


def test_the_reference_is_what_the_help_says() -> None:
    """docs/commands.md is that of these commands: `make docs` writes it."""
    page = runpy.run_path(str(ROOT / "docs" / "commands.py"))["page"]
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == page(), "make docs"


def test_a_file_is_what_its_command_takes() -> None:
    """A backup for `search restore`, results for `search import`."""
    assert "FILE   Results: .csv, .jsonl, .json or .parquet." in page_of("import")
    assert "The backup, a SQLite file." in page_of("restore")
