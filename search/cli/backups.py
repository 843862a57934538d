"""Commands that carry a study from one storage to another: backup, restore."""

import pathlib

import click

from search import screens, words
from search.cli import answers, jsons
from search.cli.options import common, json_option, store_option, study_argument
from search.ledger import backups, bundles, listings, studies, summaries
from search.storage import databases, stores


@click.command()
@study_argument
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@click.option("--artifacts", "with_files", is_flag=True, help="The files of its trials too, as FILE.artifacts.tar.")
@store_option
@json_option
@common
def backup(name: str, file: pathlib.Path, with_files: bool, store: str | None, as_json: bool, storage: str) -> None:
    """Writes a study into a new FILE, as it is now, workers or not. Any Optuna tool opens it as sqlite:///FILE.

    \b
    Example:
      search backup lab lab-monday.db
      search backup mine mine-monday.db --artifacts
    """
    database = databases.open_to_read(storage)
    study = studies.load(database, name)
    if with_files:
        bundles.check_free(file)
    with screens.bar("writing") as on_trials, listings.named(study.name):
        backups.write(database, study, file, on_trials)
    count, more = None, ""
    if with_files:
        place = stores.Store(stores.location(study.spec.trial.store, database.url, store))
        with screens.bar("writing files") as on_files:
            moved = bundles.write(file, place, on_files)
        count, more = moved.files, f", with {words.plural(moved.files, 'file')} of its trials beside it"
        for each in moved.missing:
            screens.say(f"not in the store any more: {each}", where=screens.err)
    if as_json:
        jsons.say({"study": study.name, "file": file, "artifacts": count})
        return
    back = f"`search restore {words.typed(str(file))}` puts it into a storage"
    screens.say(f"study {study.name!r} written to {file}{more}; {back}")


@click.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@store_option
@json_option
@common
def restore(file: pathlib.Path, store: str | None, as_json: bool, storage: str) -> None:
    """Puts the study of a backup FILE into the storage, SQLite or Postgres, under its name.

    Files of its trials, in FILE.artifacts.tar, go into the store.

    \b
    Example:
      search restore lab-monday.db --storage postgresql://user@host/search
    """
    bundles.check_backup(file)  # before a storage is made for it
    database = databases.Database(storage, databases.OPEN_SECONDS)
    with screens.bar("reading") as on_more:
        study, moved = bundles.restore(database, file, store, on_more, on_more)
    for each in moved.missing:
        screens.say(f"not in {bundles.beside(file)}: {each}", where=screens.err)
    more = f", {words.plural(moved.files, 'file')} of its trials" if moved.files else ""
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say(answers.as_json(database, summary))
        return
    goes_on = f"{study.spec.again} goes on"
    screens.say(f"study {study.name!r} restored: {answers.counts(summary)}{more}; {goes_on}")
