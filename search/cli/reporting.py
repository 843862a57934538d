"""Commands whose result is a page: report, confirm, reproduce."""

import json
import pathlib
import time

import click

from search import words
from search.cli import answers, tables
from search.cli.options import common, json_option, local_workers, study_argument
from search.ledger import studies, summaries
from search.storage import addresses, databases
from search.worker import supervision, workforces

output_option = click.option(
    "--output",
    default="report",
    show_default=True,
    type=click.Path(path_type=pathlib.Path),
    help="Folder for report.html, report.md and figures/.",
)


@click.command()
@click.argument("names", metavar="STUDY...", nargs=-1, required=True)
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
    database = databases.open_existing(storage)
    write_report(database, [studies.load(database, name) for name in names], output, title, as_json)


def write_report(
    database: databases.Database, studies: list[studies.Study], output: pathlib.Path, title: str | None, as_json: bool
) -> None:
    """Builds the page, writes it, and says where it is."""
    from search.reports import contents, pages

    with answers.err.status("drawing ..."):
        experiments, confirmations = contents.gather(database, studies)
        heading = title or contents.title(experiments)
        html, markdown = pages.write(contents.build(experiments, heading, confirmations), output)
    judged = contents.verdicts(experiments)
    if as_json:
        found = [
            {"study": each.study, "claim": each.claim, "verdict": str(finding.verdict), "evidence": finding.evidence}
            for each, finding in judged
        ]
        click.echo(json.dumps({"html": str(html), "markdown": str(markdown), "takeaways": found}))
        return
    for each, finding in judged:
        answers.out.print(f"{finding.verdict:<14}{each.study}: {each.claim}", highlight=False, soft_wrap=True)
    click.echo(f"report: {html} and {markdown}")


@click.command()
@study_argument
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="So many configurations.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Fresh seeds of each.")
@click.option("--as", "other_name", metavar="NAME", help="Name of the confirming study.  [default: STUDY-confirm]")
@local_workers
@json_option
@common
def confirm(
    name: str,
    top: int,
    seeds: int,
    other_name: str | None,
    workforce: workforces.Workforce,
    as_json: bool,
    storage: str,
) -> int:
    """Trains the best configurations again on all training images, with fresh seeds, and tests them once.

    It tells how optimistic the search's own values are. Asked again, it prints what it found.

    \b
    Example:
      search confirm lab --top 5 --seeds 3
    """
    from search.reports import confirmations

    database = databases.open_existing(storage)
    study = studies.load(database, name)
    summary = summaries.summary(database, study)
    if summary.done < summary.budget:
        answers.err.print(f"note: {study.name} goes on: {answers.counts(summary)}", markup=False, highlight=False)
    confirming = confirmations.prepare(database, study, top, seeds, other_name)
    workforces.check_training(confirming.spec, workforce)
    if code := supervision.supervise(database, confirming, workforce):
        return code
    found = confirmations.expect(database, study, other_name)
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return 0
    answers.out.print(tables.of_confirmation(found))
    answers.out.print(confirmations.sentence(found), style="bold green", highlight=False, markup=False, soft_wrap=True)
    return 0


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Of each one-factor setting.")
@click.option("--trials", type=click.IntRange(min=1), default=10, show_default=True, help="Of the search.")
@output_option
@local_workers
@json_option
@common
def reproduce(
    seeds: int, trials: int, output: pathlib.Path, workforce: workforces.Workforce, as_json: bool, storage: str
) -> int:
    """Repeats the whole lab and writes its report: baseline, five factors, the search, the published trials.

    Ctrl-C hands running trials over; asked again, it goes on where it was.

    \b
    Example:
      search reproduce
      search reproduce --seeds 3 --trials 100 --output lab-report
    """
    from search.reports import reproductions

    database = databases.Database(addresses.check_url(storage), databases.OPEN_SECONDS)
    started, studies = time.monotonic(), []
    for spec in reproductions.lab_specs():
        workforces.check_training(spec, workforce)
    steps = reproductions.run(
        database,
        lambda spec: supervision.begin(database, spec),
        lambda study, label: supervision.supervise(database, study, workforce, label),
        seeds,
        trials,
    )
    for step in steps:
        if step.code:
            return step.code
        summary = summaries.summary(database, step.study)
        studies.append(step.study)
        answers.err.print(f"{step.study.name}: {answers.counts(summary)} in {step.seconds:.0f} s", highlight=False)
    write_report(database, studies, output, reproductions.LAB_TITLE, as_json)
    if not as_json:
        answers.out.print(f"the whole lab took {words.duration(time.monotonic() - started)}", highlight=False)
    return 0
