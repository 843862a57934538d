"""Commands that bring known results in: import, fork, adopt."""

import pathlib

import click

from search import api, screens, words
from search.api import imports as verbs
from search.cli import answers, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import studies, summaries
from search.storage import databases
from search.worker import progress


@click.command("import")
@study_argument
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@json_option
@common
def import_(name: str, file: pathlib.Path, as_json: bool, storage: str) -> None:
    """Brings the results of FILE into a study: told apart, outside the budget, never trained again.

    FILE is what `search export-trials` writes, or a table with a column params_NAME for each parameter and one called
    value: .csv, .jsonl, .json or .parquet. Results that do not fit the space are left out and counted; so are
    configurations that a trial has already: the same file again changes nothing.

    \b
    Example:
      search import lab results.csv
      search import lab last-year.jsonl --json
    """
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    with screens.bar("importing") as on_trials:
        found = api.import_trials(name, file, storage=database, on_trials=on_trials)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say({**answers.as_json(database, summary), "import": found.as_json()})
        return
    for line in found.lines():
        screens.say(f"study {study.name!r}: {line}")
    screens.say(answers.how_far(database, summary))


@click.command()
@study_argument
@click.argument("new", metavar="NEW")
@click.option(
    "--changes",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    metavar="FILE",
    help="TOML: the keys of the study file that are to be others.",
)
@json_option
@common
def fork(name: str, new: str, changes: pathlib.Path | None, as_json: bool, storage: str) -> None:
    """Makes the study NEW from STUDY: its file with some keys changed, and its results, imported.

    FILE has the tables of a study file with what is to be another; a key with { none = true } goes. What still fits the
    space comes in, outside the budget; what does not is counted, with the reason.

    \b
    Example:
      search fork lab lab-2
      search fork lab lab-3 --changes changes.toml
    """
    database = databases.open_existing(storage)
    with screens.bar("importing") as on_trials:
        study, notes = verbs.forked(database, name, new, changes, on_trials)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say({**answers.as_json(database, summary), "notes": notes})
        return
    for note in notes:
        progress.note(note)
    screens.say(
        f"study {study.name!r} created: {answers.counts(summary)}; `search run {words.typed(study.name)}` works on it"
    )
