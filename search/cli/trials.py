"""Commands that take a study's trials away as they are: export-trials."""

import pathlib

import click

from search import api, screens, words
from search.cli import jsons
from search.cli.options import common, json_option, study_argument

FILE = click.Path(path_type=pathlib.Path)
METAVAR = "FILE.csv|.json|.jsonl|.parquet"


@click.command()
@study_argument
@click.option("--to", "path", type=FILE, metavar=METAVAR, required=True, help="The file; its ending says the format.")
@click.option("--curves", type=FILE, metavar=METAVAR, help="The values that trials reported too: a row for each step.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@json_option
@common
def export_trials(
    name: str, path: pathlib.Path, curves: pathlib.Path | None, force: bool, as_json: bool, storage: str
) -> None:
    """Writes all trials of a study, any Optuna study's too, as a table or as JSON, workers or not.

    A row is a trial: its state, value, parameters, times, worker, reason, seed and attributes. `search import` reads
    all four formats. Parquet needs pyarrow, which the extra [parquet] brings.

    \b
    Example:
      search export-trials lab --to lab.csv
      search export-trials lab --to trials.jsonl
      search export-trials lab --to lab.parquet --curves curves.parquet
    """
    with screens.bar("writing") as on_trials:
        found = api.export_trials(name, path, curves=curves, force=force, storage=storage, on_trials=on_trials)
    if as_json:
        jsons.say(found.as_json())
        return
    screens.say(
        f"{words.plural(found.rows, 'trial')} of study {found.study!r} written to {found.file}, "
        f"{words.plural(len(found.columns), 'column')}: docs/exports.md"
    )
    if found.curves is not None:
        screens.say(f"{words.plural(found.points or 0, 'value')} of their curves written to {found.curves}")
