"""The command that lets a study follow its edited file."""

import click

from search import errors, screens, words
from search.cli import answers, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import amendments, rosters, studies, summaries
from search.storage import databases
from search.study import specs
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
    spec = specs.load(specs.path_of(name))
    database = databases.open_existing(storage)
    known = studies.find_same(database, spec)
    if known is None:
        raise errors.StudyNotFound(f"no study {spec.name!r} to amend; `search create {words.typed(name)}` makes it")
    study, _ = known
    found = amendments.amend(database, study, spec)
    if any(change.section in KEPT_BY_WORKERS for change in found) and rosters.read(database, study.study_id).members:
        progress.note("workers that run keep the sampler and the pruning that they began with")
    summary = summaries.summary(database, studies.load(database, spec.name))
    if as_json:
        jsons.say({**answers.as_json(database, summary), "amended": [change.place for change in found]})
        return
    for change in found:
        screens.say(change.told)
    if not found:
        screens.say(f"study {spec.name!r} follows its file already")
    screens.say(answers.how_far(database, summary))
