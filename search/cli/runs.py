"""Commands that start work on a study: run, create, fetch, work."""

import logging
import pathlib
import threading
from typing import Any

import click

from search import api, screens, words
from search.api.studies import check_which, supervise
from search.cli import answers, completions, jsons
from search.cli.options import common, debug_option, json_option, log, study_argument, training_options, worker_options
from search.ledger import listings, studies, summaries, warm_starts
from search.storage import addresses, databases
from search.study import names, specs
from search.worker import addressees, farewells, gates, platforms, progress, requirements, restarts, signals
from search.worker.settings import Settings


@click.command()
@study_argument
@worker_options()
@json_option
@common
def run(name: str, settings: Settings, as_json: bool, storage: str) -> None:
    """Creates or resumes a study and works on it here until it is finished.

    Ctrl-C hands the running trials over and ends; a second Ctrl-C ends at once. Either way the next run goes on.

    \b
    Example:
      search run lab
      search run studies/lab.toml --workers 4 --device cuda
    """
    worked = supervise(name, storage=storage, **dict(settings))
    summary = summaries.summary(worked.database, worked.study)
    if as_json:
        jsons.say(answers.as_json(worked.database, summary))
    elif summary.total:
        summary = answers.as_far_as_shown(worked.database, summary)
        (answers.print_end if worked.end.is_well else answers.print_trials)(summary)
    worked.end.check()


@click.command()
@study_argument
@click.option("--exist-ok", is_flag=True, help="Leave a study alone that is there already with these settings.")
@json_option
@common
def create(name: str, exist_ok: bool, as_json: bool, storage: str) -> None:
    """Creates a study from its file, for workers to come.

    \b
    Example:
      search create lab
      search create lab --exist-ok
      search create studies/lab.toml --storage postgresql://user@host/search
    """
    spec = specs.load(specs.path_of(name))
    addressees.check(spec.notify)
    database = databases.Database(storage, databases.OPEN_SECONDS)
    known = studies.find_same(database, spec) if exist_ok else None
    with screens.bar("importing") as on_trials:
        study, notes = known or warm_starts.create(database, spec, on_trials)
    for note in notes:
        progress.note(note)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say(answers.as_json(database, summary))
    elif known is not None:
        screens.say(f"study {study.name!r} is there: {answers.counts(summary)}")
    else:
        size = spec.space.size
        screens.say(
            f"study {study.name!r} created: {words.plural(spec.budget.trials, 'trial')} over "
            f"{'a continuous space' if size is None else f'{size:,} configurations'}, {len(spec.enqueue)} enqueued; "
            f"start workers with `search work {words.typed(study.name)}`"
        )


@click.command()
@study_argument
@worker_options("data_dir")
@json_option
@debug_option
def fetch(name: str, settings: Settings, as_json: bool) -> None:
    """Puts what a study trains on into the data folder, for workers that reach no network; needs no database.

    \b
    Example:
      search fetch lab --data-dir /data
    """
    spec = specs.load(specs.path_of(name))
    found = requirements.find_data(spec, settings)
    if as_json:
        jsons.say({"study": spec.name, "data": found})
        return
    screens.say(f"study {spec.name!r}: {found}")


@click.command()
@click.argument("name", metavar="[STUDY]", required=False, shell_complete=completions.studies)
@click.option("--any", "any_", is_flag=True, help="Work on any study of the storage, each in its turn.")
@click.option(
    "--match", multiple=True, metavar="PATTERN", help="Of these only studies whose name fits; may be repeated."
)
@click.option("--stay", is_flag=True, help="Wait for an extension when the study is finished; with --any, for studies.")
@click.option("--restart", is_flag=True, help="Start the worker again whenever it was killed or failed, within reason.")
@click.option("--parent", type=int, hidden=True)
@click.option("--judged", is_flag=True, hidden=True)
@click.option(
    "--health-file",
    envvar="SEARCH_HEALTH_FILE",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="File to touch with every beat, for a container's health check.",
)
@training_options
@json_option
@common
def work(
    name: str | None,
    any_: bool,
    match: tuple[str, ...],
    stay: bool,
    restart: bool,
    parent: int | None,
    judged: bool,
    health_file: pathlib.Path | None,
    settings: Settings,
    as_json: bool,
    storage: str,
) -> int:
    """Works on a study, as one process, until it is finished. Any number may join and leave at any time.

    With --any it takes the next trial of any study that has one, each in its turn, until none has. SIGTERM or Ctrl-C
    hands the running trials over and ends. With --restart a small process watches over the worker: one that ends five
    times in a row within a minute of its start is given up.

    \b
    Example:
      search work lab
      search work lab --stay --restart --device cuda
      search work lab --slots 4
      search work --any --match "lab*" --match depth
      search work --any --stay --device cuda
    """
    gates.come_through(requirements.load)
    check_which(name, any_, match)
    if restart:
        platforms.check("work")
        which = ["--any", *(word for pattern in match for word in ("--match", pattern))] if name is None else [name]
        words = [*settings.arguments(*which), *(["--stay"] if stay else []), *(["--json"] if as_json else [])]
        words += ["--health-file", str(health_file)] if health_file else []
        restarts.become(words, _address_as_given())
    log("%(asctime)s %(message)s", logging.INFO)
    stop = threading.Event()
    interrupted = signals.stop_on(stop)
    life: dict[str, Any] = {"stay": stay, "stop": stop, "parent": parent, "judged": judged, "health_file": health_file}
    try:
        api.work(name, any=any_, match=match, storage=storage, **life, **dict(settings))
    finally:
        farewells.say()
    if as_json:
        _say(name, match, storage)
    return 130 if interrupted.is_set() else 0


def _say(name: str | None, match: tuple[str, ...], storage: str) -> None:
    """The study, or a list of those that could be worked on."""
    database = databases.open_existing(storage)
    if name is not None:
        jsons.say(answers.as_json(database, summaries.summary(database, studies.load(database, name))))
        return
    found = [answers.each_as_json(database, each) for each in listings.read(database, foreign=False)]
    jsons.say([each for each in found if names.matches(each["name"], match)])


def _address_as_given() -> dict[str, str]:
    """The variables that say where the database is: a password stays in its file, an environment can be looked at."""
    given = click.get_current_context().params
    variables = {addresses.VARIABLE: given["storage"], addresses.PASSWORD_VARIABLE: given["password_file"]}
    return {name: str(value) for name, value in variables.items() if value is not None}
