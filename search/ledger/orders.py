"""What is ordered of a study: how much it may do, and whether it goes on. The latest row of a ledger is in force."""

import dataclasses
import datetime
import enum
import math
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy

from search import errors
from search.ledger import stops, wakings
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import samplers, sections, validation

orders = schema.orders


class StudyState(enum.StrEnum):
    """Whether trials begin. Finished studies are active: what is used up is the budget."""

    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class Order(stops.Limits):
    """What is in force.

    Attributes:
        trials: how many may finish, COMPLETE or PRUNED.
        hours: training time, summed over all trials, after which none begins; None for no limit.
        state: PAUSED: no trial begins and workers wait; STOPPED: no trial begins and workers end.
        at_once: beside PAUSED and STOPPED: running trials are handed over, where otherwise they are finished.
        max_failures: how many failures of the objective are borne.
        epoch_seconds: how long an epoch may take; None for no limit.
        reason: why the study stopped by itself; None where somebody stopped it.
        wakings: how often trials that had ended were woken: what is remembered of ended trials holds for one number.
    """

    trials: int
    hours: float | None = None
    state: StudyState = StudyState.ACTIVE
    at_once: bool = False
    max_failures: int = 10
    epoch_seconds: float | None = None
    reason: str | None = None
    wakings: int = 0

    @classmethod
    def first(cls, budget: sections.Budget) -> "Order":
        """What a study begins with: the budget of its file."""
        return cls(**dict(budget))


def read(connection: sqlalchemy.Connection, study: statements.Study) -> Order:
    """The order in force.

    Raises:
        errors.StudyNotFound: the study was deleted; another may have its row by now.
        errors.InputError: it is of a newer version.
    """
    begun = orders.alias()
    mine = sqlalchemy.exists().where(begun.c.study_id == study.study_id, begun.c.token == study.token)
    return latest(connection, study.study_id, mine)


def latest(connection: sqlalchemy.Connection, study_id: int, *where: sqlalchemy.ColumnElement[bool]) -> Order:
    """The same of a study that is locked, and so known to be there."""
    query = sqlalchemy.select(orders).where(orders.c.study_id == study_id, *where)
    if (row := connection.execute(query.order_by(orders.c.order_id.desc()).limit(1)).first()) is None:
        raise errors.StudyNotFound(statements.DELETED)
    return made(row)


def all_latest(connection: sqlalchemy.Connection) -> dict[int, Order]:
    """The order in force of each study.

    Raises:
        errors.InputError: one is of a newer version.
    """
    last = sqlalchemy.select(sqlalchemy.func.max(orders.c.order_id)).group_by(orders.c.study_id)
    rows = connection.execute(sqlalchemy.select(orders).where(orders.c.order_id.in_(last)))
    return {row.study_id: made(row) for row in rows}


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


@dataclasses.dataclass(frozen=True)
class Extension:
    """What a study may do more.

    Attributes:
        add: trials more, or `to`: trials in all.
        hours: of training time, more.
        failures: of the objective to bear, more.
        epoch_seconds: how long an epoch may take from now on; 0 for no limit.
        target, deadline, regret: the new ones; `stops.NONE` for none.
        patience: so many finished trials more without improvement, from now on at least; `stops.NONE` for any.

    Raises:
        errors.InputError: nothing to change, a budget both added to and set, or what no file could say.
    """

    add: int | None = None
    to: int | None = None
    hours: float | None = None
    failures: int | None = None
    epoch_seconds: float | None = None
    target: float | str | None = None
    patience: int | str | None = None
    deadline: str | datetime.datetime | None = None
    regret: float | str | None = None

    def __post_init__(self) -> None:
        if (self.add is not None and self.to is not None) or not any(v is not None for v in dataclasses.astuple(self)):
            raise errors.InputError(
                "extend takes either --trials N or --to N, or --hours H, --failures N, --epoch-seconds S, "
                "--target VALUE, --patience N, --deadline WHEN, --regret R"
            )
        read = sections.limits(
            {key: getattr(self, key) for key in stops.KEYS if getattr(self, key) not in (None, stops.NONE)}
        )
        for key, value in read.items():
            object.__setattr__(self, key, value)

    def of(self, order: Order, standing: stops.Standing) -> Order:
        """The order that follows; a study that had stopped itself for its failures goes on where more are borne.

        Raises:
            errors.InputError: more of what has no limit, or a budget that would not fit.
        """
        trials = self.to if self.to is not None else order.trials + (self.add or 0)
        failures = order.max_failures + (self.failures or 0)
        for word, lowest, unit, value in (("budget", 1, "trials", trials), ("limit", 0, "failures", failures)):
            if not lowest <= value <= validation.LARGEST:
                rule = f"from {lowest} to {validation.LARGEST} {unit}"
                raise errors.InputError(f"the {word} must be {rule}, got {value}")
        for key, added in (("hours", self.hours), ("patience", None if self.patience == stops.NONE else self.patience)):
            if added is not None and getattr(order, key) is None:
                raise errors.InputError(
                    f"--{key} must be left out: the study has no budget.{key} that could be extended"
                )
        changed: dict[str, Any] = {"trials": trials, "max_failures": failures}
        if self.hours is not None and order.hours is not None:
            changed["hours"] = order.hours + self.hours
        if self.epoch_seconds is not None:
            changed["epoch_seconds"] = self.epoch_seconds or None
        if self.failures and order.reason is not None:
            changed |= {"state": StudyState.ACTIVE, "reason": None}
        given = {key: value for key in stops.KEYS if (value := getattr(self, key)) is not None}
        return dataclasses.replace(order, **changed, **stops.extended(order, standing, given))


def extend(database: Database, study: stops.Study, **more: Any) -> Order:
    """Lets a study do more, and its trials that ended while they paused wait again; returns what is in force then.

    Args:
        more: what `Extension` takes.

    Raises:
        errors.InputError: see `Extension`; a deadline that has passed, or a regret where no model bounds it.
    """
    wanted = Extension(**more)
    sampler = study.spec.sampler.name
    if wanted.regret not in (None, stops.NONE) and (why := samplers.regret_refusal(sampler)):
        raise errors.InputError(f"--regret must not stand {why}; got {wanted.regret}")

    def changed(order: Order, connection: sqlalchemy.Connection) -> Order:
        if wanted.deadline != stops.NONE:
            stops.check_ahead(connection, wanted.deadline and str(wanted.deadline), "--deadline")
        return wanted.of(order, stops.read(connection, study, order))

    return _change(database, study, changed)


def begin_run(database: Database, study: stops.Study) -> Order:
    """Lets a deadline that counts from the begin of a run count from the next trial on."""
    return _change(database, study, lambda order, _: dataclasses.replace(order, begun_at=None))


def set_state(database: Database, study: statements.Study, state: StudyState, at_once: bool = False) -> Order:
    """Pauses, stops, or lets go on; returns what was in force before."""
    before: list[Order] = []

    def changed(order: Order, _: sqlalchemy.Connection) -> Order:
        before.append(order)
        return dataclasses.replace(order, state=state, at_once=at_once, reason=None)

    after = _change(database, study, changed)
    return before[-1] if before else after


Changed = Callable[[Order, sqlalchemy.Connection], Order]


def _change(database: Database, study: statements.Study, changed: Changed) -> Order:
    token = uuid.uuid4().hex

    def transaction(connection: sqlalchemy.Connection) -> Order:
        statements.lock_study(connection, study)
        order = read(connection, study)
        if is_written(connection, token) is not None:
            return order
        order = woken(connection, study.study_id, order, changed(order, connection))
        write(connection, study.study_id, order, token)
        return order

    return database.write(transaction)


def woken(connection: sqlalchemy.Connection, study_id: int, before: Order, after: Order) -> Order:
    """The order that follows another, under the study's lock: where it allows more, paused trials that ended wait."""
    more = after.trials > before.trials or (before.hours is not None and (after.hours or math.inf) > before.hours)
    if not (more or stops.is_lifted(before, after)) or not wakings.wake(connection, study_id):
        return after
    return dataclasses.replace(after, wakings=before.wakings + 1)


def made(row: Any) -> Order:
    """The order of a row of the ledger.

    Raises:
        errors.InputError: it is of a newer version.
    """
    known = {field.name: getattr(row, field.name) for field in dataclasses.fields(Order)}
    if row.state not in [*StudyState]:
        raise errors.InputError(f"an order of the study has the state {row.state!r}, which this version does not know")
    return Order(**{**known, "state": StudyState(row.state)})
