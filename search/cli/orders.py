"""Commands that steer a study, whoever works on it: extend, pause, resume, stop, enqueue."""

from typing import Any

import click
from optuna.trial import TrialState

from search import api, errors, screens, words
from search.cli import answers, completions, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import excerpts, orders, retries, sentences, studies, summaries
from search.space import spaces
from search.storage import databases
from search.training import records
from search.worker import progress

now_option = click.option("--now", is_flag=True, help="Hand running trials over, to be taken up later.")


@click.command()
@study_argument
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Add N trials to the budget.")
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="Set the budget to N trials.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), metavar="H", help="Add H hours of training time.")
@click.option("--failures", type=click.IntRange(min=1), metavar="N", help="Bear N more failures of the objective.")
@click.option(
    "--epoch-seconds", type=click.FloatRange(min=0), metavar="S", help="Let an epoch take S seconds; 0 for no limit."
)
@json_option
@common
def extend(name: str, as_json: bool, storage: str, **more: Any) -> None:
    """Gives a study more trials, hours or failures to bear. Workers that run, wait or stay take them up.

    \b
    Example:
      search extend lab --trials 10
      search extend lab --to 100
      search extend lab --failures 5
    """
    more["add"] = more.pop("trials")
    orders.Extension(**more)
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    order = orders.extend(database, study, **more)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say(answers.as_json(database, summary))
        return
    limit = "" if order.hours is None else f" and {order.hours:g} h of training"
    if more["failures"] is not None:
        limit += f", max_failures {order.max_failures}"
    if more["epoch_seconds"] is not None:
        limit += f", epoch_seconds {'without limit' if order.epoch_seconds is None else f'{order.epoch_seconds:g}'}"
    screens.say(
        f"study {study.name!r}: budget {order.trials}{limit}, {summary.done} done; "
        f"{answers.who_does_it(database, summary)}"
    )


@click.command()
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
    _set_state(name, storage, orders.StudyState.PAUSED, now, as_json)


@click.command()
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
    _set_state(name, storage, orders.StudyState.STOPPED, now, as_json)


@click.command()
@study_argument
@json_option
@common
def resume(name: str, as_json: bool, storage: str) -> None:
    """Lets a paused or stopped study go on.

    \b
    Example:
      search resume lab
    """
    _set_state(name, storage, orders.StudyState.ACTIVE, False, as_json)


@click.command()
@study_argument
@click.argument("numbers", metavar="[NUMBER...]", nargs=-1, type=click.IntRange(min=0))
@json_option
@common
def retry(name: str, numbers: tuple[int, ...], as_json: bool, storage: str) -> None:
    """Puts failed trials back, all or those NUMBERed: new trials with their configurations; they count no longer.

    A study that had stopped itself goes on. A trial that another tool left running is put back, too.

    \b
    Example:
      search retry lab
      search retry lab 3 7
    """
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    again = retries.retry(database, study, numbers)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say({**answers.as_json(database, summary), "retried": again})
        return
    done = ", ".join(f"trial {old}" + (f" as trial {new}" if new != old else "") for old, new in again.items())
    screens.say(f"study {study.name!r}: {f'put back: {done}' if again else 'no failed trial to put back'}")
    screens.say(answers.how_far(database, summary))


def _set_state(name: str, storage: str, state: orders.StudyState, now: bool, as_json: bool) -> None:
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    before = orders.set_state(database, study, state, now)
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say(answers.as_json(database, summary))
        return
    if before.state is state and before.at_once == now:
        screens.say(f"study {study.name!r} was {state} already")
        if state is orders.StudyState.ACTIVE and (note := sentences.state_note(summary)):
            screens.say(note)
        return
    count = summary.count(TrialState.RUNNING)
    then = "no trial was running"
    if count:
        then = f"{words.plural(count, 'running trial')} to be {'handed over' if now else 'finished'}"
    if state is orders.StudyState.ACTIVE:
        then = answers.how_far(database, summary)
    screens.say(f"study {study.name!r} is {state}: {then}")


@click.command()
@study_argument
@click.argument("settings", metavar="[PARAMETER=VALUE...]", nargs=-1, shell_complete=completions.settings)
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
      search enqueue mine model.lr=0.1 penalty=none early=true 'label="1"'
      search enqueue lab --trial 7 --repeats 4
    """
    if bool(settings) == (trial is not None):
        raise errors.InputError("enqueue takes either PARAMETER=VALUE... or --trial N")
    if trial is not None and repeats is None:
        raise errors.InputError("enqueue --trial takes --repeats K too: a study trains no configuration twice unasked")
    database = databases.open_existing(storage)
    study = studies.load(database, name)
    kept, dropped = _configuration(study, settings) if trial is None else (_params_of(database, study, trial), {})
    numbers = api.enqueue(name, kept, repeats=repeats, storage=database)
    if dropped:
        progress.note(f"{' and '.join(dropped)} dropped: they do not exist beside {screens.literal(kept, screens.err)}")
    summary = summaries.summary(database, study)
    if as_json:
        jsons.say({"number": numbers[0], "numbers": numbers, "params": kept, **answers.as_json(database, summary)})
        return
    screens.say(
        f"study {study.name!r}: {_waiting(numbers)} with {screens.literal(kept)}; {answers.how_far(database, summary)}"
    )
    under_way = summary.count(TrialState.RUNNING) + summary.count(TrialState.WAITING)
    if summary.done + under_way > summary.budget:
        screens.say(
            f"the budget is given out: `search extend {words.typed(study.name)} --trials {len(numbers)}` makes room "
            f"for {'it' if len(numbers) == 1 else 'them'}"
        )


def _waiting(numbers: list[int]) -> str:
    return f"trial {numbers[0]} waits" if len(numbers) == 1 else f"trials {' and '.join(map(str, numbers))} wait"


def _params_of(database: databases.Database, study: studies.Study, number: int) -> spaces.Params:
    """The configuration of a trial of the study.

    Raises:
        errors.InputError: there is no such trial, or it has none yet.
    """
    trial, total = excerpts.find(database, study, number)
    params: spaces.Params = {} if trial is None else records.wanted(trial)  # a waiting one has what was enqueued
    if not study.spec.space.is_complete(params):
        raise errors.InputError(
            f"--trial must name a trial of study {study.name!r} with a configuration (it has {total}), got {number}"
        )
    return params


def _configuration(study: studies.Study, settings: tuple[str, ...]) -> tuple[spaces.Params, spaces.Params]:
    """What `PARAMETER=VALUE ...` means in a study's space: kept, and dropped.

    Raises:
        errors.InputError: an argument of another form, an unknown name, or a value outside the space.
    """
    words: dict[str, str] = {}
    for setting in settings:
        found = study.spec.space.split(setting)
        if found is None or found[0] in words:
            raise errors.InputError(f"enqueue takes PARAMETER=VALUE, each parameter once, got {setting!r}")
        words[found[0]] = found[1]
    try:
        return study.spec.space.trim({name: study.spec.space.parse(name, text) for name, text in words.items()})
    except ValueError as error:
        raise errors.InputError(f"enqueue: {error}") from error
