"""What a claim is decided by: the order in force, the counts, and the last number, as of the study's lock.

The lock is held for as many round trips as there are statements behind it, and all workers of a study take turns at it:
on Postgres it is taken, and all of this read, by one.
"""

import dataclasses
import functools
from typing import Any

import sqlalchemy

from search.ledger import counts, orders
from search.storage import requests, schema, statements


@dataclasses.dataclass(frozen=True)
class Account:
    """A study at the moment in which its lock was had.

    Attributes:
        last_number: of its trials; None where there is none.
    """

    order: orders.Order
    counts: counts.Counts
    last_number: int | None


def lock(connection: sqlalchemy.Connection, study: statements.Study) -> Account:
    """Waits for the study's row, for the rest of the transaction, and reads; see `statements.lock_study`.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
        errors.InputError: its order is of a newer version.
    """
    row = requests.lock_and_read(connection, study, _query())
    return Account(orders.made(row), counts.made(row._mapping), row.last_number)


@functools.cache
def _query() -> sqlalchemy.Select[Any]:
    o = schema.orders
    newest = sqlalchemy.select(o).where(o.c.study_id == statements.STUDY).order_by(o.c.order_id.desc()).limit(1)
    order, counted = newest.subquery("newest"), counts.one().subquery("counted")
    last = statements.LAST_NUMBER.scalar_subquery().label("last_number")
    query = sqlalchemy.select(*order.c, *counted.c, last).select_from(order.join(counted, sqlalchemy.true()))
    return query.where(statements.BEGUN)
