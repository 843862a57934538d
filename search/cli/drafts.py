"""The command that writes a study file for an objective."""

import pathlib

import click

from search import screens, words
from search.api import drafts
from search.cli import jsons
from search.cli.options import debug_option, json_option


@click.command()
@click.argument("target", metavar="OBJECTIVE")
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="The file to write.  [default: beside the module]",
)
@click.option("--name", help="Of the study.  [default: that of the file]")
@click.option("--direction", type=click.Choice(["maximize", "minimize"]), help="Of the study.  [default: the script's]")
@click.option("--metric", help="What its values are called.")
@click.option("--trials", type=click.IntRange(min=1), help="The budget.  [default: the script's, or 20]")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=drafts.SECONDS,
    show_default=True,
    help="For all runs of the objective together.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@debug_option
def init(
    target: str,
    output: pathlib.Path | None,
    name: str | None,
    direction: str | None,
    metric: str | None,
    trials: int | None,
    seconds: float,
    force: bool,
    as_json: bool,
) -> None:
    """Writes the study file of an Optuna objective, from what runs of it suggest.

    It is run with several values, in a process of its own, and really: what it writes, it writes. A run ends where the
    objective asks whether it should be pruned, at its end, or when the time is over.

    \b
    Example:
      search init train.py:objective
      search init train.py:objective --direction minimize --metric loss --output study.toml
    """
    given = {"output": output, "name": name, "direction": direction, "metric": metric, "trials": trials}
    with screens.spinner(f"recording {target} ..."):
        draft = drafts.init(target, seconds=seconds, force=force, **given)  # type: ignore[arg-type]
    spec = draft.spec
    if as_json:
        found = {"study": spec.name, "file": str(draft.path), "objective": spec.objective, "recordings": draft.recorded}
        jsons.say({**found, "parameters": [each.name for each in spec.space.parameters], "notes": list(draft.notes)})
        return
    for note in draft.notes:
        screens.say(note)
    conditional = sum(each.when is not None for each in spec.space.parameters)
    some = f", {conditional} of them only beside others" if conditional else ""
    screens.say(
        f"{draft.path}: {words.plural(len(spec.space.parameters), 'parameter')}{some}, "
        f"found in {words.plural(draft.recorded, 'run')}; {spec.study.direction}s"
    )
    screens.say(f"look it over, then{there(draft.path)} `search run {words.typed(draft.path.name)}`")


def there(path: pathlib.Path) -> str:
    """Where to type what runs a file: workers import the module from the folder where they start."""
    folder = path.parent
    return "" if folder.resolve() == pathlib.Path.cwd() else f" in {folder}:"
