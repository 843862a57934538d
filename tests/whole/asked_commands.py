"""What files that deploy the service ask of the program: its commands, options and settings."""

import re

import click

from search.cli import commands


def check_command(words: list[str]) -> None:
    """`search ...` with options that this version has."""
    command = commands.load(words[1])
    arguments = [re.sub(r"\$\{(\w+)(:-(\w*))?\}|\$\((\w+)\)", "lab", word) for word in words[2:]]
    command.make_context("search", arguments, resilient_parsing=False)


def known_variables() -> set[str]:
    parameters = (each for name in commands.COMMANDS for each in commands.load(name).params)
    return {str(each.envvar) for each in parameters if isinstance(each, click.Option) and each.envvar}
