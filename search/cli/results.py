"""Commands whose result is a finding: report, confirm, reproduce, replay."""

import pathlib
import time
from typing import TYPE_CHECKING

import click

from search import api, screens, words
from search.api import results
from search.cli import answers, completions, jsons, tables
from search.cli.options import common, json_option, study_argument, worker_options
from search.ledger import studies, summaries
from search.storage import databases
from search.worker import progress
from search.worker.settings import Settings

if TYPE_CHECKING:
    from search.reports import contents, reproductions

output_option = click.option(
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=pathlib.Path),
    help="Folder for report.html, report.md and figures/.",
)


@click.command()
@click.argument("names", metavar="STUDY...", nargs=-1, required=True, shell_complete=completions.studies)
@output_option
@click.option("--title", help="Title of the page.")
@json_option
@common
def report(names: tuple[str, ...], output: pathlib.Path, title: str | None, as_json: bool, storage: str) -> None:
    """Writes a report of studies: a page that needs no network, and the same as Markdown with pictures.

    A search that `search confirm` has confirmed shows that too.

    \b
    Example:
      search report lab
      search report depth width activation --output one-factor
    """
    with screens.spinner("drawing ..."):
        written = results.write_report(*names, output=output, title=title, storage=storage)
    _print_report(written, as_json)


def _print_report(written: "contents.Written", as_json: bool) -> None:
    for line in written.left_out:
        progress.note(f"left out: {line}")
    if as_json:
        found = [
            {"study": each.study, "claim": each.claim, "verdict": str(finding.verdict), "evidence": finding.evidence}
            for each, finding in written.verdicts
        ]
        paths = {"html": str(written.html), "markdown": str(written.markdown)}
        sheets = list(map(str, written.sheets))
        cautions = [{"study": name, "caution": said} for name, said in written.cautions.items()]
        jsons.say({**paths, "trials": sheets, "takeaways": found, "left_out": written.left_out, "cautions": cautions})
        return
    for each, finding in written.verdicts:
        screens.say(f"{finding.verdict:<14}{each.study}: {each.claim}")
    screens.say(f"report: {written.html} and {written.markdown}")


@click.command()
@study_argument
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="So many configurations.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Fresh seeds of each.")
@click.option("--as", "other_name", metavar="NAME", help="Name of the confirming study.  [default: STUDY-confirm]")
@worker_options()
@json_option
@common
def confirm(
    name: str,
    top: int,
    seeds: int,
    other_name: str | None,
    settings: Settings,
    as_json: bool,
    storage: str,
) -> None:
    """Trains the best configurations again on all training images, with fresh seeds, and tests them once.

    An objective or a command of your own is run again with another trial.seed each time.

    It tells how optimistic the search's own values are, and what the best is worth without what choosing the best of
    several means adds. Asked again, it prints what it found.

    \b
    Example:
      search confirm lab --top 5 --seeds 3
    """
    database = databases.open_to_read(storage)
    summary = summaries.summary(database, studies.load(database, name))
    if summary.done < summary.budget:
        progress.note(f"{summary.study.name} goes on: {answers.counts(summary)}")
    found = api.confirm(name, top, seeds, other_name=other_name, storage=storage, **dict(settings))
    if as_json:
        jsons.say(found.as_json())
        return
    whole = f"search confirm {words.typed(name)}"
    answers.print_table(tables.of_confirmation(found, screens.room(screens.out)), whole=whole)
    for line in found.remarks():
        screens.say_wrapped(line, "dim")
    screens.say_wrapped(found.sentence(), "bold green")


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Of each one-factor setting.")
@click.option("--trials", type=click.IntRange(min=1), default=10, show_default=True, help="Of the search.")
@output_option
@worker_options()
@json_option
@common
def reproduce(seeds: int, trials: int, output: pathlib.Path, settings: Settings, as_json: bool, storage: str) -> None:
    """Repeats the whole lab and writes its report: baseline, five factors, the search, the published trials.

    Ctrl-C hands running trials over; asked again, it goes on where it was.

    \b
    Example:
      search reproduce
      search reproduce --seeds 3 --trials 100 --output lab-report
    """
    database, started = databases.Database(storage, databases.OPEN_SECONDS), time.monotonic()

    def tell(step: "reproductions.Step") -> None:
        summary = summaries.summary(database, step.study)
        line = f"{step.study.name}: {answers.counts(summary)} in {step.seconds:.0f} s"
        screens.say(line, where=screens.err)

    written = results.reproduce_lab(seeds, trials, output=output, storage=database, on_step=tell, **dict(settings))
    _print_report(written, as_json)
    if not as_json:
        screens.say(f"the whole lab took {words.duration(time.monotonic() - started)}")


@click.command()
@study_argument
@click.argument("number", type=click.IntRange(min=0))
@worker_options("data_dir", "device", "engine", "allow_objectives")
@json_option
@common
def replay(name: str, number: int, settings: Settings, as_json: bool, storage: str) -> int:
    """Trains trial NUMBER of a study again, stores nothing, and says whether its curve is the same to the last bit.

    Code of your own is run again with the same configuration and trial.seed; of a failed trial, its error is compared.

    \b
    Example:
      search replay lab 7
      search replay lab 7 --engine reference
    """
    with screens.bar(f"trial {number}") as on_epoch:
        found = api.replay(name, number, storage=storage, on_epoch=on_epoch, **dict(settings))
    if as_json:
        jsons.say(found.as_json())
    else:
        screens.say(found.sentence())
    return 0 if found.is_same or found.why else 1
