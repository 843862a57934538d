"""The command line: words in, one call, text or JSON out."""

from search.cli.commands import main

__all__ = ["main"]
