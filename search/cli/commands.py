"""Turns commands into calls and results into text or JSON."""

import json
import logging
import os
import pathlib
import sys
import threading
import traceback
from typing import Any

import click

from models.errors import ModelError
from search import errors
from search.cli import answers, bench, reporting, steering, taking, watching
from search.cli.options import common, json_option, local_workers, study_argument, training
from search.ledger import backups, studies, summaries
from search.storage import addresses, databases
from search.study import specs
from search.worker import progress, signals, supervision, workforces


def main(arguments: list[str] | None = None) -> int:
    """The `search` command; returns its exit code: 0 done, 1 failed, 2 wrong use or bad input, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(given, prog_name="search", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message(), err=True)
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "search"
        return _fail(f"{error.format_message()} See `{where} --help`.", 2, given)
    except click.ClickException as error:
        return _fail(error.format_message(), 2, given)
    except errors.SearchError as error:
        return _fail(str(error), error.exit_code, given)
    except ModelError as error:
        return _fail(str(error), 2, given)
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:  # `search status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _fail(message: str, code: int, given: list[str]) -> int:
    if "--debug" in given:
        traceback.print_exc()
    print(f"search: {message}", file=sys.stderr)
    return code


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="optuna-search-service", prog_name="search")
def cli() -> None:
    """Searches hyperparameters of small networks with worker processes that share one Optuna study.

    STUDY is a name in studies/ or the path of a study file.

    \b
    Example:
      search run lab          create or resume the study, train, show progress
      search status lab       what it did so far
    """


@cli.command()
@study_argument
@local_workers
@json_option
@common
def run(name: str, workforce: workforces.Workforce, as_json: bool, storage: str) -> int:
    """Creates or resumes a study and works on it here until it is finished.

    Ctrl-C hands the running trials over and ends; a second Ctrl-C ends at once. Either way the next run goes on.

    \b
    Example:
      search run lab
      search run studies/lab.toml --workers 4 --device cuda
    """
    spec = specs.load(specs.path_of(name))
    storage = addresses.check_url(storage)
    workforces.check_training(spec, workforce)
    database = databases.Database(storage, databases.OPEN_SECONDS)
    study = supervision.begin(database, spec)
    code = supervision.supervise(database, study, workforce)
    summary = summaries.summary(database, study)
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    elif code == 0:
        answers.print_end(summary)
    elif summary.trials:
        answers.print_trials(summary)
    return code


@cli.command()
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
    database = databases.Database(storage, databases.OPEN_SECONDS)
    if exist_ok and (known := studies.find_same(database, spec)) is not None:
        there, notes = known
        for note in notes:
            progress.note(note)
        summary = summaries.summary(database, there)
        text = f"study {there.name!r} is there: {answers.counts(summary)}"
        click.echo(json.dumps(summary.as_json()) if as_json else text)
        return
    study = studies.create(database, spec)
    for note in spec.notes:
        progress.note(note)
    if as_json:
        click.echo(json.dumps(summaries.summary(database, study).as_json()))
        return
    size = spec.space.size
    click.echo(
        f"study {study.name!r} created: {spec.budget.trials} trials over "
        f"{'a continuous space' if size is None else f'{size:,} configurations'}, {len(spec.enqueue)} enqueued; "
        f"start workers with `search work {study.name}`"
    )


@cli.command()
@study_argument
@click.option("--stay", is_flag=True, help="Wait for an extension when the study is finished.")
@click.option("--parent", type=int, hidden=True)
@click.option(
    "--health-file",
    envvar="SEARCH_HEALTH_FILE",
    type=click.Path(path_type=pathlib.Path, dir_okay=False),
    help="File to touch with every beat, for a container's health check.",
)
@training
@common
def work(
    name: str,
    stay: bool,
    parent: int | None,
    health_file: pathlib.Path | None,
    data_dir: pathlib.Path,
    device: str,
    engine: str | None,
    grace: float,
    patience: float,
    checkpoint_seconds: float,
    slots: int,
    storage: str,
) -> int:
    """Works on a study, as one process, until it is finished. Any number may join and leave at any time.

    SIGTERM or Ctrl-C hands the running trials over and ends.

    \b
    Example:
      search work lab
      search work lab --stay --device cuda
      search work lab --slots 4
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    interrupted = signals.stop_on(stop)
    database = databases.Database(storage, patience, stop)
    study = studies.load(database, name)
    workforces.check_slots(study.spec, slots, device)
    # torch takes more than a second to import: `search status` must not wait for it
    from search.ledger import allocations
    from search.worker import loops

    train: Any
    limits: dict[str, Any] = {"grace_seconds": grace, "save_seconds": checkpoint_seconds, "slots": slots}
    if study.spec.objective is None:
        from search.training import networks

        train = networks.NetworkObjective(study.spec, data_dir, device, engine)
        limits["need"] = train.need
    else:
        from search.training import functions

        train = functions.FunctionObjective(study.spec)
    beats: dict[str, Any] = {"parent": parent, "health_file": health_file}
    ended = loops.Worker(database, study, train, stop, stay=stay, device=device, **beats, **limits).run()
    if interrupted.is_set():
        return 130
    if ended is allocations.NoTrial.FAILURES:
        raise errors.SearchError(f"study {study.name!r}: {ended.value} ({study.spec.budget.max_failures})")
    return 0


@cli.command("backup")
@study_argument
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@common
def write_backup(name: str, file: pathlib.Path, storage: str) -> None:
    """Writes a study into a new FILE, as it is now, workers or not. Any Optuna tool opens it as sqlite:///FILE.

    \b
    Example:
      search backup lab lab-monday.db
    """
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    with answers.err.status("writing ..."):
        backups.write(database, study, file)
    click.echo(f"study {study.name!r} written to {file}; `search restore {file}` puts it into a storage")


@cli.command()
@click.argument("file", type=click.Path(path_type=pathlib.Path))
@json_option
@common
def restore(file: pathlib.Path, as_json: bool, storage: str) -> None:
    """Puts the study of a backup FILE into the storage, SQLite or Postgres, under its name.

    \b
    Example:
      search restore lab-monday.db --storage postgresql://user@host/search
    """
    database = databases.Database(storage, databases.OPEN_SECONDS)
    with answers.err.status("reading ..."):
        study = backups.read(database, file)
    summary = summaries.summary(database, study)
    if as_json:
        click.echo(json.dumps(answers.as_json(database, summary)))
        return
    click.echo(f"study {study.name!r} restored: {answers.counts(summary)}; `search run {study.name}` goes on")


for command in (
    bench.bench,
    steering.extend,
    steering.pause,
    steering.resume,
    steering.stop,
    steering.enqueue,
    watching.status,
    watching.list_studies,
    watching.replay_trial,
    watching.dashboard,
    reporting.report,
    reporting.confirm,
    reporting.reproduce,
    taking.export,
    taking.predict,
):
    cli.add_command(command)
