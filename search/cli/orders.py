"""Commands that steer a study, whoever works on it: extend, pause, resume, stop, retry."""

from typing import Any

import click
from optuna.trial import TrialState

from search import screens, words
from search.cli import answers, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import goals, orders, retries, sentences, stops, studies, summaries
from search.storage import databases


def value_or_none(text: str) -> float | str:
    """A number, or the word that lifts a limit."""
    return text if text == stops.NONE else float(text)


def count_or_none(text: str) -> int | str:
    """The same of a whole number."""
    return text if text == stops.NONE else int(text)


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
@click.option("--target", type=value_or_none, metavar="VALUE", help="Set the value that is enough; none for none.")
@click.option(
    "--patience",
    type=count_or_none,
    metavar="N",
    help="Let N more trials finish without improvement; none for any.",
)
@click.option("--deadline", metavar="WHEN", help="Set the deadline: 4h from the next trial, a moment, or none.")
@click.option("--regret", type=value_or_none, metavar="R", help="Set the regret that is enough; none for none.")
@json_option
@common
def extend(name: str, as_json: bool, storage: str, **more: Any) -> None:
    """Gives a study more trials, hours or failures to bear, or another end. Workers that run, wait or stay follow.

    \b
    Example:
      search extend lab --trials 10
      search extend lab --to 100
      search extend lab --failures 5
      search extend lab --target 0.89 --deadline none
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
    for key in stops.KEYS:
        if more[key] is not None:
            limit += f", {key} {goals.shown(order, key)}"
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
