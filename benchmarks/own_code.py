"""What it costs to run code of the user's own in a process of its own, a trial and a report, beside plain Optuna.

    python benchmarks/own_code.py --repeats 5

Each side works off the same numbers of empty trials and of reports, in turn, each time in a folder of its own: one
worker on SQLite whose process is kept ("warm") or a new one for each trial ("fresh"), the same with an import of torch,
a program under `command`, and `study.optimize` of plain Optuna on SQLite. Shown are milliseconds of a trial and of a
report, the median of the repeats with the least and the most; a report's is what a trial with so many costs more.
"""

import argparse
import datetime
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile

from rich import progress

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPACE = '[space]\nx = { low = 0.0, high = 1.0 }\n[sampler]\nname = "random"\n'
MODULE = """
import os
if os.environ.get("OWN_IMPORTS"):
    __import__(os.environ["OWN_IMPORTS"])

def objective(trial):
    for step in range(int(os.environ["OWN_REPORTS"])):
        trial.report(0.5, step)
    return trial.params["x"]
"""
PROGRAM = """
import os
for step in range(1, int(os.environ["OWN_REPORTS"]) + 2):
    print("value", 0.5, flush=True)
"""
PLAIN = """
import optuna, os
optuna.logging.set_verbosity(optuna.logging.WARNING)
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    for step in range(int(os.environ["OWN_REPORTS"])):
        trial.report(0.5, step)
    return x
study = optuna.create_study(storage="sqlite:///plain.db", sampler=optuna.samplers.RandomSampler())
study.optimize(objective, n_trials={trials})
"""
OBJECTIVE = 'objective = "mine:objective"\n'
COMMAND = (
    f'command = ["{sys.executable}", "-S", "program.py"]\nmetric = {{ from = "stdout", pattern = "value (.*)" }}\n'
)
# what a study file begins with and its [trial], trials, and what is imported; None for plain Optuna
SIDES: dict[str, tuple[str | None, str, int, str]] = {
    "a function, warm": (OBJECTIVE, "", 200, ""),
    "a function, fresh": (OBJECTIVE, 'process = "fresh"', 12, ""),
    "a function that imports torch, warm": (OBJECTIVE, "", 200, "torch"),
    "a function that imports torch, fresh": (OBJECTIVE, 'process = "fresh"', 4, "torch"),
    "a program": (COMMAND, "", 30, ""),
    "plain Optuna": (None, "", 200, ""),
}
FEW, REPORTS = 10, 500  # trials by which a report is measured, and reports of each
REPORTING = ("a function, warm", "a program", "plain Optuna")  # the rest differ in their start only


def measure(name: str, trials: int, reports: int) -> float:
    """Seconds from the first trial's begin to the last one's end."""
    head, process, _, imports = SIDES[name]
    environment = {
        **os.environ,
        "OWN_REPORTS": str(reports),
        "OWN_IMPORTS": imports,
        "SEARCH_STORAGE": "sqlite:///s.db",
    }
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        (place / "mine.py").write_text(MODULE)
        (place / "program.py").write_text(PROGRAM)
        if head is None:
            command = [sys.executable, "-c", PLAIN.replace("{trials}", str(trials))]
            database = place / "plain.db"
        else:
            text = f'{head}\n[study]\nname = "own"\n[trial]\n{process}\n{SPACE}[budget]\ntrials = {trials}\n'
            (place / "own.toml").write_text(text)
            database = place / "s.db"
            search = [sys.executable, "-P", str(ROOT / "optuna_search_service.py")]
            subprocess.run([*search, "create", "own.toml"], cwd=place, env=environment, check=True, capture_output=True)
            command = [*search, "work", "own"]
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
        return lasted(database)


def lasted(database: pathlib.Path) -> float:
    """By the trials' own times."""
    with sqlite3.connect(database) as connection:
        moments = connection.execute("SELECT min(datetime_start), max(datetime_complete) FROM trials").fetchone()
    began, ended = map(datetime.datetime.fromisoformat, moments)
    return (ended - began).total_seconds()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    trials: dict[str, list[float]] = {name: [] for name in SIDES}
    reports: dict[str, list[float]] = {name: [] for name in SIDES}
    with progress.Progress() as shown:
        bar = shown.add_task("runs", total=repeats * len(SIDES))
        for _ in range(repeats):
            for name, (_, _, count, _) in SIDES.items():
                trials[name].append(1e3 * measure(name, count, 0) / count)
                if name in REPORTING:
                    more = 1e3 * measure(name, FEW, REPORTS) / FEW
                    reports[name].append((more - trials[name][-1]) / REPORTS)
                shown.advance(bar)
    print(f"{'':38} {'ms a trial':>24} {'ms a report':>24}")
    for name in SIDES:
        print(f"{name:38} {_spread(trials[name]):>24} {_spread(reports[name]):>24}")


def _spread(found: list[float]) -> str:
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else ""


if __name__ == "__main__":
    main()
