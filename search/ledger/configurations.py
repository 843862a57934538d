"""Gives a claimed trial its configuration: stored, enqueued or sampled, and never one that another trial has."""

import contextlib
import dataclasses
import time
import weakref
from collections.abc import Callable, Iterator

import optuna
import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy import exc

from search import errors
from search.ledger import claims, proposals, reservations, studies
from search.space import candidates, spaces
from search.storage import histories, statements
from search.storage.databases import Database
from search.study import samplers
from search.training import records

Choose = Callable[[spaces.Params], str | None]
RESAMPLE_LIMIT = 3
RANDOM_LIMIT = 100

# a history is one worker's, and of one study
_MEMORIES: weakref.WeakKeyDictionary[histories.History, proposals.Memory] = weakref.WeakKeyDictionary()


def configure(
    database: Database,
    study: studies.Study,
    claim: claims.Claim,
    history: histories.History,
    choose: Choose = lambda _: None,
) -> spaces.Params:
    """Gives a trial its configuration: the stored or enqueued one, or a sampled one that no trial has.

    Sampling happens in memory, outside any lock; `assign` then reserves what came out of it. Where it is taken the
    sampler is asked again, and after three times the nearest configuration that is free is reserved. A grid is walked.

    Args:
        choose: the backend that a configuration is trained with, stored with it; see `models.backends`.

    Raises:
        errors.TrialLost: the trial has another owner by now.
        errors.DuplicateConfiguration: what is fixed leaves no configuration that is free.
        errors.ImpossibleConfiguration: an enqueued value lies outside the space.
    """
    tree = study.spec.space
    fixed = _fixed(tree, claim)
    for whole in (claim.params, fixed):
        if tree.is_complete(whole):
            return _expect(assign(database, study, claim, whole, choose=choose), whole)
    memory = memory_of(history)
    if study.spec.sampler.name == samplers.GRID:
        return _reserve(database, study, claim, fixed, lambda: _next_in_grid(database, study, fixed, memory), choose)
    return _sample(database, study, claim, fixed, history, memory, choose)


def memory_of(history: histories.History) -> proposals.Memory:
    """What the worker of a history keeps between asks."""
    return _MEMORIES.setdefault(history, proposals.Memory())


@contextlib.contextmanager
def timed(memory: proposals.Memory) -> Iterator[None]:
    """Counts the CPU time of a sampler."""
    started = time.thread_time()
    yield
    memory.seconds += time.thread_time() - started


def _sample(
    database: Database,
    study: studies.Study,
    claim: claims.Claim,
    fixed: spaces.Params,
    history: histories.History,
    memory: proposals.Memory,
    choose: Choose,
) -> spaces.Params:
    tree, sampler = study.spec.space, proposals.SAMPLERS[study.spec.sampler.name]
    trial = optuna.trial.create_trial(state=TrialState.RUNNING)
    trial.number = claim.number
    for attempt in range(RESAMPLE_LIMIT if sampler.asks_again else 1):
        with memory.lock:
            ask = asked(database, study, history, trial, fixed, attempt)
            with timed(memory):
                params = sampler.propose(ask)
        if assign(database, study, claim, params, attempt, choose) is not None:
            return params

    def drawn() -> Iterator[candidates.Candidate]:
        for attempt in range(RESAMPLE_LIMIT, RESAMPLE_LIMIT + RANDOM_LIMIT):
            params = proposals.propose("random", dataclasses.replace(ask, attempt=attempt))
            yield tree.key(params), params

    def free() -> spaces.Params | None:
        taken = _taken(database, study)
        near = candidates.first_free(candidates.neighbourhood(tree, params, fixed), taken)
        if near is None and tree.size is None:  # a continuous dimension has no next value: chance finds one
            return candidates.first_free(drawn(), taken, portion=1)
        return near

    return _reserve(database, study, claim, fixed, free, choose, refused=attempt + 1)


def asked(
    database: Database,
    study: studies.Study,
    history: histories.History,
    trial: optuna.trial.FrozenTrial,
    fixed: spaces.Params,
    attempt: int = 0,
) -> proposals.Ask:
    """A question to the study's sampler, with what it learns from; under the lock of the worker's memory."""
    spec, memory = study.spec, memory_of(history)
    sampler, tree = proposals.SAMPLERS[spec.sampler.name], spec.space
    view = sampler.view and sampler.view(spec.study.direction == "maximize", memory)
    # first the model's, so that it knows of no trial that the study does not show yet
    known = database.read(lambda connection: memory.seen.read(connection, study)) if sampler.has_model else None
    shown = database.call(lambda: history.study(view is not None, tree.holds, tree.exact, view))
    steps = spec.training.epochs if spec.training else spec.pruning.max_resource
    startup = spec.sampler.startup_trials
    return proposals.Ask(tree, shown, trial, fixed, spec.study.seed, attempt, memory, known, steps, startup)


def _taken(database: Database, study: studies.Study) -> candidates.Taken:
    return lambda keys: database.read(lambda connection: reservations.taken_of(connection, study.study_id, keys))


def _next_in_grid(
    database: Database, study: studies.Study, fixed: spaces.Params, memory: proposals.Memory
) -> spaces.Params | None:
    """The next point of this worker's walk; at its end, and where a part is fixed, the first of the whole grid."""
    tree = study.spec.space
    if not fixed:
        memory.grid = memory.grid or candidates.Walk(tree)
        if (params := memory.grid.next(_taken(database, study))) is not None:
            return params
    everything = database.read(lambda connection: reservations.taken(connection, study.study_id))
    return candidates.next_in_grid(tree, fixed, everything)


def _fixed(tree: spaces.Space, claim: claims.Claim) -> spaces.Params:
    """What is set of a trial's configuration, by whoever enqueued it or by an earlier owner."""
    try:
        return tree.trim({**claim.fixed, **claim.params})[0]
    except ValueError as error:
        raise errors.ImpossibleConfiguration(str(error)) from error


def assign(
    database: Database,
    study: studies.Study,
    claim: claims.Claim,
    params: spaces.Params,
    refused: int = 0,
    choose: Choose = lambda _: None,
) -> spaces.Params | None:
    """Reserves a configuration for the study and writes all parameters of the trial at once; None where it is taken.

    Args:
        refused: how many proposals of this trial other trials had already; kept for the report.
        choose: see `configure`; asked where the trial has no backend yet.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """
    backend = claim.backend or choose(params)
    distributions = {p.name: p.distribution for p in study.spec.space.parameters}

    def transaction(connection: sqlalchemy.Connection) -> bool:
        try:
            claims.fence(connection, claim, config=study.spec.space.key(params, claim.repeat), backend=backend)
        except exc.IntegrityError:  # the key is unique in the study
            connection.rollback()
            return False
        statements.add_params(connection, claim.trial_id, params, distributions)
        if refused:
            statements.put_attributes(connection, claim.trial_id, {records.DUPLICATES_AVOIDED.name: refused})
        return True

    return params if database.write(transaction) else None


def _reserve(
    database: Database,
    study: studies.Study,
    claim: claims.Claim,
    fixed: spaces.Params,
    find: Callable[[], spaces.Params | None],
    choose: Choose,
    refused: int = 0,
) -> spaces.Params:
    """Chooses among what is free until the choice is ours: another worker may take it in between."""
    while True:
        chosen = _expect(find(), fixed)
        if assign(database, study, claim, chosen, refused, choose) is not None:
            return chosen


def _expect(params: spaces.Params | None, wanted: spaces.Params) -> spaces.Params:
    if params is None:
        raise errors.DuplicateConfiguration(f"other trials have every configuration with {wanted} already")
    return params
