"""Commands that look at studies and change nothing: status, list, replay, dashboard."""

import contextlib
import logging
import pathlib

import click

from search import errors, events, files, lines, screens
from search.cli import answers, completions, jsons, others, tables
from search.cli.options import common, json_option, log, log_as, log_format_option, store_option
from search.ledger import causes, efficiencies, listings, outsiders, rosters, sentences, studies, summaries
from search.storage import addresses, databases
from search.study import judgements


@click.command()
@click.argument("name", metavar="[STUDY]", required=False, shell_complete=completions.studies)
@click.option("--all", "every", is_flag=True, help="Every trial, where else the best, the last and the running stand.")
@json_option
@common
def status(name: str | None, every: bool, as_json: bool, storage: str) -> None:
    """Shows a study's workers, cost, best and last trials; without a name, every study's.

    \b
    Example:
      search status lab
      search status lab --all
      search status lab --json
    """
    database = databases.open_to_read(storage)
    named = None if name is None else listings.one(database, studies.load_stored(database, name))
    found = listings.read(database) if named is None else [named]
    if as_json:
        answered = [answers.each_as_json(database, each) for each in found]
        jsons.say(answered if name is None else answered[0])
        return
    if not found:
        screens.say(f"no study in {addresses.hide_password(database.url)}; `search run lab` makes one")
    for each in found:
        if isinstance(each, listings.Unreadable):
            screens.say(lines.cut(each.reason))
            continue
        try:
            _show(database, each, every)
        except errors.InputError as error:
            if named is not None:
                raise
            screens.say(lines.cut(str(error)))


def _show(database: databases.Database, found: listings.Readable, every: bool) -> None:
    """A study's trials and what is to be known of it.

    Raises:
        errors.InputError: a trial cannot be read.
    """
    if isinstance(found, outsiders.Outsider):
        others.show(database, found, every)
        return
    summary = answers.as_far_as_shown(database, found, every)
    screens.say(f"{summary.study.name}: {answers.counts(summary)}", "bold")
    crew, ended = rosters.read(database, summary.study.study_id), causes.count(database, summary)
    efficiency = sentences.efficiency(efficiencies.read(database, summary))
    told = answers.undelivered(database, summary)
    answers.print_trials(summary, *sentences.situation(summary, crew, ended), *efficiency, *told)


@click.command(name="list")
@json_option
@common
def list_studies(as_json: bool, storage: str) -> None:
    """Lists the studies of the storage.

    \b
    Example:
      search list
      search list --json
    """
    database = databases.open_to_read(storage)
    found = listings.read(database, brief=not as_json)
    if as_json:
        jsons.say([answers.each_as_json(database, each) for each in found])
    elif found:
        answers.print_table(tables.of_studies(found, screens.room(screens.out)), whole="search list")
        for each in found:
            if isinstance(each, listings.Unreadable):
                screens.say(lines.cut(each.reason))
        if chosen := judgements.all_chosen_on_test(
            [each.study.spec for each in found if isinstance(each, summaries.Summary) and each.best is not None]
        ):
            screens.say_wrapped(chosen, "dim")
    else:
        screens.say(f"no study in {addresses.hide_password(database.url)}; `search run lab` makes one")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option(
    "--host-name",
    "host_names",
    envvar="SEARCH_DASHBOARD_HOSTS",
    multiple=True,
    metavar="NAME",
    help="Name under which browsers reach it from elsewhere; any number; * for any.",
)
@click.option(
    "--sub-path",
    envvar="SEARCH_DASHBOARD_SUB_PATH",
    default="",
    metavar="PATH",
    help="Path below which a proxy serves it, as /hpo.",
)
@click.option(
    "--password-hash-file",
    envvar="SEARCH_DASHBOARD_PASSWORD_HASH_FILE",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="File with the hash of the password that opens writing; without it nothing can be written.",
)
@click.option("--read-only", is_flag=True, help="Nothing can be written, with the password neither.")
@store_option
@log_format_option
@click.option("--hash-password", is_flag=True, help="Ask for a password, print its hash, and end.")
@common
def dashboard(
    host: str,
    port: int,
    host_names: tuple[str, ...],
    sub_path: str,
    password_hash_file: pathlib.Path | None,
    read_only: bool,
    store: str | None,
    log_format: str,
    hash_password: bool,
    storage: str,
) -> int:
    """Serves optuna-dashboard on all studies, for reading; /metrics for Prometheus, /healthz.

    \b
    Example:
      search dashboard
      search dashboard --port 9000
      search dashboard --read-only
      search dashboard --sub-path /hpo --host-name lab.example
      search dashboard --hash-password > dashboard-password-hash
    """
    # plots and a web server: `search status` must not wait for them
    from search.dashboard import passwords, places
    from search.dashboard import servers as door
    from search.worker import notifiers

    if hash_password:
        click.echo(
            passwords.hash_password(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
        )
        return 0
    below, password_hash = places.sub_path(sub_path), None
    if password_hash_file is not None and not read_only:
        secret = files.read_secret(password_hash_file, "--password-hash-file")
        password_hash = passwords.check_hash(secret, f"--password-hash-file {password_hash_file}")
    log_as(log_format, logging.WARNING)
    log("%(message)s", logging.WARNING)
    # with a password too: a database without studies of ours is only read
    database = databases.open_to_read(storage) if password_hash is None else databases.open_existing(storage)
    writing = "reading only" if database.only_reads else "writing with the password"
    served = door.Door(database, host_names, password_hash, below, store)
    with contextlib.nullcontext() if read_only else notifiers.Notifier(database, parts=False):
        return door.serve(served, host, port, lambda address: _say_where(address, database.url, writing))


def _say_where(address: str, storage: str, how: str) -> None:
    """On stdout, where a program waits for it."""
    storage = addresses.hide_password(storage)
    if events.is_on():
        jsons.say(events.event("event=listening address=%s storage=%s how=%r", address, storage, how))
    else:
        screens.say(f"dashboard of {storage} at {address} ({how})")
