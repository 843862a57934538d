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
    from models.limits import Limits

WIDTH = 200  # a Markdown table has no line breaks in its cells, whatever the terminal


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Interleaved rounds a row.")
@worker_options("data_dir", "device")
@json_option
@debug_option
def bench(rounds: int, settings: Settings, as_json: bool) -> None:
    """Measures a training step of our engine beside plain PyTorch and the lab's notebook loop.

    On one core: medians of CPU time, ratios with their range over the rounds; about four minutes. The limit is what the
    core takes at least, for the products at its fastest or for the bytes from its caches, both measured in the same
    rounds. JAX is one more column where it is installed. On a GPU: wall time of one network alone, and of as many as it
    has places for. Leave the machine alone meanwhile.

    \b
    Example:
      search bench
      search bench --rounds 9 --json
      search bench --device cuda
    """
    from models import engines  # imports Numba

    device = engines.check_device(settings.training_device)
    head, rows, said = (_cpu if device == "cpu" else _device)(settings, rounds, device)
    if as_json:
        jsons.say({**head, "rounds": rounds, "rows": [row_as_json for row_as_json, _ in rows]})
        return
    found = table.Table(*rows[0][1], box=box.MARKDOWN)
    for _, cells in rows:
        found.add_row(*cells.values())
    screens.make(columns=WIDTH).print(found)
    screens.say_wrapped("; ".join([said, *(f"{key} {value}" for key, value in head["machine"].items())]), "dim")


Rows = list[tuple[dict[str, Any], dict[str, str]]]  # as JSON, and as cells


def _cpu(settings: Settings, rounds: int, device: str) -> tuple[dict[str, Any], Rows, str]:
    from models import benchmark, jax_scan  # torch and torchvision take seconds to import

    if jax_scan.version() is None:
        screens.say_wrapped(f"JAX is not measured, it is not installed: `{jax_scan.EXTRA}`", "dim", screens.err)
    with _bar((rounds + 1) * (len(benchmark.SHAPES) + 1)) as advance:
        found = list(benchmark.measure(settings.data_dir, rounds, advance))
    limits = benchmark.fastest(found)
    said = f"CPU time of a step in us, of the evaluation of 10,000 images in ms; medians of {rounds} rounds (range)"
    rows = [(_as_json(row, limits), _cells(row, limits)) for row in found]
    as_json = {"fma": limits.fma, "reads": limits.reads, "sizes": limits.sizes}
    return {"machine": benchmark.machine(), "limits": as_json}, rows, f"{said}; {_said(limits)}"


def _said(limits: "Limits") -> str:
    """The core's own figures."""
    sizes = {name: f"{name} of {size >> 10:,} KB" for name, size in limits.sizes.items()}
    reads = [f"{speed / 1e9:.0f} GB/s from {sizes.get(name, name)}" for name, speed in limits.reads.items()]
    return f"a core's limits: FMA {limits.fma / 1e9:.0f} GF/s, reads {', '.join(reads)}"


def _device(settings: Settings, rounds: int, device: str) -> tuple[dict[str, Any], Rows, str]:
    from models import benchmark, data, device_benchmarks, engines, notebook
    from models.engines import cuda

    ours = cuda.Cuda(device)
    sides = (ours, engines.load("reference", device), ours.gpu.blocks, data.fashion_mnist_bytes(settings.data_dir))
    shapes = device_benchmarks.SHAPES
    with notebook.torchvision_layout(settings.data_dir) as folder, _bar((rounds + 1) * len(shapes)) as advance:
        found = list(device_benchmarks.measure(*sides, rounds, advance, shapes, folder))
    said = f"wall time of a step in us; medians of {rounds} rounds"
    rows = [(_device_as_json(row), _device_cells(row)) for row in found]
    return {"machine": {"device": ours.identity, **benchmark.machine()}}, rows, said


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    columns = [progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeRemainingColumn()]
    with progress.Progress(
        *columns, console=screens.err, transient=True, disable=not screens.is_live(screens.err)
    ) as bar:
        task = bar.add_task("measuring", total=total)
        yield lambda: bar.advance(task)


def _cells(row: "benchmark.Row", limits: "Limits") -> dict[str, str]:
    shape = f"{row.batch_size}, {row.depth}, {row.width or '-'}"
    scale, unit = (1e6, "") if row.what == "step" else (1e3, " ms")
    cells = {
        "batch, depth, width": shape if row.what == "step" else f"{row.what}, {shape}",
        "ours": f"{scale * statistics.median(row.seconds['cpu']):.1f}{unit}",
    }
    found = row.bf16_speedup
    cells["faster in bf16"] = f"{statistics.median(found):.2f} ({found[0]:.2f}-{found[-1]:.2f})" if found else "-"
    for side in row.others:
        ratios = row.ratios(side)
        cells[f"x {side}"] = f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f})"
    cells["GF/s"] = f"{row.gflops:.0f}"
    cells["limit"] = f"{scale * row.limit(limits):.1f}{unit}"
    return {**cells, "of the limit": f"{100 * row.share(limits):.0f} %"}


def _as_json(row: "benchmark.Row", limits: "Limits") -> dict[str, Any]:
    ratios = {f"x_{side}": [round(ratio, 3) for ratio in row.ratios(side)] for side in row.others}
    ratios["bf16_speedup"] = [round(ratio, 3) for ratio in row.bf16_speedup]
    figures = {
        "gflops": round(row.gflops, 2),
        "limit_seconds": row.limit(limits),
        "share_of_limit": round(row.share(limits), 4),
    }
    shape = {"what": row.what, "batch_size": row.batch_size, "depth": row.depth, "width": row.width}
    return {**shape, "seconds": row.seconds, **ratios, **figures}


def _device_cells(row: "device_benchmarks.Row") -> dict[str, str]:
    team, seconds = row.fastest_team
    return {
        "batch, depth, width": f"{row.batch_size}, {row.depth}, {row.width or '-'}",
        "alone": f"{1e6 * statistics.median(row.alone):.1f}",
        "x reference": f"{row.x_reference:.1f}",
        "x notebook": "-" if row.x_notebook is None else f"{row.x_notebook:.1f}",
        "fastest team": f"{team}: {1e6 * seconds:.1f}",
        f"a network of {row.together}": f"{1e6 * statistics.median(row.shared):.2f}",
        "x alone": f"{row.x_alone:.1f}",
        "of the limit": "-" if row.share_of_limit is None else f"{100 * row.share_of_limit:.0f} %",
    }


def _device_as_json(row: "device_benchmarks.Row") -> dict[str, Any]:
    shape = {"what": "step", "batch_size": row.batch_size, "depth": row.depth, "width": row.width}
    seconds = {"alone": row.alone, "reference": row.reference, "notebook": row.notebook, "shared": row.shared}
    seconds |= {f"team of {team}": each for team, each in row.teams.items()}
    return {**shape, "together": row.together, "seconds": seconds, "share_of_limit": row.share_of_limit}
