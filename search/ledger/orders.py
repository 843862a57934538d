"""What is ordered of a study: how much it may do, and whether it goes on. The latest row of a ledger is in force."""

import dataclasses
import enum
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy

from search import errors
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import sections, validation

orders = schema.orders


class StudyState(enum.StrEnum):
    """Whether trials begin. Finished studies are active: what is used up is the budget."""

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class Order:
    """What is in force.

    Attributes:
        trials: how many may finish, COMPLETE or PRUNED.
        hours: training time, summed over all trials, after which none begins; None for no limit.
        state: PAUSED: no trial begins and workers wait; STOPPED: no trial begins and workers end.
        at_once: beside PAUSED and STOPPED: running trials are handed over, where otherwise they are finished.
        max_failures: how many failures of the objective are borne.
        epoch_seconds: how long an epoch may take; None for no limit.
        reason: why the study stopped by itself; None where somebody stopped it.
    """

    trials: int
    hours: float | None = None
    state: StudyState = StudyState.ACTIVE
    at_once: bool = False
    max_failures: int = 10
    epoch_seconds: float | None = None
    reason: str | None = None

    @classmethod
    def first(cls, budget: sections.Budget) -> "Order":
        """What a study begins with: the budget of its file."""
        return cls(budget.trials, budget.hours, max_failures=budget.max_failures, epoch_seconds=budget.epoch_seconds)


def read(connection: sqlalchemy.Connection, study: statements.Study) -> Order:
    """The order in force.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
    """
    of_study = orders.c.study_id == study.study_id
    begun = orders.alias()
    mine = sqlalchemy.exists().where(begun.c.study_id == study.study_id, begun.c.token == study.token)
    latest = sqlalchemy.select(orders).where(of_study, mine).order_by(orders.c.order_id.desc()).limit(1)
    if (row := connection.execute(latest).first()) is None:
        raise errors.StudyNotFound(statements.DELETED)
    return _order(row)


def write(connection: sqlalchemy.Connection, study_id: int, order: Order, token: str) -> None:
    """Adds an order to the ledger; `token` is the request's."""
    connection.execute(
        orders.insert().values(study_id=study_id, token=token, **{**dataclasses.asdict(order), "state": order.state})
    )


def first_token(study_id: Any) -> sqlalchemy.ScalarSelect[Any]:
    """The token of a study's first order, which no other study has or will have."""
    first = sqlalchemy.select(orders.c.token).where(orders.c.study_id == study_id)
    return first.order_by(orders.c.order_id).limit(1).scalar_subquery()


def is_written(connection: sqlalchemy.Connection, token: str) -> int | None:
    """The study for which a request was carried out already, where its acknowledgement was lost."""
    return connection.execute(sqlalchemy.select(orders.c.study_id).where(orders.c.token == token)).scalar()


def extend(
    database: Database,
    study: statements.Study,
    add: int | None = None,
    to: int | None = None,
    hours: float | None = None,
) -> Order:
    """Adds trials to the budget, or sets it; adds hours; returns what is in force then.

    Raises:
        errors.InputError: nothing to add, hours where there is no limit, or a budget that would not fit.
    """
    check_extension(add, to, hours)

    def changed(order: Order) -> Order:
        trials = to if to is not None else order.trials + (add or 0)
        if not 1 <= trials <= validation.LARGEST:
            raise errors.InputError(f"the budget must be from 1 to {validation.LARGEST} trials, got {trials}")
        if hours is not None and order.hours is None:
            raise errors.InputError("--hours must be left out: the study has no budget.hours that could be extended")
        more = order.hours if hours is None or order.hours is None else order.hours + hours
        return dataclasses.replace(order, trials=trials, hours=more)

    return _change(database, study, changed)


def check_extension(add: int | None, to: int | None, hours: float | None) -> None:
    """Passes what `extend` can do.

    Raises:
        errors.InputError: nothing to add, or a budget both added to and set.
    """
    if (add is not None and to is not None) or (add is None and to is None and hours is None):
        raise errors.InputError("extend takes either --trials N or --to N, or --hours H")


def set_state(database: Database, study: statements.Study, state: StudyState, at_once: bool = False) -> Order:
    """Pauses, stops, or lets go on; returns what was in force before."""
    before: list[Order] = []

    def changed(order: Order) -> Order:
        before.append(order)
        return dataclasses.replace(order, state=state, at_once=at_once)

    after = _change(database, study, changed)
    return before[-1] if before else after


def _change(database: Database, study: statements.Study, changed: Callable[[Order], Order]) -> Order:
    token = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> Order:
        statements.lock_study(connection, study)
        order = read(connection, study)
        if is_written(connection, token) is not None:
            return order
        order = changed(order)
        write(connection, study.study_id, order, token)
        return order

    return database.write(transaction)


def _order(row: Any) -> Order:
    known = {field.name: getattr(row, field.name) for field in dataclasses.fields(Order)}
    return Order(**{**known, "state": StudyState(row.state)})
