"""What ends a study before its trials are used up: a target, patience, a regret or a deadline, seen at one moment.

Each is a question to the database's own rows, and to its clock, so that all workers are given the same answer. The
order in which trials have finished, and which is the best, the database keeps (`storage.finishes`): one statement looks
both up, however many trials there are.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import sqlalchemy

from search import errors
from search.storage import schema, statements
from search.study import deadlines, specs, validation

FINISHED, ADDED = schema.finished.name, schema.added.name


KEYS = ("target", "patience", "deadline", "regret")  # of [budget]
NONE = "none"  # what lifts one of them


class Stop(enum.StrEnum):
    """What has ended a study; the first of several that have."""

    TARGET = "target"
    PATIENCE = "patience"
    REGRET = "regret"
    DEADLINE = "deadline"


class Study(statements.Study, Protocol):
    """A study with its file, which says whether more is better."""

    @property
    def spec(self) -> specs.StudySpec:
        """The file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What of an order ends a study before its trials are used up; None where it does not.

    Attributes:
        target: the value that is enough.
        patience: how many trials may finish without improvement.
        deadline: a time from the begin of a run, or a moment; see `deadlines`.
        regret: how much worse than the best there is the best trial may be, by a model.
        begun_at: when the run began, by the database's clock, seconds since 1970; None before its first trial.
        bound: what a model said last of the regret, and `bound_trials`: how many finished trials it had seen.
    """

    target: float | None = None
    patience: int | None = None
    deadline: str | None = None
    regret: float | None = None
    begun_at: float | None = None
    bound: float | None = None
    bound_trials: int | None = None

    @property
    def has_any(self) -> bool:
        """Whether anything but trials, hours and failures ends the study."""
        return any(each is not None for each in (self.target, self.patience, self.regret, self.deadline))


Ordered = TypeVar("Ordered", bound=Limits)


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a sampler's model says of the best trial.

    Attributes:
        regret: by how much at most it is worse than the best there is, in the unit of the metric.
        trials: how many finished trials the model has seen: of two bounds that of more trials is the later.
    """

    regret: float
    trials: int


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a study is from what ends it.

    Attributes:
        best: the best value of a trial that is complete; None while none is.
        unimproved: how many trials of the budget have finished, COMPLETE or PRUNED, after the first that had this
            value; all, while none is complete.
        now: the database's clock, seconds since 1970.
        trial: the id of the first trial that has the best value.
    """

    best: float | None = None
    unimproved: int = 0
    now: float = 0.0
    trial: int | None = None

    def stop(self, order: Limits, maximizes: bool) -> Stop | None:
        """What has ended a study of this order, or None."""
        target, best = order.target, self.best
        if target is not None and best is not None and (best >= target if maximizes else best <= target):
            return Stop.TARGET
        if order.patience is not None and self.unimproved >= order.patience:
            return Stop.PATIENCE
        if order.regret is not None and order.bound is not None and order.bound <= order.regret:
            return Stop.REGRET
        left = self.seconds_left(order)
        return Stop.DEADLINE if left is not None and left <= 0 else None

    def seconds_left(self, order: Limits) -> float | None:
        """Until the deadline, 0 or less where it has passed; None without one, or before its run has begun."""
        if order.deadline is None:
            return None
        moment = deadlines.moment(order.deadline, order.begun_at)
        return None if moment is None else moment - self.now


UNKNOWN = Standing()


def read(connection: sqlalchemy.Connection, study: Study, order: Limits, is_counted: bool = True) -> Standing:
    """The standing now, by one statement.

    Args:
        is_counted: all trials without improvement, where a claim needs as many as the patience.
    """
    most = validation.LARGEST if is_counted else order.patience or 0
    row = connection.execute(_query(connection.dialect.name), {"study": study.study_id, "most": most}).one()
    sign = -1.0 if is_maximized(study) else 1.0
    return Standing(
        None if row.score is None else sign * float(row.score), int(row.unimproved), float(row.now), row.trial
    )


def is_maximized(study: Study) -> bool:
    """Whether more is better."""
    return study.spec.study.direction == "maximize"


def reached(connection: sqlalchemy.Connection, study: Study, order: Limits) -> Stop | None:
    """What has ended a study, in the transaction of a claim; a study with nothing that would is not asked for."""
    if not order.has_any:
        return None
    return read(connection, study, order, is_counted=False).stop(order, is_maximized(study))


@functools.cache
def _query(dialect: str) -> sqlalchemy.TextClause:
    """The query, made once.

    Of another tool's trials those that lie outside the space are never the best, nor those not looked at yet. What was
    added with its result is no trial of the budget, and one that ended because the study did has not finished. In the
    index's order: else Postgres may read all of it before the limit.
    """
    return sqlalchemy.text(
        "SELECT best.score AS score, best.trial_id AS trial, (SELECT count(*) FROM (SELECT 1 AS one "  # noqa: S608  # names of tables only
        f"FROM {FINISHED} AS later WHERE later.study_id = :study "
        "AND is_counted AND (later.place, later.trial_id) > (coalesce(best.place, 0), coalesce(best.trial_id, 0)) "
        "ORDER BY later.place, later.trial_id LIMIT :most) AS counted) AS unimproved, "
        f"{statements.CLOCKS[dialect]} AS now "
        "FROM (SELECT 1 AS one) AS moment LEFT JOIN (SELECT score, place, trial_id "
        f"FROM {FINISHED} AS kept WHERE study_id = :study AND {schema.SCORED} AND NOT EXISTS "
        f"(SELECT 1 FROM {ADDED} AS brought WHERE brought.trial_id = kept.trial_id AND NOT brought.is_known) "
        "ORDER BY score, place, trial_id LIMIT 1) AS best ON true"
    )


def extended(limits: Limits, standing: Standing, given: Mapping[str, Any]) -> dict[str, Any]:
    """What of the limits changes where some are given anew, or lifted; patience is added to."""
    changed = {key: None if value == NONE else value for key, value in given.items()}
    if (more := changed.get("patience")) is not None and limits.patience is not None:
        changed["patience"] = min(validation.LARGEST, max(limits.patience, standing.unimproved) + more)
    return {**changed, **({"begun_at": None} if "deadline" in changed else {})}


def is_lifted(before: Limits, after: Limits) -> bool:
    """Whether a limit is another one by now, or another run begins."""
    is_begun_anew = before.begun_at is not None and after.begun_at is None
    return is_begun_anew or any(getattr(before, key) != getattr(after, key) for key in KEYS)


def note(connection: sqlalchemy.Connection, study_id: int, order: Ordered, **found: Any) -> Ordered:
    """Writes into the order in force what was found, under the study's lock; returns the order with it."""
    orders = schema.orders
    last = sqlalchemy.select(sqlalchemy.func.max(orders.c.order_id)).where(orders.c.study_id == study_id)
    connection.execute(orders.update().where(orders.c.order_id == last.scalar_subquery()).values(**found))
    return dataclasses.replace(order, **found)


def note_bound(connection: sqlalchemy.Connection, study: Study, order: Ordered, bound: Bound | None) -> Ordered:
    """Keeps what a model says, under the study's lock, unless a later bound is there; returns the order with it."""
    if bound is None or not math.isfinite(bound.regret) or bound.trials < (order.bound_trials or 0):
        return order
    return note(connection, study.study_id, order, bound=bound.regret, bound_trials=bound.trials)


def note_begin(connection: sqlalchemy.Connection, study: Study, order: Ordered) -> Ordered:
    """The run begins with its first trial, under the study's lock: the deadline is so long after this moment."""
    if order.begun_at is not None or order.deadline is None or deadlines.duration(order.deadline) is None:
        return order
    now = float(connection.execute(sqlalchemy.select(statements.clock(connection))).scalar_one())
    return note(connection, study.study_id, order, begun_at=now)


def check_ahead(connection: sqlalchemy.Connection, deadline: Any, place: str) -> None:
    """Passes a deadline that has not passed by the database's clock.

    Raises:
        errors.InputError: it has.
    """
    if deadline is None or (moment := deadlines.moment(deadline, None)) is None:
        return
    now = float(connection.execute(sqlalchemy.select(statements.clock(connection))).scalar_one())
    if moment <= now:
        raise errors.InputError(
            f"{place} must lie ahead of the database's clock, {deadlines.said(now)}, got {deadline}"
        )
