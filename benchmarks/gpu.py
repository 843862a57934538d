"""All that is to be found out on a GPU, in one order and within ten minutes, as a table in Markdown.

    python benchmarks/gpu.py --device cuda --output gpu.md                    everything
    python benchmarks/gpu.py --device cuda --steps single slots               some of it
    python benchmarks/gpu.py --device cpu --minutes 3 --whole-epochs 1        the script itself, where there is no GPU

What a GPU needs is looked for first: where it is not there, that is one line and exit code 2. A step that fails, or
takes longer than its share, is a row that says so, and the next one begins; the table is written anew after each. The
whole space has what is left of the time. Exit code 1 where a step failed or a goal was missed.

compute-sanitizer is a part of CUDA's toolkit, or of the package nvidia-cuda-sanitizer-api.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import gpu_figures
from gpu_figures import Figure
from slots import ROOT, check

from models import data, errors

SINGLE = [(1, 3, 128), (64, 3, 128), (128, 3, 128)]
ENTRY = "import sys; from search import cli; sys.exit(cli.main(sys.argv[1:]))"
SANITIZERS = ("compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer")
SPARE_SECONDS = 15.0  # of the whole, for the ends of processes


@dataclasses.dataclass(frozen=True)
class Step:
    """One of them: a command, the seconds that it may take, and how its output is read."""

    name: str
    command: list[str]
    seconds: float
    read: Callable[[str], list[Figure]]


def measure_single(options: argparse.Namespace) -> None:
    """Prints the figures of single networks as JSON; in a process of its own."""
    import statistics

    from models import device_benchmarks, engine, engines, notebook

    ours = engines.make("cpu" if options.device == "cpu" else "cuda", options.device)
    sides = (ours, engines.load("reference", options.device), engine.capacity(ours))
    images, rows = data.fashion_mnist_bytes(options.data_dir), []
    with notebook.torchvision_layout(options.data_dir) as folder:
        for row in device_benchmarks.measure(*sides, images, 1, lambda: None, SINGLE, folder):
            seconds = {name: 1e6 * statistics.median(getattr(row, name)) for name in ("alone", "shared")}
            ratios = {"x_notebook": row.x_notebook, "x_reference": row.x_reference, "share": row.share_of_limit}
            team, taken = row.fastest_team
            ratios |= {"team": team, "in_team": 1e6 * taken}
            shape = {"batch_size": row.batch_size, "depth": row.depth, "width": row.width}
            rows.append({**shape, "together": row.together, **seconds, **ratios})
    print(json.dumps(rows))


def steps(options: argparse.Namespace, places: int) -> list[Step]:
    """All of them, in their order.

    Args:
        places: networks that the device trains at once.
    """
    python, device = sys.executable, ["--device", options.device]
    engine = ["--engine", "cpu" if options.device == "cpu" else "cuda"]
    trains = [*device, *engine, "--data-dir", str(options.data_dir)]
    check = [python, "-c", ENTRY, "selfcheck", *device]
    checks = [*check, *engine]
    narrow = [] if options.device == "cpu" else ["cuda-tf32", "cuda-bf16"]
    tests = [python, "-m", "pytest", "tests/models/test_engines.py", "-q", "-p", "no:cacheprovider", "-k"]
    sanitizer = next((found for name in SANITIZERS if (found := shutil.which(name))), SANITIZERS[0])
    crews = ["--crews", "1x1", f"1x{places}", "--epochs", "2", "--trials", "8", "--rounds", "2"]
    space = ["--crew", f"1x{places}", "--epochs", str(options.whole_epochs)]
    return [
        Step("selfcheck", [*checks, "--json"], 90, gpu_figures.selfchecked),
        *(Step(each, [*check, "--engine", each, "--json"], 60, gpu_figures.selfchecked) for each in narrow),
        Step("suite", [*tests, "cpu-on-cpu" if options.device == "cpu" else "on-cuda"], 120, gpu_figures.suite),
        Step("memcheck", [sanitizer, "--tool", "memcheck", *checks], 75, gpu_figures.sanitized),
        Step("racecheck", [sanitizer, "--tool", "racecheck", *checks], 75, gpu_figures.sanitized),
        Step("single", [python, __file__, "--measure-single", *trains[:2], *trains[4:]], 120, gpu_figures.single),
        Step("slots", [python, "benchmarks/slots.py", *trains, *crews], 90, gpu_figures.slots),
        Step("whole", [python, "benchmarks/whole_space.py", *trains, *space], 480, gpu_figures.whole),
    ]


def run(step: Step, seconds: float) -> list[Figure]:
    """What a step has found, or that it failed."""
    command = [*step.command, "--minutes", f"{seconds / 60:.2f}"] if step.name == "whole" else step.command
    limit = seconds + (SPARE_SECONDS if step.name == "whole" else 0)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, **how)  # type: ignore[call-overload]
    except OSError as error:
        return [Figure(step.name, f"not run: {error.strerror}: {command[0]}", "", is_well=False)]
    try:
        said, complained = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return [Figure(step.name, f"not done within {limit:.0f} s", "", is_well=False)]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    try:
        return step.read(said)
    except (ValueError, LookupError, TypeError, ArithmeticError):
        last = (complained.strip() or said.strip() or "nothing was said").splitlines()[-1]
        return [Figure(step.name, f"failed, exit code {process.returncode}: {last[:200]}", "", is_well=False)]


def write(path: pathlib.Path, head: str, figures: list[Figure]) -> None:
    """The table so far; the last whole one stays where this process is killed."""
    rows = [f"| {each.name} | {each.value.replace('|', '/')} | {_goal(each)} |" for each in figures]
    part = path.with_name(f"{path.name}.part")
    part.write_text("\n".join([head, "", "| what | found | goal |", "|---|---|---|", *rows, ""]), encoding="utf-8")
    part.replace(path)


def _goal(figure: Figure) -> str:
    if figure.is_well:
        return f"{figure.goal}, reached" if figure.goal else ""
    return f"{figure.goal}, missed" if figure.goal else "failed"


def described(options: argparse.Namespace) -> tuple[str, int]:
    """Device and versions in a line, and how many networks it trains at once.

    Raises:
        models.errors.ModelError: the images are not there, or nothing compiles for the device.
    """
    import torch

    data.fashion_mnist_bytes(options.data_dir)
    device = options.device
    machine = f"torch {torch.__version__}, Python {sys.version.split()[0]}"
    if device == "cpu":
        return f"cpu, {machine}", 2
    from models.engines import cuda

    ours = cuda.Cuda(device)
    return f"{ours.identity}, {ours.gpu.blocks} multiprocessors, {machine}", ours.gpu.blocks


def main() -> int:
    """Prints a line for each figure, and writes the table."""
    names = [step.name for step in steps(argparse.Namespace(device="cuda", data_dir="", whole_epochs=0), 0)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-dir", type=pathlib.Path, default=os.environ.get("SEARCH_DATA", "data"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("gpu.md"))
    parser.add_argument("--minutes", type=float, default=9.5, help="for all of it")
    parser.add_argument("--steps", nargs="+", choices=names, default=names)
    parser.add_argument("--whole-epochs", type=int, default=2, help="of each of the sample; taken for ten")
    parser.add_argument("--measure-single", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.engine, options.data_dir = None, options.data_dir.resolve()
    deadline = time.monotonic() + 60 * options.minutes - SPARE_SECONDS
    check(options)
    if options.measure_single:
        measure_single(options)
        return 0
    try:
        head, places = described(options)
    except errors.ModelError as error:
        print(f"gpu.py: {error}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # with the step under way
    print(head, flush=True)
    for step in (each for each in steps(options, places) if each.name in options.steps):
        began, left = time.monotonic(), deadline - time.monotonic()
        found = (
            run(step, min(step.seconds, left)) if left > 0 else [Figure(step.name, "no time left", "", is_well=False)]
        )
        figures += [*found, Figure(f"seconds of {step.name}", f"{time.monotonic() - began:.0f}")]
        for figure in found:
            print(f"{step.name:10} {figure.name}: {figure.value}  {_goal(figure)}", flush=True)
        write(options.output, head, figures)
    return 0 if all(figure.is_well for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
