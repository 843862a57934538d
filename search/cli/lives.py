"""Commands for a study as a whole: delete, rename, copy."""

import sys

import click

from search import errors, screens
from search.cli import answers
from search.cli.options import common, study_argument
from search.ledger import copies, lives, studies, summaries
from search.storage import addresses, databases

new_argument = click.argument("new", metavar="NEW")


@click.command()
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def delete(name: str, yes: bool, storage: str) -> int:
    """Deletes a study with all its trials, once it says how much that is and you agree.

    While workers are at it nothing is deleted, with --yes neither: `search stop STUDY --now` ends them.

    \b
    Example:
      search delete lab
      search delete lab --yes
    """
    database = databases.open_existing(storage)
    study = studies.load_stored(database, name)
    lost = lives.content(database, study).sentence()
    if not yes:
        if not sys.stdin.isatty():
            raise errors.InputError(f"delete takes --yes where nobody can be asked: study {study.name!r} has {lost}")
        if not click.confirm(f"Delete study {study.name!r} with {lost}?"):
            screens.say(f"study {study.name!r} is kept")
            return 1
    lives.delete(database, study)
    screens.say(f"study {study.name!r} deleted: {lost}")
    return 0


@click.command()
@study_argument
@new_argument
@common
def rename(name: str, new: str, storage: str) -> None:
    """Gives a study another name; trials, budget and settings stay. Not while workers are at it.

    \b
    Example:
      search rename lab lab-monday
    """
    database = databases.open_existing(storage)
    study = studies.load_stored(database, name)
    lives.rename(database, study, new)
    more = f"; `search run {new}` goes on" if study.token is not None else ""
    screens.say(f"study {study.name!r} is {new!r} now{more}")


@click.command()
@study_argument
@new_argument
@click.option("--to", "target", metavar="URL", help="Another storage.  [default: the same]")
@common
def copy(name: str, new: str, target: str | None, storage: str) -> None:
    """Copies a study under a new name, here or to another storage. Not while workers are at it.

    What ran waits in the copy. Of a copy that another tool made, it makes one with a budget, that workers take up.

    \b
    Example:
      search copy lab lab-2
      search copy lab lab --to postgresql://user@host/search
    """
    database = databases.open_existing(storage)
    study = studies.load_stored(database, name)
    other = None if target is None else databases.Database(addresses.check_url(target), databases.OPEN_SECONDS)
    with screens.spinner("copying ..."):
        copied = copies.copy(database, study, new, other)
    summary = summaries.summary(other or database, copied)
    where = "" if other is None else f" in {addresses.hide_password(other.url)}"
    screens.say(f"study {study.name!r} copied to {new!r}{where}: {answers.counts(summary)}")
