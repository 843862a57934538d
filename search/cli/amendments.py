"""The command that lets a study follow its edited file."""

import click

from search import screens
from search.api import orders
from search.cli import answers, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import rosters, studies, summaries
from search.worker import progress

KEPT_BY_WORKERS = ("sampler", "pruning")


@click.command()
@study_argument
@json_option
@common
def amend(name: str, as_json: bool, storage: str) -> None:
    """Lets a study follow its edited file: budget, sampler, pruning and what is enqueued.

    Limits are set, lower ones too, where `search extend` adds to them. What defines a study, its space, its training
    and what it seeks, cannot change: give the file another name.

    \b
    Example:
      search amend lab
      search amend studies/lab.toml
    """
    database, study, found, notes = orders.follow(name, storage)
    if any(change.section in KEPT_BY_WORKERS for change in found) and rosters.read(database, study.study_id).members:
        progress.note("workers that run keep the sampler and the pruning that they began with")
    summary = summaries.summary(database, studies.load(database, study.name))
    if as_json:
        jsons.say({**answers.as_json(database, summary), "amended": [change.place for change in found]})
        return
    for change in found:
        screens.say(change.told)
    for note in notes:
        screens.say(note)
    if not found:
        screens.say(f"study {study.name!r} follows its file already")
    screens.say(answers.how_far(database, summary))
