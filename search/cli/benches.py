"""The command that measures the engines on this machine."""

import json
import statistics
from typing import TYPE_CHECKING, Any

import click
from rich import box, progress, table

from search import screens
from search.cli.options import debug_option, json_option, worker_options
from search.worker.settings import Settings

if TYPE_CHECKING:
    from models import benchmark

COLUMNS = ("batch, depth, width", "ours", "x reference", "x notebook", "GF/s", "of peak")
WIDTH = 200  # a Markdown table has no line breaks in its cells, whatever the terminal


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Interleaved rounds a row.")
@worker_options("data_dir")
@json_option
@debug_option
def bench(rounds: int, settings: Settings, as_json: bool) -> None:
    r"""Measures a training step of the CPU engine beside plain PyTorch and the lab's notebook loop, on one core.

    Medians of CPU time, ratios with their range over the rounds. About four minutes; leave the machine alone meanwhile.

    \b
    Example:
      search bench
      search bench --rounds 9 --json
    """
    from models import benchmark  # torch and torchvision take seconds to import

    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()]
    rows = []
    with progress.Progress(
        *columns, console=screens.err, transient=True, disable=not screens.is_live(screens.err)
    ) as bar:
        task = bar.add_task("measuring", total=(rounds + 1) * (len(benchmark.SHAPES) + 1))
        for row in benchmark.measure(settings.data_dir, rounds, lambda: bar.advance(task)):
            rows.append(row)
    machine = benchmark.machine()
    if as_json:
        click.echo(json.dumps({"machine": machine, "rounds": rounds, "rows": [_as_json(row) for row in rows]}))
        return
    found = table.Table(*COLUMNS, box=box.MARKDOWN)
    for row in rows:
        found.add_row(*_cells(row))
    screens.make(columns=WIDTH).print(found)
    said = f"CPU time of a step in us, of the evaluation of 10,000 images in ms; medians of {rounds} rounds"
    screens.say_wrapped("; ".join([f"{said} (range)", *(f"{key} {value}" for key, value in machine.items())]), "dim")


def _cells(row: "benchmark.Row") -> list[str]:
    shape = f"{row.batch_size}, {row.depth}, {row.width or '-'}"
    ours = statistics.median(row.seconds["cpu"])
    name, taken = (
        (shape, f"{1e6 * ours:.1f}") if row.what == "step" else (f"{row.what}, {shape}", f"{1e3 * ours:.1f} ms")
    )
    ratios = [row.ratios(side) for side in ("reference", "notebook")]
    shown = [f"{statistics.median(each):.1f} ({each[0]:.1f}-{each[-1]:.1f})" for each in ratios]
    return [name, taken, *shown, f"{row.gflops:.0f}", f"{100 * row.share_of_peak:.0f} %"]


def _as_json(row: "benchmark.Row") -> dict[str, Any]:
    ratios = {f"x_{side}": [round(ratio, 3) for ratio in row.ratios(side)] for side in ("reference", "notebook")}
    figures = {"gflops": round(row.gflops, 2), "share_of_peak": round(row.share_of_peak, 4)}
    shape = {"what": row.what, "batch_size": row.batch_size, "depth": row.depth, "width": row.width}
    return {**shape, "seconds": row.seconds, **ratios, **figures}
