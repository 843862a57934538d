"""The command for files that trials have kept: artifacts."""

import pathlib

import click

from search import api, screens, words
from search.cli import answers, jsons, layouts
from search.cli.options import common, json_option, store_option, study_argument


@click.command()
@study_argument
@click.argument("number", type=click.IntRange(min=0), required=False)
@click.option(
    "--output",
    type=click.Path(path_type=pathlib.Path, file_okay=False),
    help="Folder to write them to, as NUMBER/NAME; what is there is never written over.",
)
@store_option
@json_option
@common
def artifacts(
    name: str, number: int | None, output: pathlib.Path | None, store: str | None, as_json: bool, storage: str
) -> int:
    """Lists files that trials have kept, or writes them to a folder.

    Of all trials of a study, or of trial NUMBER.

    \b
    Example:
      search artifacts mine
      search artifacts mine 0 --output kept
    """
    with screens.bar("fetching") as on_bytes:
        found = api.artifacts(name, number, output=output, store=store, storage=storage, on_bytes=on_bytes)
    missing = [row for row in found if output is not None and row["file"] is None]
    if as_json:
        jsons.say(found)
        return 1 if missing else 0
    whose = f"study {name!r}" if number is None else f"trial {number} of study {name!r}"
    if not found:
        screens.say(f"{whose} has kept no files; `trial.artifact(path)` keeps one")
    elif output is None:
        columns = [
            layouts.Column("#", [str(row["trial"]) for row in found]),
            layouts.Column("bytes", ["" if row["size"] is None else f"{row['size']:,}" for row in found]),
            layouts.Column("name", [row["name"] for row in found], right=False),
            layouts.Column("id", [row["id"] for row in found], right=False, rank=layouts.Rank.OURS),
        ]
        shown = layouts.lay_out(columns, screens.room(screens.out), rule=screens.rule())
        answers.print_table(shown, whole=f"search artifacts {words.typed(name)}")
    else:
        screens.say(f"{words.plural(len(found) - len(missing), 'file')} of {whose} written to {output}")
    for row in missing:
        screens.say(f"trial {row['trial']}: {row['name']!r} is not in the store any more", where=screens.err)
    return 1 if missing else 0
