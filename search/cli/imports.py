"""Commands that bring known results in: import, fork, adopt."""

import pathlib
from typing import Any

import click

from search import api, screens, words
from search.api import imports as verbs
from search.cli import answers, drafts, jsons
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
    """Brings the results of a FILE into a study: told apart, outside the budget, never trained again.

    It is what `search export-trials` writes, or a table with a column params_NAME for each parameter and one called
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


@click.command()
@study_argument
@click.option(
    "--objective", required=True, metavar="FILE.py:FUNCTION", help="What its trials ran, and those to come will."
)
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="The budget.  [default: 20 more than finished]")
@click.option("--metric", help="What its values are called.")
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="The file to write.  [default: NAME.toml beside the module]",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@common
def adopt(name: str, as_json: bool, storage: str, **how: Any) -> None:
    """Makes a study of plain Optuna's one of ours: writes its file, and goes on with it by exact counts.

    The file has the space that its trials were seen with. They stay as they are, and those that have finished count in
    the budget. A trial that a dead process has left running is put back by `search retry STUDY NUMBER`.

    \b
    Example:
      search adopt plain --objective train.py:objective
      search adopt plain --objective train.py:objective --trials 200
    """
    with screens.bar("adopting") as on_trials:
        found = verbs.adopted(name, storage=storage, on_trials=on_trials, **how)
    database, study = found.database, found.study
    summary = summaries.summary(database, study)
    if as_json:
        told = {"file": str(found.path), "running": list(found.running), "notes": list(found.notes)}
        jsons.say({**answers.as_json(database, summary), **told})
        return
    for note in found.notes:
        progress.note(note)
    if found.running:
        numbers = " ".join(map(str, found.running))
        progress.note(
            f"{words.plural(len(found.running), 'trial')} left running: where no process runs them any more, "
            f"`search retry {words.typed(study.name)} {numbers}` puts them back"
        )
    screens.say(f"study {study.name!r} adopted: {found.path}; {answers.counts(summary)}")
    run = f"`search run {words.typed(found.path.name)}` goes on"
    screens.say(f"look the file over, then{drafts.there(found.path)} {run}")
