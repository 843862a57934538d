"""Commands that carry a study from one storage to another: backup, restore."""

import pathlib

import click

from search import screens, words
from search.cli import answers, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import backups, listings, studies, summaries
from search.storage import databases


@click.command()
@study_argument
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@json_option
@common
def backup(name: str, file: pathlib.Path, as_json: bool, storage: str) -> None:
    """Writes a study into a new FILE, as it is now, workers or not. Any Optuna tool opens it as sqlite:///FILE.

    \b
    Example:
      search backup lab lab-monday.db
    """
    database = databases.open_to_read(storage)
    study = studies.load(database, name)
    with screens.bar("writing") as on_trials, listings.named(study.name):
        backups.write(database, study, file, on_trials)
    if as_json:
        jsons.say({"study": study.name, "file": file})
        return
    screens.say(
        f"study {study.name!r} written to {file}; `search restore {words.typed(str(file))}` puts it into a storage"
    )


@click.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@json_option
@common
def restore(file: pathlib.Path, as_json: bool, storage: str) -> None:
    """Puts the study of a backup FILE into the storage, SQLite or Postgres, under its name.

    \b
    Example:
      search restore lab-monday.db --storage postgresql://user@host/search
    """
    database = databases.Database(storage, databases.OPEN_SECONDS)
    with screens.bar("reading") as on_trials:
        study = backups.read(database, file, on_trials)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say(answers.as_json(database, summary))
        return
    screens.say(
        f"study {study.name!r} restored: {answers.counts(summary)}; `search run {words.typed(study.name)}` goes on"
    )
