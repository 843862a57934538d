"""Trials that wait: configurations that a user wants to be tried next, and repeats of them."""

import dataclasses
import itertools
import uuid
from collections.abc import Callable, Iterable
from typing import TypeVar

import sqlalchemy
from sqlalchemy import exc

from search import errors
from search.ledger import foreign, orders, reservations, studies
from search.space import spaces
from search.storage import schema, statements
from search.storage.databases import Database

T = TypeVar("T")


def enqueue(database: Database, study: studies.Study, params: spaces.Params) -> int:
    """Queues a configuration, whole or partial, to be tried next; returns the trial's number.

    Args:
        params: what `Space.trim` kept.

    Raises:
        errors.DuplicateConfiguration: a trial of the study has this configuration already.
    """
    request = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> int:
        statements.lock_study(connection, study)
        foreign.reserve(connection, study)
        number = _numbers(study)
        if (known := connection.execute(number.where(schema.claims.c.request == request)).scalar()) is not None:
            return int(known)
        key = study.spec.space.key(params)
        if (other := connection.execute(number.where(schema.claims.c.config == key)).scalar()) is not None:
            raise errors.DuplicateConfiguration(
                f"study {study.name!r}: trial {other} has this configuration already: {params}"
            )
        return reservations.insert_waiting(
            connection, study.study_id, params, key if study.spec.space.is_complete(params) else None, request
        )

    return _write_again(database, transaction)


def repeat(database: Database, study: studies.Study, params: spaces.Params, count: int) -> list[int]:
    """Queues a configuration `count` times, with training seeds that no trial of it has had; returns the numbers.

    Raises:
        errors.InputError: the configuration is not whole.
    """
    tree = study.spec.space
    if not tree.is_complete(params):
        missing = [p.name for p in tree.parameters if p.exists(params) and p.name not in params]
        raise errors.InputError(f"study {study.name!r}: a repeat needs a whole configuration, {missing} is not given")
    request = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> list[int]:
        statements.lock_study(connection, study)
        known = _numbers(study).where(schema.claims.c.request == request).order_by(schema.trials.c.number)
        if numbers := list(connection.execute(known).scalars()):
            return numbers
        foreign.reserve(connection, study)
        keys = reservations.taken(connection, study.study_id)
        free = (number for number in itertools.count() if tree.key(params, number) not in keys)
        return [
            reservations.insert_waiting(connection, study.study_id, params, tree.key(params, number), request, number)
            for number in itertools.islice(free, count)
        ]

    return _write_again(database, transaction)


def fill(database: Database, study: studies.Study, wanted: Iterable[tuple[spaces.Params, int]]) -> int:
    """Queues those whole configurations with a repeat that no trial has yet, in their order; returns how many.

    The budget grows to hold all that are wanted.
    """
    tree, wanted = study.spec.space, list(wanted)

    def transaction(connection: sqlalchemy.Connection) -> int:
        statements.lock_study(connection, study)
        foreign.reserve(connection, study)
        taken = reservations.taken(connection, study.study_id)
        missing = [(params, number) for params, number in wanted if tree.key(params, number) not in taken]
        for params, number in missing:
            reservations.insert_waiting(connection, study.study_id, params, tree.key(params, number), None, number)
        order = orders.read(connection, study)
        if order.trials < len(wanted):
            grown = dataclasses.replace(order, trials=len(wanted))
            orders.write(connection, study.study_id, grown, uuid.uuid4().hex)
        return len(missing)

    return _write_again(database, transaction)


def _write_again(database: Database, transaction: Callable[[sqlalchemy.Connection], T]) -> T:
    """Writes; once more where a running trial reserved one of the configurations in this moment: it is seen then."""
    try:
        return database.write(transaction)
    except exc.IntegrityError:
        return database.write(transaction)


def _numbers(study: studies.Study) -> sqlalchemy.Select[tuple[int]]:
    return (
        sqlalchemy.select(schema.trials.c.number)
        .join(schema.claims, schema.claims.c.trial_id == schema.trials.c.trial_id)
        .where(schema.claims.c.study_id == study.study_id)
    )
