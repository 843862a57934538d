"""The command that queues configurations: enqueue."""

import click
from optuna.trial import TrialState

from search import api, errors, screens, words
from search.cli import answers, completions, jsons
from search.cli.options import common, json_option, study_argument
from search.ledger import excerpts, studies, summaries
from search.space import spaces
from search.storage import databases
from search.training import records
from search.worker import progress


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
