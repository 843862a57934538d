"""Gives a claimed trial its configuration: stored, enqueued or sampled, and never one that another trial has."""

import dataclasses
from collections.abc import Callable

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

RESAMPLE_LIMIT = 3
RANDOM_LIMIT = 100


def configure(
    database: Database, study: studies.Study, claim: claims.Claim, history: histories.History
) -> spaces.Params:
    """Gives a trial its configuration: the stored or enqueued one, or a sampled one that no trial has.

    Sampling happens in memory, outside any lock; `assign` then reserves what came out of it. Where it is taken the
    sampler is asked again, and after three times the nearest configuration that is free is reserved. A grid is walked.

    Raises:
        errors.TrialLost: the trial has another owner by now.
        errors.DuplicateConfiguration: what is fixed leaves no configuration that is free.
        errors.ImpossibleConfiguration: an enqueued value lies outside the space.
    """
    tree = study.spec.space
    fixed = _fixed(tree, claim)
    for whole in (claim.params, fixed):
        if tree.is_complete(whole):
            return _expect(assign(database, study, claim, whole), whole)
    if study.spec.sampler.name == samplers.GRID:
        return _reserve(database, study, claim, fixed, lambda taken: candidates.next_in_grid(tree, fixed, taken))
    trial = optuna.trial.create_trial(state=TrialState.RUNNING)
    trial.number = claim.number
    sampler = study.spec.sampler.name
    for attempt in range(1 if sampler in proposals.ONE_ATTEMPT else RESAMPLE_LIMIT):
        known = database.call(lambda: history.study(sampler not in proposals.FROM_NO_TRIALS, tree.holds, tree.exact))
        ask = proposals.Ask(tree, known, trial, fixed, study.spec.study.seed, attempt=attempt)
        params = proposals.propose(sampler, ask)
        if assign(database, study, claim, params, refused=attempt) is not None:
            return params

    def free(taken: set[str]) -> spaces.Params | None:
        near = candidates.unseen_neighbour(tree, params, fixed, taken)
        if near is None and tree.size is None:  # a continuous dimension has no next value: chance finds one
            for attempt in range(RESAMPLE_LIMIT, RESAMPLE_LIMIT + RANDOM_LIMIT):
                drawn = proposals.propose("random", dataclasses.replace(ask, attempt=attempt))
                if tree.key(drawn) not in taken:
                    return drawn
        return near

    return _reserve(database, study, claim, fixed, free, refused=attempt + 1)


def _fixed(tree: spaces.Space, claim: claims.Claim) -> spaces.Params:
    """What is set of a trial's configuration, by whoever enqueued it or by an earlier owner."""
    try:
        return tree.trim({**claim.fixed, **claim.params})[0]
    except ValueError as error:
        raise errors.ImpossibleConfiguration(str(error)) from error


def assign(
    database: Database, study: studies.Study, claim: claims.Claim, params: spaces.Params, refused: int = 0
) -> spaces.Params | None:
    """Reserves a configuration for the study and writes all parameters of the trial at once; None where it is taken.

    Args:
        refused: how many proposals of this trial other trials had already; kept for the report.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """
    distributions = {p.name: p.distribution for p in study.spec.space.parameters}

    def transaction(connection: sqlalchemy.Connection) -> bool:
        try:
            claims.fence(connection, claim, config=study.spec.space.key(params, claim.repeat))
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
    choose: Callable[[set[str]], spaces.Params | None],
    refused: int = 0,
) -> spaces.Params:
    """Chooses among what is free until the choice is ours: another worker may take it in between."""
    while True:
        chosen = _expect(
            choose(database.read(lambda connection: reservations.taken(connection, study.study_id))), fixed
        )
        if assign(database, study, claim, chosen, refused) is not None:
            return chosen


def _expect(params: spaces.Params | None, wanted: spaces.Params) -> spaces.Params:
    if params is None:
        raise errors.DuplicateConfiguration(f"other trials have every configuration with {wanted} already")
    return params
