"""Terminals of a size, real ones, and a study that is hard to show on them."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest
from conftest import ROOT
from optuna.trial import TrialState
from trials import begin

from search.ledger import claims, studies
from search.storage import databases
from search.study import specs
from search.training import records

STYLE = re.compile(r"\x1b\[[0-9;]*m")
NAMES = [f"model_optimizer_group_{i}_{'x' * 50}_rate_{i}" for i in range(40)]
METRIC = "val/loss/of_the_[bold]model[/bold]"
ODD = ["[bold]red[/bold]", "[/]", ":smile:", "[link=http://x]y[/link]", "\u202eevil\x1b[31m", "z" * 3_000]
SAID = "ValueError: [/red] \x1b]0;title\x07 \x9b2J \u202e first\nsecond " + "words of an error " * 60
VALUES = (0.25, 12.5, 1e-7)


def text() -> str:
    """A study file with 40 parameters of long names, choices full of markup, and a metric of the same kind."""
    kinds = [json.dumps(ODD), "{ low = 0.0, high = 1.0 }"]
    space = [f"{name} = {kinds[place % 8 > 0]}" for place, name in enumerate(NAMES)]
    study = f'[study]\nname = "many"\ndirection = "minimize"\nmetric = "{METRIC}"'
    rest = '[sampler]\nname = "random"\n[budget]\ntrials = 9'
    return "\n".join(['objective = "own:objective"', study, "[space]", *space, rest])


def odd_study(database: databases.Database) -> studies.Study:
    """That study: three trials complete, one failed with a text that is hard to show, one with 100,000 letters."""
    study = studies.create(database, specs.parse(text(), "many.toml"))
    for value in VALUES:
        claims.tell(database, begin(database, study), TrialState.COMPLETE, value, {records.SECONDS.name: 1.5})
    for reason in (SAID, "RuntimeError: " + "y" * 100_000):
        claims.tell(database, begin(database, study), TrialState.FAIL, None, {records.REASON.name: reason})
    return study


class Terminal:
    """What was written to a pseudo terminal, as text without styles, in lines."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def read(self, master: int) -> None:
        """All of it, until nobody can write any more."""
        with contextlib.suppress(OSError):
            while piece := os.read(master, 65_536):
                self._pieces.append(piece)

    @property
    def raw(self) -> str:
        return b"".join(self._pieces).decode()

    @property
    def lines(self) -> list[str]:
        return STYLE.sub("", self.raw).replace("\r", "").rstrip("\n").split("\n")


@contextlib.contextmanager
def opened(columns: int) -> Iterator[tuple[Terminal, int]]:
    """A terminal, and its end for whoever prints on it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    terminal = Terminal()
    reading = threading.Thread(target=terminal.read, args=(master,))
    reading.start()
    try:
        yield terminal, slave
    finally:
        with contextlib.suppress(OSError):
            os.close(slave)
        reading.join(30)
        os.close(master)


@contextlib.contextmanager
def in_place_of_stdout(monkeypatch: pytest.MonkeyPatch, columns: int) -> Iterator[Terminal]:
    """A terminal of so many columns on which this process prints."""
    with opened(columns) as (terminal, slave), os.fdopen(slave, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", str(columns))
        yield terminal


def run(columns: int, *arguments: str, **environment: str) -> tuple[int, Terminal]:
    """`search ...` as a process on a terminal; its exit code and what it printed."""
    ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with opened(columns) as (terminal, slave):
        command = [sys.executable, "-m", "search", *arguments]
        known = {**ours, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
        process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=known, start_new_session=True)
        os.close(slave)
        try:
            return process.wait(240), terminal
        finally:
            process.kill()
            process.wait()
