"""What a claim is decided by: the order in force, the counts, the last number, signs of failures, as of the lock.

The lock is held for as many round trips as there are statements behind it, and all workers of a study take turns at it:
on Postgres it is taken, and all of this read, by one. What failures show is asked for where there are any: a longer
request is planned for longer, so it is sent for a study of which this process knows that a trial has failed.
"""

import dataclasses
import functools
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import counts, latest, orders
from search.storage import requests, schema, statements

_FAILED = set[str]()  # tokens of studies with a failed trial: a hint, by which nothing is decided


@dataclasses.dataclass(frozen=True)
class Account:
    """A study at the moment in which its lock was had.

    Attributes:
        signs: what its failures show to the worker that asks.
        last_number: of its trials; None where there is none.
    """

    order: orders.Order
    counts: counts.Counts
    signs: latest.Signs
    last_number: int | None


def lock(connection: sqlalchemy.Connection, study: statements.Study, worker: str = "") -> Account:
    """Waits for the study's row, for the rest of the transaction, and reads; see `statements.lock_study`.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
        errors.InputError: its order is of a newer version.
    """
    is_known = study.token in _FAILED
    row = requests.lock_and_read(connection, study, _query(is_known), **({"name": worker} if is_known else {}))
    found, signs = counts.made(row._mapping), latest.made(row._mapping) if is_known else latest.NO_SIGNS
    if not is_known and found.of(TrialState.FAIL):
        _FAILED.add(study.token)
        signs = latest.read(connection, study.study_id, worker)
    return Account(orders.made(row), found, signs, row.last_number)


@functools.cache
def _query(has_failed: bool) -> sqlalchemy.Select[Any]:
    o = schema.orders
    newest = sqlalchemy.select(o).where(o.c.study_id == statements.STUDY).order_by(o.c.order_id.desc()).limit(1)
    order, counted = newest.subquery("newest"), counts.one().subquery("counted")
    last = statements.LAST_NUMBER.scalar_subquery().label("last_number")
    signs = latest.signs().selected_columns if has_failed else ()
    query = sqlalchemy.select(*order.c, *counted.c, *signs, last)
    query = query.select_from(order.join(counted, sqlalchemy.true()))
    return query.where(statements.BEGUN)
