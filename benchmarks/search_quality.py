"""What a search with real training finds in equal CPU seconds: this service, and plain Optuna.

    python benchmarks/search_quality.py --seeds 10 --trials 10 60 --dataset fashion-mnist mnist --workers 2
    python benchmarks/search_quality.py --table --plot runs/search_quality.svg      # of what was run so far

First `search run` works off a budget with one worker on SQLite. Then `study.optimize` with Optuna's defaults, the
study in memory as in the lab's notebook, trains with the same engine, seed and images until it has used as many CPU
seconds; the trial that runs then does not count. Both sides pay for the start of their process and for proposals.
Trials are judged on the hold-out. In the end the best of each side is trained on all training images with fresh seeds
and tested; that is no time of the search. Runs are kept in runs/search_quality.jsonl and taken up again: a run is
another one where the study, Optuna or the code that it depends on has changed; do not change code meanwhile.
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any

import search_quality_sides as sides
import search_quality_tables as tables
from rich import progress

from models import data, engines
from search import errors
from search.study import pruners, samplers, specs

RUNS = sides.HOUSE / "runs" / "search_quality.jsonl"
LEAVES = ("api", "cli", "dashboard", "exports", "reports", "simulations")  # of search/: what is found is not theirs

Row = dict[str, Any]


@functools.cache
def code(*folders: str) -> str:
    """A checksum of the sources that a result depends on."""
    found = hashlib.sha256()
    for path in sorted(path for folder in folders for path in (sides.HOUSE / folder).rglob("*.py")):
        if not set(LEAVES) & set(path.relative_to(sides.HOUSE).parts):
            found.update(path.read_bytes())
    found.update(pathlib.Path(sides.__file__).read_bytes())
    return found.hexdigest()[:12]


def name(key: Row) -> str:
    """What a run depends on, as a key."""
    return json.dumps(key, sort_keys=True)


def searches(options: argparse.Namespace) -> list[Row]:
    """The keys of all searches, small budgets first.

    Raises:
        errors.InputError: sampler and pruner do not go together, or there is no such budget.
    """
    pruner = None if options.pruner == "none" else options.pruner
    wanted = []
    for trials in sorted(options.trials):
        for seed in range(options.seeds):
            for dataset in options.dataset:
                study = sides.study(dataset, seed, trials, options.epochs, options.sampler, pruner)
                specs.parse(study, "studies/lab.toml")
                key = {"dataset": dataset, "trials": trials, "seed": seed, "epochs": options.epochs}
                key |= {"sampler": options.sampler, "pruner": options.pruner, "optuna": metadata.version("optuna")}
                wanted.append(key | {"code": code("search", "models"), "study": study})
    return wanted


def quotes(rows: Iterable[Row], wanted: Sequence[Row], count: int) -> list[Row]:
    """The keys of the trainings that judge the best of both sides, each configuration once for a seed."""
    names = set(map(name, wanted))
    found: dict[str, Row] = {}
    for row in rows:
        if name(row["key"]) not in names:
            continue
        for side in tables.SIDES:
            if row[side]["best"] is None:
                continue
            for seed in tables.quoting_seeds(count):
                key = {"dataset": row["key"]["dataset"], "epochs": row["key"]["epochs"], "params": row[side]["best"]}
                key |= {"seed": seed, "code": code("models")}
                found[name(key)] = key
    return list(found.values())


def load() -> list[Row]:
    """All that was run so far."""
    return [json.loads(line) for line in RUNS.read_text().splitlines()] if RUNS.exists() else []


def work(run: Callable[[tuple[Row, str]], Row], keys: Sequence[Row], rows: list[Row], options: Any, what: str) -> None:
    """Runs what is missing, each in a process of its own, and keeps it."""
    done = {name(row["key"]) for row in rows}
    jobs = [(key, options.data_dir) for key in keys if name(key) not in done]
    if not jobs:
        return
    pool = multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=1)
    with pool, RUNS.open("a") as out:
        for row in progress.track(pool.imap_unordered(run, jobs), total=len(jobs), description=what):
            print(json.dumps(row), file=out, flush=True)
            rows.append(row)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="of studies, from 0 on; they seed the trainings too")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 60], help="budgets of the service")
    parser.add_argument("--dataset", nargs="+", default=["fashion-mnist"], choices=["fashion-mnist", "mnist"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sampler", default="gp-cost", choices=samplers.NAMES)
    parser.add_argument("--pruner", default="asha", choices=[*pruners.PRUNERS, "none"])
    parser.add_argument("--quote", type=int, default=2, help="fresh seeds that test the best of each side")
    parser.add_argument("--workers", type=int, default=1, help="searches at once, of one core each")
    parser.add_argument("--data-dir", default=os.environ.get("SEARCH_DATA", "data"), type=os.path.abspath)
    parser.add_argument("--table", action="store_true", help="run nothing, print what has been run")
    parser.add_argument("--plot", type=pathlib.Path, metavar="FILE", help="draw it too: .svg or .png")
    options = parser.parse_args()
    if options.plot and options.plot.suffix not in (".svg", ".png"):
        parser.error(f"--plot must end with .svg or .png, got {options.plot}")
    return options


def main() -> int:
    """Runs what is missing, then prints the table."""
    options, rows = arguments(), load()
    if not options.table:
        try:
            wanted = searches(options)
        except errors.InputError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        engines.load("auto").prepare(data.synthetic())  # compiled once, and not on a side's bill
        RUNS.parent.mkdir(exist_ok=True)
        work(sides.search, wanted, rows, options, "searching")
        work(sides.quote, quotes(rows, wanted, options.quote), rows, options, "testing the best")
    for line in tables.table(rows, options.quote):
        print(line)
    if options.plot:
        tables.plot(rows, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
