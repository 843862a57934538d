"""Commands for a study as a whole: delete, rename, copy."""

import contextlib
import sys

import click

from search import errors, screens
from search.cli import answers, completions, jsons
from search.cli.options import common, json_option, store_option, study_argument
from search.ledger import belongings, copies, lives, studies, summaries
from search.storage import addresses, databases

new_argument = click.argument("new", metavar="NEW")


@click.command()
@study_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@store_option
@json_option
@common
def delete(name: str, yes: bool, store: str | None, as_json: bool, storage: str) -> int:
    """Deletes a study with all its trials, once it says how much that is and you agree.

    While workers are at it nothing is deleted, with --yes neither: `search stop STUDY --now` ends them.

    \b
    Example:
      search delete lab
      search delete lab --yes
    """
    database = databases.open_existing(storage, foreign=True)
    study = studies.load_stored(database, name)
    content = lives.content(database, study)
    lost = content.sentence()
    if not yes:
        if not sys.stdin.isatty():
            raise errors.InputError(f"delete takes --yes where nobody can be asked: study {study.name!r} has {lost}")
        if not click.confirm(f"Delete study {study.name!r} with {lost}?", err=as_json):
            screens.say(f"study {study.name!r} is kept", where=screens.err if as_json else screens.out)
            return 1
    left = belongings.delete(database, study, store)
    for each in left:
        screens.say(f"left in the store: {each}", where=screens.err)
    if as_json:
        found = {"trials": content.trials, "training_seconds": round(content.seconds, 3), "left": left}
        jsons.say({"study": study.name, **found})
        return 0
    screens.say(f"study {study.name!r} deleted: {lost}")
    return 0


@click.command()
@study_argument
@new_argument
@json_option
@common
def rename(name: str, new: str, as_json: bool, storage: str) -> None:
    """Gives a study another name; trials, budget and settings stay. Not while workers are at it.

    \b
    Example:
      search rename lab lab-monday
    """
    database = databases.open_existing(storage, foreign=True)
    study, new = studies.load_stored(database, name), lives.check_name(new)
    lives.rename(database, study, new)
    if as_json:
        jsons.say({"study": study.name, "name": new})
        return
    more = ""
    with contextlib.suppress(errors.InputError):  # another tool's, or of another version
        more = f"; {study.read().spec.named(new).again} goes on"
    screens.say(f"study {study.name!r} is {new!r} now{more}")


@click.command()
@study_argument
@new_argument
@click.option(
    "--to", "target", metavar="URL", help="Another storage.  [default: the same]", shell_complete=completions.storages
)
@store_option
@json_option
@common
def copy(name: str, new: str, target: str | None, store: str | None, as_json: bool, storage: str) -> None:
    """Copies a study under a new name, here or to another storage. Not while workers are at it.

    What ran waits in the copy. Of a copy that another tool made, it makes one with a budget, that workers take up.

    \b
    Example:
      search copy lab lab-2
      search copy lab lab --to postgresql://user@host/search
    """
    database = databases.open_existing(storage, foreign=True)
    study = studies.load_stored(database, name)
    other = None if target is None else databases.Database(addresses.check_url(target), databases.OPEN_SECONDS)
    with screens.bar("copying") as on_trials:
        copied = copies.copy(database, study, new, other, on_trials)
    with screens.bar("copying files") as on_files:
        moved = belongings.copy(database, study, other or database, copied, store, on_files)
    for each in moved.missing:
        screens.say(f"not in the store any more, and not copied: {each}", where=screens.err)
    summary = summaries.summary(other or database, copied)
    if as_json:
        jsons.say({"study": study.name, **answers.as_json(other or database, summary)})
        return
    where = "" if other is None else f" in {addresses.hide_password(other.url)}"
    screens.say(f"study {study.name!r} copied to {copied.name!r}{where}: {answers.counts(summary)}")
