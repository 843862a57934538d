"""CPU seconds of commands on a small study, side by side with another checkout of this project.

    .venv/bin/python benchmarks/commands.py --against ../before --rounds 7

Both run with this interpreter and its packages, in turn, each over a study of its own making. `run to the first claim`
is all processes of `search run --workers 1` until a worker says that it has a trial; `end of a worker` is the wall time
from a worker's last line to the end of its process.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import psutil
from rich import progress

ROOT = pathlib.Path(__file__).resolve().parent.parent
STUDY = """
[study]
name = "small"
[training]
dataset = "synthetic"
epochs = 3
[space]
learning_rate = [1e-2, 1e-1]
batch_size = { low = 1, high = 128 }
depth = { low = 0, high = 2 }
width = { choices = [8, 16], when = "depth > 0" }
activation = { choices = ["ReLU", "GELU"], when = "depth > 0" }
[budget]
trials = 10
"""
Measure = Callable[[pathlib.Path, pathlib.Path], float]


def main() -> None:
    """Measures, and prints medians with their range, and the ratio of each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=pathlib.Path, metavar="CHECKOUT", help="measure this one beside it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sides = [ROOT, *([arguments.against.resolve()] if arguments.against else [])]
    with tempfile.TemporaryDirectory() as name:
        folders = [pathlib.Path(name, str(number)) for number in range(len(sides))]
        for side, folder in zip(sides, folders, strict=True):
            folder.mkdir()
            (folder / "small.toml").write_text(STUDY)
            (folder / "more.toml").write_text(STUDY.replace('"small"', '"more"').replace("= 10", "= 1000000"))
            _cpu(side, folder, "run", "small.toml")
        found = {}
        for what in progress.track(MEASURES, "measuring", console=None, disable=arguments.json):
            pairs = [
                [MEASURES[what](*each) for each in zip(sides, folders, strict=True)] for _ in range(arguments.rounds)
            ]
            found[what] = [list(side) for side in zip(*pairs, strict=True)]
    if arguments.json:
        print(json.dumps({"machine": platform.processor(), "rounds": arguments.rounds, "seconds": found}))
        return
    for what, (ours, *others) in found.items():
        line = f"{what:<28} {_range(ours)} s"
        for other in others:
            line += f", before {_range(other)} s, x {_range([b / a for a, b in zip(ours, other, strict=True)], 1)}"
        print(line)


def _range(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _environment(side: pathlib.Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("SEARCH_")}
    return {**others, "PYTHONPATH": str(side)}


def _cpu(side: pathlib.Path, folder: pathlib.Path, *words: str) -> float:
    """CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "search", *words]
    subprocess.run(command, cwd=folder, env=_environment(side), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _to_the_first_claim(side: pathlib.Path, folder: pathlib.Path) -> float:
    command = [sys.executable, "-m", "search", "run", "more.toml", "--workers", "1"]
    pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, env=_environment(side), text=True, **pipe) as process:  # type: ignore[call-overload]
        for line in process.stderr:
            if "event=created" in line or "event=waiting" in line:
                break
        tree = psutil.Process(process.pid)
        spent = sum(sum(each.cpu_times()[:2]) for each in (tree, *tree.children(recursive=True)))
        process.terminate()
        process.communicate()
    return float(spent)


def _end_of_a_worker(side: pathlib.Path, folder: pathlib.Path) -> float:
    command = [sys.executable, "-m", "search", "work", "small"]
    pipe = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    last = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=_environment(side), text=True, **pipe) as process:  # type: ignore[call-overload]
        with contextlib.suppress(ValueError):
            for line in process.stderr:
                if "event=ended" in line:
                    last = time.perf_counter()
                    break
        process.wait()
    return time.perf_counter() - last


MEASURES: dict[str, Measure] = {
    "search --help": lambda side, folder: _cpu(side, folder, "--help"),
    "search status": lambda side, folder: _cpu(side, folder, "status", "small"),
    "search list": lambda side, folder: _cpu(side, folder, "list"),
    "run to the first claim": _to_the_first_claim,
    "end of a worker (wall)": _end_of_a_worker,
}


if __name__ == "__main__":
    main()
