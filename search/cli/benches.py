"""The command that measures the engines on this machine."""

import contextlib
import statistics
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from rich import box, progress, table

from search import screens
from search.cli import jsons
from search.cli.options import debug_option, json_option, worker_options
from search.worker.settings import Settings

if TYPE_CHECKING:
    from models import benchmark, device_benchmarks

COLUMNS = ("batch, depth, width", "ours", "faster in bf16", "x reference", "x notebook", "GF/s", "of peak")
WIDTH = 200  # a Markdown table has no line breaks in its cells, whatever the terminal


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Interleaved rounds a row.")
@worker_options("data_dir", "device")
@json_option
@debug_option
def bench(rounds: int, settings: Settings, as_json: bool) -> None:
    """Measures a training step of our engine beside plain PyTorch, and on the CPU beside the lab's notebook loop.

    On one core: medians of CPU time, ratios with their range over the rounds; about four minutes. On a GPU: wall time
    of one network alone, and of as many as it has places for. Leave the machine alone meanwhile.

    \b
    Example:
      search bench
      search bench --rounds 9 --json
      search bench --device cuda
    """
    from models import engines  # imports Numba

    device = engines.check_device(settings.training_device)
    machine, rows, said = (_cpu if device == "cpu" else _device)(settings, rounds, device)
    if as_json:
        jsons.say({"machine": machine, "rounds": rounds, "rows": [row_as_json for row_as_json, _ in rows]})
        return
    found = table.Table(*rows[0][1], box=box.MARKDOWN)
    for _, cells in rows:
        found.add_row(*cells.values())
    screens.make(columns=WIDTH).print(found)
    screens.say_wrapped("; ".join([said, *(f"{key} {value}" for key, value in machine.items())]), "dim")


Rows = list[tuple[dict[str, Any], dict[str, str]]]  # as JSON, and as cells


def _cpu(settings: Settings, rounds: int, device: str) -> tuple[dict[str, str], Rows, str]:
    from models import benchmark  # torch and torchvision take seconds to import

    with _bar((rounds + 1) * (len(benchmark.SHAPES) + 1)) as advance:
        rows = [(_as_json(row), _cells(row)) for row in benchmark.measure(settings.data_dir, rounds, advance)]
    said = f"CPU time of a step in us, of the evaluation of 10,000 images in ms; medians of {rounds} rounds (range)"
    return benchmark.machine(), rows, said


def _device(settings: Settings, rounds: int, device: str) -> tuple[dict[str, str], Rows, str]:
    from models import benchmark, data, device_benchmarks, engines
    from models.engines import cuda

    ours = cuda.Cuda(device)
    sides = (ours, engines.load("reference", device), ours.gpu.blocks, data.fashion_mnist_bytes(settings.data_dir))
    with _bar((rounds + 1) * len(benchmark.SHAPES)) as advance:
        found = list(device_benchmarks.measure(*sides, rounds, advance))
    said = f"wall time of a step in us; medians of {rounds} rounds"
    rows = [(_device_as_json(row), _device_cells(row)) for row in found]
    return {"device": ours.identity, **benchmark.machine()}, rows, said


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()]
    with progress.Progress(
        *columns, console=screens.err, transient=True, disable=not screens.is_live(screens.err)
    ) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def _cells(row: "benchmark.Row") -> dict[str, str]:
    shape = f"{row.batch_size}, {row.depth}, {row.width or '-'}"
    ours = statistics.median(row.seconds["cpu"])
    name, taken = (
        (shape, f"{1e6 * ours:.1f}") if row.what == "step" else (f"{row.what}, {shape}", f"{1e3 * ours:.1f} ms")
    )
    ratios = [row.ratios(side) for side in ("reference", "notebook")]
    shown = [f"{statistics.median(each):.1f} ({each[0]:.1f}-{each[-1]:.1f})" for each in ratios]
    found = row.bf16_speedup
    faster = f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})" if found else "-"
    cells = [name, taken, faster, *shown, f"{row.gflops:.0f}", f"{100 * row.share_of_peak:.0f} %"]
    return dict(zip(COLUMNS, cells, strict=True))


def _as_json(row: "benchmark.Row") -> dict[str, Any]:
    ratios = {f"x_{side}": [round(ratio, 3) for ratio in row.ratios(side)] for side in ("reference", "notebook")}
    ratios["bf16_speedup"] = [round(ratio, 3) for ratio in row.bf16_speedup]
    figures = {"gflops": round(row.gflops, 2), "share_of_peak": round(row.share_of_peak, 4)}
    shape = {"what": row.what, "batch_size": row.batch_size, "depth": row.depth, "width": row.width}
    return {**shape, "seconds": row.seconds, **ratios, **figures}


def _device_cells(row: "device_benchmarks.Row") -> dict[str, str]:
    return {
        "batch, depth, width": f"{row.batch_size}, {row.depth}, {row.width or '-'}",
        "alone": f"{1e6 * statistics.median(row.alone):.1f}",
        "x reference": f"{row.x_reference:.1f}",
        f"a network of {row.together}": f"{1e6 * statistics.median(row.shared):.2f}",
        "x alone": f"{row.x_alone:.1f}",
    }


def _device_as_json(row: "device_benchmarks.Row") -> dict[str, Any]:
    shape = {"what": "step", "batch_size": row.batch_size, "depth": row.depth, "width": row.width}
    seconds = {"alone": row.alone, "reference": row.reference, "shared": row.shared}
    return {**shape, "together": row.together, "seconds": seconds}
