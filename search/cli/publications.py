"""The command that takes results to the tools of a team."""

import click

from search import api, screens, words
from search.cli import jsons
from search.cli.options import common, json_option, study_argument
from search.study import destinations


@click.command()
@study_argument
@click.option(
    "--to",
    "places",
    multiple=True,
    metavar="PLACE",
    help=f"{destinations.FORMS}; may be repeated.  [default: what [publish] of the study file says]",
)
@json_option
@common
def publish(name: str, places: tuple[str, ...], as_json: bool, storage: str) -> None:
    """Brings a study in MLflow, TensorBoard or Weights & Biases to what it is now, each trial once.

    A trial that is there already is updated where it has changed. Of Weights & Biases it writes offline runs, which
    `wandb sync` uploads.

    \b
    Example:
      search publish lab --to mlflow:http://127.0.0.1:5000
      search publish lab --to tensorboard:runs/tensorboard --to wandb:runs
    """
    with screens.bar("publishing") as on_trial:
        found = api.publish(name, places, storage=storage, on_trial=on_trial)
    if as_json:
        jsons.say([each.as_json() for each in found])
        return
    for each in found:
        counts = f"{each.new} new, {each.updated} updated, {each.unchanged} unchanged"
        left = f"; {words.plural(each.waiting, 'trial')} not begun" if each.waiting else ""
        screens.say(f"study {each.study!r} at {each.destination}: {counts}{left}")
