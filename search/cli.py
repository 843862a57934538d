"""Turns commands into calls and results into text or JSON."""

import difflib
import functools
import json
import logging
import os
import pathlib
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import click
from optuna.trial import TrialState
from rich import console

from models.errors import ModelError
from search import display, errors, forecast, orders, presence, roster, signals, space, store, study, study_file
from search import run as runs

T = TypeVar("T")

OPEN_SECONDS = 10.0  # a person waits for the first connection; workers wait longer
STUDIES = pathlib.Path("studies")
HERE = pathlib.Path(__file__).resolve().parent.parent

out = console.Console(soft_wrap=False)
err = console.Console(stderr=True)


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


def common(command: Callable[..., T]) -> Callable[..., T]:
    """Options that every command takes."""

    @click.option(
        "--storage",
        envvar="SEARCH_STORAGE",
        default=store.DEFAULT_URL,
        show_default=True,
        metavar="URL",
        help="SQLite file or Postgres database of the studies. A URL with a password belongs into SEARCH_STORAGE.",
    )
    @click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        return command(*args, **kwargs)

    return wrapped


def training(command: Callable[..., T]) -> Callable[..., T]:
    """Options of the commands that train."""

    @click.option(
        "--data-dir",
        envvar="SEARCH_DATA",
        default="data",
        show_default=True,
        type=click.Path(path_type=pathlib.Path, file_okay=False),
        help="Folder of FashionMNIST; filled on first use.",
    )
    @click.option("--device", envvar="SEARCH_DEVICE", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
    @click.option("--engine", envvar="SEARCH_ENGINE", help="Engine, in place of the study file's.")
    @click.option(
        "--grace",
        envvar="SEARCH_GRACE_SECONDS",
        type=click.FloatRange(min=0.3),
        default=presence.GRACE_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Silence after which a worker counts as gone; the same for all workers of a study.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> T:
        return command(*args, **kwargs)

    return wrapped


study_argument = click.argument("name", metavar="STUDY")
now_option = click.option("--now", is_flag=True, help="Hand running trials over, to be taken up later.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@cli.command()
@study_argument
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per core]")
@training
@json_option
@common
def run(
    name: str,
    workers: int | None,
    data_dir: pathlib.Path,
    device: str,
    engine: str | None,
    grace: float,
    as_json: bool,
    storage: str,
) -> int:
    """Creates or resumes a study and works on it here until it is finished.

    Ctrl-C hands the running trials over and ends; a second Ctrl-C ends at once. Either way the next run goes on.

    \b
    Example:
      search run lab
      search run studies/lab.toml --workers 4 --device cuda
    """
    spec = study_file.load(_study_path(name))
    storage = store.check_url(storage)
    runs.check_training(spec, data_dir, device, engine)
    here = store.Store(storage, OPEN_SECONDS)
    of = runs.create_or_resume(here, spec)
    here.patience_seconds = store.PATIENCE_SECONDS
    count = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    arguments = [of.name, "--data-dir", str(data_dir), "--device", device, "--grace", str(grace)]
    arguments += ["--engine", engine] if engine else []
    code = runs.supervise(here, of, count, arguments)
    summary = study.summary(here, of)
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    elif code == 0:
        _print_end(summary, here.url)
    elif summary.trials:
        _print_trials(summary)
    return code


@cli.command()
@study_argument
@json_option
@common
def create(name: str, as_json: bool, storage: str) -> None:
    """Creates a study from its file, for workers to come.

    \b
    Example:
      search create lab
      search create studies/lab.toml --storage postgresql://user@host/search
    """
    spec = study_file.load(_study_path(name))
    here = store.Store(storage, OPEN_SECONDS)
    of = study.create(here, spec)
    runs.print_notes(spec)
    if as_json:
        click.echo(json.dumps(study.summary(here, of).as_json()))
        return
    size = spec.space.size
    click.echo(
        f"study {of.name!r} created: {spec.budget.trials} trials over "
        f"{'a continuous space' if size is None else f'{size:,} configurations'}, {len(spec.enqueue)} enqueued; "
        f"start workers with `search work {of.name}`"
    )


@cli.command()
@study_argument
@click.option("--stay", is_flag=True, help="Wait for an extension when the study is finished.")
@click.option("--parent", type=int, hidden=True)
@training
@common
def work(
    name: str,
    stay: bool,
    parent: int | None,
    data_dir: pathlib.Path,
    device: str,
    engine: str | None,
    grace: float,
    storage: str,
) -> int:
    """Works on a study, as one process, until it is finished. Any number may join and leave at any time.

    SIGTERM or Ctrl-C hands the running trial over and ends.

    \b
    Example:
      search work lab
      search work lab --stay --device cuda
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    interrupted = signals.stop_on(stop)
    here = store.Store(storage, store.PATIENCE_SECONDS, stop)
    of = _find(here, name)
    # torch takes more than a second to import: `search status` must not wait for it
    from search import claims, worker

    train: Any
    if of.spec.objective is None:
        from search import objective

        train = objective.Objective(of.spec, data_dir, device, engine)
    else:
        from search import own_objective

        train = own_objective.OwnObjective(of.spec)
    ended = worker.Worker(here, of, train, stop, stay=stay, grace_seconds=grace, parent=parent, device=device).run()
    if interrupted.is_set():
        return 130
    if ended is claims.Nothing.FAILURES:
        raise errors.SearchError(f"study {of.name!r}: {ended.value} ({of.spec.budget.max_failures})")
    return 0


@cli.command()
@study_argument
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Add N trials to the budget.")
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="Set the budget to N trials.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="H", help="Add H hours of training time.")
@json_option
@common
def extend(name: str, trials: int | None, to: int | None, hours: float | None, as_json: bool, storage: str) -> None:
    """Gives a study more trials, or more hours. Workers that run, wait or stay take them up.

    \b
    Example:
      search extend lab --trials 10
      search extend lab --to 100
    """
    if (trials is not None and to is not None) or (trials is None and to is None and hours is None):
        raise errors.InputError("extend takes either --trials N or --to N, or --hours H")
    here = _open(storage)
    of = _find(here, name)
    order = orders.extend(here, of.study_id, trials, to, hours)
    summary = study.summary(here, of)
    if as_json:
        click.echo(json.dumps(_as_json(here, summary)))
        return
    limit = "" if order.hours is None else f" and {order.hours:g} h of training"
    click.echo(f"study {of.name!r}: budget {order.trials}{limit}, {summary.done} done; {_who_does_it(here, summary)}")


@cli.command()
@study_argument
@now_option
@json_option
@common
def pause(name: str, now: bool, as_json: bool, storage: str) -> None:
    """Lets no trial begin until `search resume`; workers stay and wait. Running trials are finished.

    \b
    Example:
      search pause lab
      search pause lab --now
    """
    _set_state(name, storage, orders.State.PAUSED, now, as_json)


@cli.command()
@study_argument
@now_option
@json_option
@common
def stop(name: str, now: bool, as_json: bool, storage: str) -> None:
    """Ends a study's workers, wherever they run, once their trials are finished; those that stay, too.

    `search resume` or `search run` lets it go on.

    \b
    Example:
      search stop lab
      search stop lab --now
    """
    _set_state(name, storage, orders.State.STOPPED, now, as_json)


@cli.command()
@study_argument
@json_option
@common
def resume(name: str, as_json: bool, storage: str) -> None:
    """Lets a paused or stopped study go on.

    \b
    Example:
      search resume lab
    """
    _set_state(name, storage, orders.State.ACTIVE, False, as_json)


def _set_state(name: str, storage: str, state: orders.State, now: bool, as_json: bool) -> None:
    here = _open(storage)
    of = _find(here, name)
    before = orders.set_state(here, of.study_id, state, now)
    summary = study.summary(here, of)
    if as_json:
        click.echo(json.dumps(_as_json(here, summary)))
        return
    if before.state is state and before.at_once == now:
        click.echo(f"study {of.name!r} was {state} already")
        return
    running = display.plural(summary.count(TrialState.RUNNING), "running trial")
    then = f"{running} {'handed over' if now else 'to be finished'}"
    if state is orders.State.ACTIVE:
        then = f"{summary.done} of {summary.budget} trials done; {_who_does_it(here, summary)}"
    click.echo(f"study {of.name!r} is {state}: {then}")


@cli.command()
@study_argument
@click.argument("settings", metavar="[PARAMETER=VALUE...]", nargs=-1)
@click.option("--trial", type=click.IntRange(min=0), metavar="N", help="Take the configuration of trial N.")
@click.option("--repeats", type=click.IntRange(min=1), metavar="K", help="Queue it K times, a seed each.")
@json_option
@common
def enqueue(
    name: str, settings: tuple[str, ...], trial: int | None, repeats: int | None, as_json: bool, storage: str
) -> None:
    """Queues a configuration to be tried next; what it leaves open is sampled.

    It counts in the budget like any other trial. One that a trial has already is refused, unless --repeats asks for it
    with other training seeds.

    \b
    Example:
      search enqueue lab learning_rate=0.1 batch_size=41 depth=3 width=128 activation=ReLU
      search enqueue lab depth=0
      search enqueue lab --trial 7 --repeats 4
    """
    if bool(settings) == (trial is not None):
        raise errors.InputError("enqueue takes either PARAMETER=VALUE... or --trial N")
    if trial is not None and repeats is None:
        raise errors.InputError("enqueue --trial takes --repeats K too: a study trains no configuration twice unasked")
    here = _open(storage)
    of = _find(here, name)
    kept, dropped = _configuration(of, settings) if trial is None else (_params_of(here, of, trial), {})
    numbers = [study.enqueue(here, of, kept)] if repeats is None else study.repeat(here, of, kept, repeats)
    if dropped:
        err.print(
            f"note: {' and '.join(dropped)} dropped: they do not exist beside {kept}", markup=False, highlight=False
        )
    summary = study.summary(here, of)
    if as_json:
        click.echo(json.dumps({"number": numbers[0], "numbers": numbers, "params": kept, **_as_json(here, summary)}))
        return
    who = f"trial {numbers[0]} waits" if len(numbers) == 1 else f"trials {' and '.join(map(str, numbers))} wait"
    click.echo(
        f"study {of.name!r}: {who} with {kept}; {summary.done} of {summary.budget} trials done; "
        f"{_who_does_it(here, summary)}"
    )
    under_way = summary.count(TrialState.RUNNING) + summary.count(TrialState.WAITING)
    if summary.done + under_way > summary.budget:
        click.echo(
            f"the budget is given out: `search extend {of.name} --trials {len(numbers)}` makes room for "
            f"{'it' if len(numbers) == 1 else 'them'}"
        )


@cli.command()
@click.argument("name", metavar="[STUDY]", required=False)
@json_option
@common
def status(name: str | None, as_json: bool, storage: str) -> None:
    """Shows a study's trials, workers, cost and best one; without a name, every study's.

    \b
    Example:
      search status lab
      search status lab --json
    """
    here = _open(storage)
    summaries = [study.summary(here, _find(here, each)) for each in ([name] if name else study.names(here))]
    if as_json:
        found = [_as_json(here, summary) for summary in summaries]
        click.echo(json.dumps(found[0] if name else found))
        return
    if not summaries:
        click.echo(f"no study in {store.hide_password(here.url)}; `search run lab` makes one")
    for summary in summaries:
        out.print(f"[bold]{summary.study.name}[/]: {_counts(summary)}", highlight=False)
        _print_trials(summary, *display.situation(summary, roster.call(here, summary.study.study_id)))


@cli.command(name="list")
@json_option
@common
def list_studies(as_json: bool, storage: str) -> None:
    """Lists the studies of the storage.

    \b
    Example:
      search list
      search list --json
    """
    here = _open(storage)
    summaries = [study.summary(here, _find(here, name)) for name in study.names(here)]
    if as_json:
        click.echo(json.dumps([summary.as_json() for summary in summaries]))
    elif summaries:
        out.print(display.study_table(summaries))
    else:
        click.echo(f"no study in {store.hide_password(here.url)}; `search run lab` makes one")


def _open(url: str) -> store.Store:
    """The storage, for a command that makes none: a mistyped SQLite path must not become an empty file."""
    file = store.sqlite_file(url)
    if file is not None and not file.exists():
        raise errors.StudyNotFound(f"no database at {file}; `search run STUDY` or `search create STUDY` makes one")
    return store.Store(url, OPEN_SECONDS)


def _study_path(name: str) -> pathlib.Path:
    """The study file that a user means by a name or a path."""
    if name.endswith(".toml") or os.sep in name:
        return pathlib.Path(name)
    folders = [folder for folder in (STUDIES, HERE / STUDIES) if folder.is_dir()]
    for folder in folders:
        if (path := folder / f"{name}.toml").is_file():
            return path
    known = sorted({path.stem for folder in folders for path in folder.glob("*.toml")})
    raise errors.StudyNotFound(f"no study file {name}.toml in {STUDIES}/{_hint(name, known)}")


def _find(here: store.Store, name: str) -> study.Study:
    """The study in the storage that a user means by a name or a path."""
    wanted = study_file.load(pathlib.Path(name)).name if name.endswith(".toml") else name
    found = study.find(here, wanted)
    if found is None:
        known = study.names(here)
        raise errors.StudyNotFound(f"no study {wanted!r} in {store.hide_password(here.url)}{_hint(wanted, known)}")
    return found


def _params_of(here: store.Store, of: study.Study, number: int) -> space.Params:
    """The configuration of a trial of the study.

    Raises:
        errors.InputError: there is no such trial, or it has none yet.
    """
    trials = study.summary(here, of).trials
    params: space.Params = {}
    if number < len(trials):  # a waiting one has what was enqueued
        params = dict(trials[number].params or trials[number].system_attrs.get(study.FIXED_PARAMS, {}))
    if not of.spec.space.is_complete(params):
        raise errors.InputError(
            f"--trial must name a trial of study {of.name!r} with a configuration (it has {len(trials)}), got {number}"
        )
    return params


def _configuration(of: study.Study, settings: tuple[str, ...]) -> tuple[space.Params, space.Params]:
    """What `PARAMETER=VALUE ...` means in a study's space: kept, and dropped.

    Raises:
        errors.InputError: an argument of another form, an unknown name, or a value outside the space.
    """
    words: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name or name in words:
            raise errors.InputError(f"enqueue takes PARAMETER=VALUE, each parameter once, got {setting!r}")
        words[name] = text
    try:
        return of.spec.space.trim({name: of.spec.space.parse(name, text) for name, text in words.items()})
    except ValueError as error:
        raise errors.InputError(f"enqueue: {error}") from error


def _hint(name: str, known: list[str]) -> str:
    if close := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if known else "; `search create STUDY` makes one"


def _counts(summary: study.Summary) -> str:
    states = ", ".join(f"{count} {word}" for word, count in summary.as_json()["trials"].items() if count)
    state = "" if summary.order.state is orders.State.ACTIVE else f", {summary.order.state}"
    return f"{summary.done} of {summary.budget} trials done ({states or 'no trial yet'}){state}"


def _as_json(here: store.Store, summary: study.Summary) -> dict[str, Any]:
    crew = roster.call(here, summary.study.study_id)
    left = forecast.seconds_left(summary, len(crew.members))
    return {
        **summary.as_json(),
        **crew.as_json(),
        "reasons": display.reason_counts(summary),
        "forecast_seconds": None if left is None else round(left, 1),
    }


def _who_does_it(here: store.Store, summary: study.Summary) -> str:
    """Whether anybody is there to do what was ordered."""
    name, crew = summary.study.name, roster.call(here, summary.study.study_id)
    if summary.order.state is not orders.State.ACTIVE:
        return f"it is {summary.order.state}: `search resume {name}` lets it go on"
    if crew.members:
        return f"{display.plural(len(crew.members), 'worker')} alive"
    return f"no worker is alive: `search run {name}` or `search work {name}` does it"


def _print_trials(summary: study.Summary, *more: str) -> None:
    out.print(display.trial_table(summary))
    for line in display.reasons(summary):
        out.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)
    for line in more:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    out.print(display.best_sentence(summary), style="bold green", highlight=False, soft_wrap=True)


def _print_end(summary: study.Summary, url: str) -> None:
    _print_trials(summary)
    out.print(f"{summary.study.name}: {_counts(summary)}", highlight=False)
    name = summary.study.name
    size = summary.study.spec.space.size
    more = f"`search extend {name} --trials 10` then `search run {name}` for more"
    if size is not None and summary.done >= size:
        more = f"all {size} configurations have been tried"
    out.print(
        f"next: {more}; `optuna-dashboard {store.hide_password(url)}` to look at it",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
