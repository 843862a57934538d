"""The command that takes results to the tools of a team."""

import logging
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from search import api, errors, screens, words
from search.api import publications
from search.cli import jsons
from search.cli.options import common, json_option, log, log_as, log_format_option, study_argument
from search.study import destinations
from search.worker import signals

if TYPE_CHECKING:
    from search.exports.publications import Published


@click.command()
@study_argument
@click.option(
    "--to",
    "places",
    multiple=True,
    metavar="PLACE",
    help=f"{destinations.FORMS}; may be repeated.  [default: what [publish] of the study file says]",
)
@click.option("--follow", is_flag=True, help="Go on, with what changes, until the study has ended.")
@click.option("--attached", is_flag=True, hidden=True)  # to a worker, by stdin
@log_format_option
@json_option
@common
def publish(
    name: str, places: tuple[str, ...], follow: bool, attached: bool, log_format: str, as_json: bool, storage: str
) -> int:
    """Brings a study in MLflow, TensorBoard or Weights & Biases to what it is now, each trial once.

    A trial that is there already is updated where it has changed. Of Weights & Biases it writes offline runs, which
    `wandb sync` uploads.

    \b
    Example:
      search publish lab --to mlflow:http://127.0.0.1:5000
      search publish lab --to tensorboard:runs/tensorboard --to wandb:runs
      search publish lab --to tensorboard:runs/tensorboard --follow
    """
    log_as(log_format)
    if follow or attached:
        if as_json:
            raise errors.InputError("--json must not stand beside --follow, which goes on while there is more")
        log("%(asctime)s %(message)s", logging.INFO)
        stop = threading.Event()
        interrupted = signals.stop_on(stop)
        if attached:
            threading.Thread(target=_listen, args=(stop,), daemon=True).start()
        publications.follow(name, places, storage=storage, stop=stop, stays=attached)
        return 130 if interrupted.is_set() else 0
    try:
        with screens.bar("publishing") as on_trial:
            _print(api.publish(name, places, storage=storage, on_trial=on_trial), as_json)
    except errors.PublishFailed as failed:
        if failed.published:
            _print(failed.published, as_json)
        raise
    return 0


def _print(found: "Sequence[Published]", as_json: bool) -> None:
    if as_json:
        jsons.say([each.as_json() for each in found])
        return
    for each in found:
        counts = f"{each.new} new, {each.updated} updated, {each.unchanged} unchanged"
        left = f"; {words.plural(each.waiting, 'trial')} not begun" if each.waiting else ""
        screens.say(f"study {each.study!r} at {each.destination}: {counts}{left}")


def _listen(stop: threading.Event) -> None:
    """A byte, or the end of the worker, asks this process to end."""
    sys.stdin.buffer.read(1)
    stop.set()
