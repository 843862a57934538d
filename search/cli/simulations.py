"""The command that compares samplers and pruners on recorded trainings."""

import math
import pathlib
import re
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from search import screens, words
from search.api import simulations
from search.cli import answers, completions, jsons, layouts
from search.cli.options import debug_option, json_option

if TYPE_CHECKING:
    from search.simulations import findings

SEEDS = re.compile(r"(\d+)(?:-(\d+))?")
SEEDS_LIMIT = 100_000


class Seeds(click.ParamType[range]):
    """How many study seeds, from 0 on, or which: `30`, `0-29`."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """The seeds."""
        if isinstance(value, range):
            return value
        found = SEEDS.fullmatch(value)
        first, last = (0, 0) if not found else (int(found[1]), int(found[2] or 0))
        seeds = range(first, last + 1) if found and found[2] else range(first)
        if not 0 < len(seeds) <= SEEDS_LIMIT:
            self.fail(f"must be a number of seeds, or the first and the last, as in 0-29, got {value!r}", param, ctx)
        return seeds


def _choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what is compared."""
    many: dict[str, Any] = {"multiple": True, "metavar": "NAME[:OPTION=VALUE,...]"}
    for option in reversed(
        (
            click.option("--sampler", "samplers", **many, help="A sampler of ours; more than one may be given."),
            click.option(
                "--pruner",
                "pruners",
                **many,
                help="A pruner of ours, or none; each goes with each sampler.  [default: the study's]",
            ),
            click.option(
                "--plain",
                multiple=True,
                metavar="NAME[+PRUNER]",
                help="Plain Optuna by name, as in tpe, random or tpe+hyperband; the first one is tested against.",
            ),
        )
    ):
        command = option(command)
    return command


def _grounds(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say what is searched, and how long."""
    path = click.Path(path_type=pathlib.Path)
    for option in reversed(
        (
            click.option("--table", type=path, metavar="FILE", help="Recorded trainings.  [default: beside STUDY]"),
            click.option("--training-seed", type=click.IntRange(0), default=0, show_default=True, help="Of the table."),
            click.option(
                "--only",
                multiple=True,
                metavar="PARAMETER=VALUE,...",
                help="Trainings of these values alone, as if the table had no others.",
            ),
            click.option("--whole", is_flag=True, help="Search all values of a number, not the recorded alone."),
            click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Simulated ones."),
            click.option("--seeds", type=Seeds(), default="10", show_default=True, help="Study seeds, as 30 or 0-29."),
            click.option("--trials", type=click.IntRange(1), help="Of a search.  [default: the study's]"),
            click.option(
                "--seconds", type=click.FloatRange(0, min_open=True), help="CPU time after which no trial begins."
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("name", metavar="STUDY", shell_complete=completions.studies)
@_choices
@_grounds
@click.option(
    "--within",
    type=click.FloatRange(0),
    multiple=True,
    default=simulations.BARS,
    show_default=True,
    help="Distances to the best, in the metric's own measure.",
)
@click.option("--ask-time/--no-ask-time", "counts_asks", default=True, help="Count the sampler's own CPU time, or not.")
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path),
    metavar="FOLDER",
    help="Keeps runs, which are not run again, and draws regret over time.",
)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="Searches at once.")
@json_option
@debug_option
def simulate(name: str, as_json: bool, **options: Any) -> None:
    """Compares samplers and pruners on recorded trainings, in simulated time, beside plain Optuna.

    The claims, proposals, reports and pruners are those of real workers, on a database of their own; only training is
    read from a table (docs/simulation.md).

    \b
    Example:
      search simulate lab --sampler tpe --plain tpe --seconds 60 --seeds 3
      search simulate lab --pruner none --pruner median --plain random --trials 10 --seeds 0-2 --output compared
    """
    with screens.bar("searching") as on_run:
        found = simulations.simulate(name, on_run=on_run, **options)
    if as_json:
        jsons.say(found.as_json())
        return
    _print_ground(found.as_json())
    answers.print_table(_times(found), whole=f"search simulate {words.typed(name)}")
    screens.say("")
    answers.print_table(_ends(found), whole=f"search simulate {words.typed(name)}")
    for path in found.written:
        screens.say(f"picture: {path}")


def _print_ground(document: dict[str, Any]) -> None:
    share = document["recorded_share"]
    screens.say_wrapped(
        f"{document['configurations']:,} configurations, {100 * share:.0f} % of them recorded with this seed; the "
        f"model of the others is off by {_short(document['model_error'])}, of good ones by "
        f"{_short(document['model_error_good'])} (medians); best {words.metric(document['best'])}, expected "
        f"{words.metric(document['best_expected'])}"
    )
    for note in document["notes"]:
        screens.say_wrapped(note)


def _times(found: simulations.Simulation) -> layouts.Layout:
    """CPU seconds to each distance, a row for each method and measure."""
    rows = [(each.method, times) for each in found.methods for times in each.times]
    blank = [""] * len(found.random)
    random = [_seconds(mean) for mean in found.random.values()]

    def column(heading: str, cell: "Callable[[findings.Times], str]", more: list[str] = blank, **look: Any) -> Any:
        return layouts.Column(heading, [*(cell(times) for _, times in rows), *more], **look)

    names = [*(method for method, _ in rows), *["random search, closed form: mean"] * len(random)]
    columns = [
        layouts.Column("method", names, right=False, hangs=True),
        column("within", lambda times: f"{times.bar:g}", [f"{bar:g}" for bar in found.random]),
        column(
            "of", lambda times: "expected" if times.is_expected else "observed", ["observed"] * len(random), right=False
        ),
        column("median s", lambda times: _seconds(times.quantile(0.5)), random),
        column("25 %", lambda times: _seconds(times.quantile(0.25))),
        column("75 %", lambda times: _seconds(times.quantile(0.75))),
        column("90 %", lambda times: _seconds(times.quantile(0.9))),
        column("reached", lambda times: f"{100 * times.share:.0f} %"),
        column("p", lambda times: "" if times.p is None else f"{times.p:.2g}"),
    ]
    return layouts.lay_out(columns, screens.room(screens.out), rule=screens.rule())


def _ends(found: simulations.Simulation) -> layouts.Layout:
    """What each method came to at the end of its budget."""
    methods = found.methods
    sign = found.target.sign

    def worst_tenth(values: tuple[float, ...]) -> float:
        ordered = sorted(values, key=lambda value: -math.inf if math.isnan(value) else sign * value)
        return ordered[len(ordered) // 10]

    columns = [
        layouts.Column("method", [each.method for each in methods], right=False, hangs=True),
        layouts.Column("best", [words.metric(statistics.mean(each.best)) for each in methods]),
        layouts.Column("worst tenth", [words.metric(worst_tenth(each.best)) for each in methods]),
        layouts.Column("expected", [words.metric(statistics.mean(each.expected)) for each in methods]),
        layouts.Column("trials", [f"{statistics.mean(each.trials):.1f}" for each in methods]),
        layouts.Column("CPU s", [_seconds(statistics.mean(each.seconds)) for each in methods]),
        layouts.Column("on poor ones", [f"{100 * statistics.mean(each.poor):.0f} %" for each in methods]),
        layouts.Column("asks s", [_short(statistics.mean(each.asks)) for each in methods]),
    ]
    return layouts.lay_out(columns, screens.room(screens.out), rule=screens.rule())


def _seconds(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"


def _short(value: float) -> str:
    return f"{value:.2g}"
