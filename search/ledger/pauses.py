"""Trials that have paused, and which of them goes on: by the rule of successive halving, or as a sampler wishes."""

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import sqlalchemy
from optuna.trial import TrialState

from search.ledger import claims, rungs, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import ladders, validation

t, c = schema.trials.c, schema.claims.c
IS_PAUSED = sqlalchemy.text(schema.PAUSED)


@dataclasses.dataclass(frozen=True)
class Wish:
    """Which paused trials a sampler would go on with, by number, the best first.

    Attributes:
        first: before a new configuration is begun.
        rest: where there is no room for a new one any more; without any the study is finished.
    """

    first: tuple[int, ...] = ()
    rest: tuple[int, ...] = ()


# under the study's lock: made once
WAITING = (
    sqlalchemy.select(t.trial_id, t.number, c.paused, c.standing, c.seconds, c.backend)
    .select_from(schema.claims.join(schema.trials, t.trial_id == c.trial_id))
    .where(c.study_id == statements.STUDY, IS_PAUSED, t.state == TrialState.WAITING)
)
AT_RUNG = WAITING.where(c.paused == rungs.RUNG).order_by(c.standing, c.trial_id).limit(1)
FURTHEST = sqlalchemy.select(sqlalchemy.func.max(c.paused)).where(
    c.study_id == statements.STUDY, IS_PAUSED, c.paused < sqlalchemy.bindparam("below", type_=sqlalchemy.Integer)
)
NUMBERED = WAITING.where(t.number == sqlalchemy.bindparam("number", type_=sqlalchemy.Integer))


def is_of(backends: Collection[str]) -> sqlalchemy.ColumnElement[bool]:
    """Whether a trial is to be trained with one of these, or with any."""
    return sqlalchemy.or_(c.backend.is_(None), c.backend.in_(list(backends)))


def promotable(
    connection: sqlalchemy.Connection, study: studies.Study, taken: Collection[str] | None = None
) -> sqlalchemy.Row[Any] | None:
    """The paused trial that is among the best of its rung by now, the highest rung first; or None.

    Where the study's pruner pauses no more, each is.

    Args:
        taken: backends, of which alone it may be; None for any.
    """
    ladder, study_id = ladder_of(study), study.study_id
    for row in _best(connection, study_id, taken):
        found = (study_id, row.trial_id, row.paused, row.standing)
        if ladder is None or rungs.is_among_best(connection, *found, ladder.factor):
            return row  # type: ignore[no-any-return]
    return None


def furthest(connection: sqlalchemy.Connection, study_id: int) -> sqlalchemy.Row[Any] | None:
    """The paused trial that has come furthest, of these the best; None without any."""
    return next(_best(connection, study_id), None)


def _best(connection: sqlalchemy.Connection, study_id: int, taken: Collection[str] | None = None) -> Iterator[Any]:
    """Of those that have paused after each epoch the best, the last epoch first; an amended study has other rungs."""
    epoch: int | None = validation.LARGEST
    while (epoch := connection.execute(FURTHEST, {"study": study_id, "below": epoch}).scalar()) is not None:
        at_rung = AT_RUNG if taken is None else AT_RUNG.where(is_of(taken))
        row = connection.execute(at_rung, {"study": study_id, "rung_step": epoch}).first()
        if row is not None:
            yield row


def wished(
    connection: sqlalchemy.Connection,
    study_id: int,
    numbers: Sequence[int],
    takes: Callable[[str | None], bool] = lambda _: True,
) -> int | None:
    """The first of these trials, by id, that is still paused, of a backend that the worker takes; or None."""
    for number in numbers:
        row = connection.execute(NUMBERED, {"study": study_id, "number": number}).first()
        if row is not None and takes(row.backend):
            return int(row.trial_id)
    return None


def report(
    database: Database, study: studies.Study, claim: claims.Claim, progress: claims.Progress, rung: int, value: float
) -> None:
    """Stores how far a trial has come that has reached a rung, where it is compared from now on.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """
    own = rungs.standing(value, study.spec.study.direction == "maximize")

    def transaction(connection: sqlalchemy.Connection) -> None:
        statements.lock_study(connection, study)
        claims.write(connection, claim, dataclasses.replace(progress, attrs={}, saved=None))
        rungs.add(connection, study.study_id, claim.trial_id, rung, own)

    database.write(transaction)
    # megabytes, for which nobody is to wait; and last: from beyond a rung that is not noted no training would note it
    if progress.attrs or progress.saved is not None:
        rest = dataclasses.replace(progress, steps={})
        database.write(lambda connection: claims.write(connection, claim, rest))


def settle(
    database: Database,
    study: studies.Study,
    claim: claims.Claim,
    progress: claims.Progress,
    rung: int,
    value: float,
    goes_on: bool | None = None,
) -> bool:
    """Whether a trial goes on that has reached a rung; else it has paused, and is nobody's.

    Args:
        progress: how far it has come since it was written last, with the training after the rung.
        goes_on: what its sampler wishes; None where it must be among the best of the rung.

    Raises:
        errors.TrialLost: the trial has another owner by now.
    """
    own, tries = rungs.standing(value, study.spec.study.direction == "maximize"), itertools.count()
    ladder = ladder_of(study)

    def is_best(connection: sqlalchemy.Connection) -> bool:
        found = (study.study_id, claim.trial_id, rung, own)
        return ladder is None or rungs.is_among_best(connection, *found, ladder.factor)

    # before the lock, where it will hardly go on
    if progress.saved is not None and not (database.read(is_best) if goes_on is None else goes_on):
        whole, progress = progress, claims.Progress(progress.seconds)
        database.write(lambda connection: claims.write(connection, claim, whole))

    def transaction(connection: sqlalchemy.Connection) -> bool:
        statements.lock_study(connection, study)
        if next(tries) and _has_paused(connection, claim, rung):  # in a transaction whose acknowledgement was lost
            return False
        if is_best(connection) if goes_on is None else goes_on:
            claims.fence(connection, claim, passed=rung)
            return True
        claims.release(connection, claim, progress, paused=rung, standing=own)
        bound(connection, study)
        return False

    return database.write(transaction)


def _has_paused(connection: sqlalchemy.Connection, claim: claims.Claim, rung: int) -> bool:
    own = sqlalchemy.select(c.trial_id).where(
        c.trial_id == claim.trial_id, c.generation == claim.generation + 1, c.owner == "", c.paused == rung
    )
    return connection.execute(own).first() is not None


def bound(connection: sqlalchemy.Connection, study: studies.Study) -> None:
    """Removes the checkpoints of paused trials but for those of the furthest, and of these the best."""
    ladder = ladder_of(study)
    if ladder is None:
        return
    saved = schema.checkpoints.join(schema.claims, c.trial_id == schema.checkpoints.c.trial_id)
    kept = sqlalchemy.select(c.trial_id).select_from(saved).where(c.study_id == study.study_id, IS_PAUSED)
    rest = kept.order_by(c.paused.desc(), c.standing, c.trial_id).offset(ladder.checkpoints)
    connection.execute(schema.checkpoints.delete().where(schema.checkpoints.c.trial_id.in_(rest)))


def ladder_of(study: studies.Study) -> ladders.Ladder | None:
    """The rungs of a study; None where its trials do not pause."""
    return ladders.of(study.spec.pruning, study.spec.training)
