"""Writes docs/commands.md from the help of the commands: `make docs`."""

import pathlib

import click

from search.cli import commands

PAGE = pathlib.Path(__file__).with_suffix(".md")
WIDTH = 100
HEAD = """# The commands

Made from their help (`search COMMAND --help`) by `make docs`; a test holds both together.

"""


def page() -> str:
    """The whole page."""
    group = click.Context(commands.cli, info_name="search", terminal_width=WIDTH, **commands.cli.context_settings)
    index = ",\n".join(f"[{name}](#search-{name})" for name in commands.COMMANDS)
    chapters = [_chapter("search", commands.cli.get_help(group))]
    for name in commands.COMMANDS:
        command = commands.load(name)
        context = click.Context(command, parent=group, info_name=name, terminal_width=WIDTH)
        chapters.append(_chapter(f"search {name}", command.get_help(context)))
    return f"{HEAD}{index}\n\n" + "\n".join(chapters)


def _chapter(name: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {name}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
