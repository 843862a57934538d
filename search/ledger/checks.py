"""Whether what a study promises holds in its rows at one moment: exact counts, one owner, no configuration twice."""

import dataclasses
from collections.abc import Iterator

import sqlalchemy
from optuna.trial import TrialState

from search import words
from search.ledger import backups, counts, studies
from search.storage import finishes, recounts, schema, statements, triggers
from search.storage.databases import Database

trials, claims, checkpoints = schema.trials, schema.claims, schema.checkpoints
SHOWN = 5  # numbers of trials in a line


@dataclasses.dataclass(frozen=True)
class Check:
    """One promise.

    Attributes:
        name: a word for it.
        holds: whether it is kept.
        said: what was found, in a sentence.
    """

    name: str
    holds: bool
    said: str


def look(database: Database, study: studies.Study) -> list[Check]:
    """Each promise, and whether it is kept; all rows of the study are counted."""

    def transaction(connection: sqlalchemy.Connection) -> list[Check]:
        backups.see_one_moment(connection)
        return [*_counts(connection, study.study_id), *_rows(connection, study.study_id)]

    return database.read(transaction)


def recount(database: Database, study: studies.Study) -> None:
    """Makes the kept counts those of the rows, under the study's lock; triggers that are missing are made again.

    Raises:
        errors.StudyNotFound: the study was deleted.
    """

    def transaction(connection: sqlalchemy.Connection) -> None:
        if triggers.wrong(connection):
            triggers.create(connection)
        statements.lock_study(connection, study)
        recounts.recount(connection, study.study_id)
        finishes.refill(connection, study.study_id)
        counts.fold(connection, study.study_id)

    database.write(transaction)


def _counts(connection: sqlalchemy.Connection, study_id: int) -> Iterator[Check]:
    wrong = triggers.wrong(connection)
    said = f"missing or of another version: {', '.join(wrong)}" if wrong else "all there, and of this version"
    yield Check("triggers", not wrong, said)
    lacking = recounts.lacking(connection, study_id)
    spent = lacking.pop("microseconds", 0)
    total = counts.read(connection, study_id).total
    said = ", ".join(f"{name} by {-each:+d}" for name, each in lacking.items())
    yield Check(
        "counts",
        not lacking,
        f"the kept ones are wrong: {said}" if lacking else f"those of {words.plural(total, 'row')}",
    )
    many = finishes.lacking(connection, study_id)
    said = f"{words.plural(many, 'trial')} not as the rows say" if many else "as the rows say"
    yield Check("finished", not many, said)
    kept = words.duration(counts.spent_seconds(connection, study_id))
    said = f"the kept one is wrong by {-spent / 1e6:+.6f} s" if spent else f"{kept}, the sum over the trials"
    yield Check("training time", not spent, said)


def _rows(connection: sqlalchemy.Connection, study_id: int) -> Iterator[Check]:
    mine, count = trials.c.study_id == study_id, sqlalchemy.func.count()
    number = sqlalchemy.select(
        count, sqlalchemy.func.count(trials.c.number.distinct()), sqlalchemy.func.max(trials.c.number)
    )
    rows, different, last = connection.execute(number.where(mine)).one()
    holds = rows == different == (-1 if last is None else last) + 1
    said = f"0 to {last}, each once" if rows else "no trial"
    yield Check("numbers", holds, said if holds else f"{rows} trials with {different} numbers up to {last}")
    both = trials.join(claims, claims.c.trial_id == trials.c.trial_id)
    running = sqlalchemy.and_(mine, trials.c.state == TrialState.RUNNING, claims.c.owner.not_in(["", backups.FORMER]))
    twice = sqlalchemy.select(claims.c.owner).select_from(both).where(running).group_by(claims.c.owner)
    many = len(connection.execute(twice.having(count > 1)).all())
    yield Check("owners", not many, f"{many} own several trials" if many else "no token owns two running trials")
    kept = sqlalchemy.select(trials.c.number).join(checkpoints, checkpoints.c.trial_id == trials.c.trial_id)
    asleep = sqlalchemy.exists().where(
        claims.c.trial_id == trials.c.trial_id, claims.c.told, claims.c.paused.is_not(None)
    )
    kept = kept.where(mine, trials.c.state.in_(counts.ENDED), ~asleep)  # what ended while it paused may be woken
    left = connection.execute(kept.order_by(trials.c.number)).scalars().all()
    shown = ", ".join(map(str, left[:SHOWN])) + (", ..." if len(left) > SHOWN else "")
    yield Check("checkpoints", not left, f"of ended trials: {shown}" if left else "none of an ended trial")
    same = sqlalchemy.select(claims.c.config).where(claims.c.study_id == study_id, claims.c.config.is_not(None))
    many = len(connection.execute(same.group_by(claims.c.config).having(count > 1)).all())
    yield Check("configurations", not many, f"{many} reserved twice" if many else "none reserved twice")
    yield _paused(connection, study_id)
    yield _budget(connection, study_id)


def _paused(connection: sqlalchemy.Connection, study_id: int) -> Check:
    """A trial that pauses waits and is nobody's."""
    asleep = sqlalchemy.and_(claims.c.study_id == study_id, sqlalchemy.text(schema.PAUSED))
    query = sqlalchemy.select(trials.c.number, trials.c.state, claims.c.owner)
    rows = connection.execute(query.join(claims, claims.c.trial_id == trials.c.trial_id).where(asleep)).all()
    odd = sorted(row.number for row in rows if row.state != TrialState.WAITING or row.owner)
    shown = ", ".join(map(str, odd[:SHOWN])) + (", ..." if len(odd) > SHOWN else "")
    said = f"{words.plural(len(rows), 'trial')}, all of which wait and are nobody's"
    return Check("pauses", not odd, f"of trials that do not wait, or have an owner: {shown}" if odd else said)


def _budget(connection: sqlalchemy.Connection, study_id: int) -> Check:
    """No worker of ours has begun a trial when the largest budget that was ever ordered was used up, by whomever."""
    both = trials.join(claims, claims.c.trial_id == trials.c.trial_id, isouter=True)
    both = both.join(schema.added, schema.added.c.trial_id == trials.c.trial_id, isouter=True)
    ended, running = trials.c.state.in_(counts.COUNTED), trials.c.state == TrialState.RUNNING
    ours = sqlalchemy.or_(
        sqlalchemy.and_(ended, claims.c.told.is_(True)), sqlalchemy.and_(running, claims.c.owner != "")
    )
    ours = sqlalchemy.and_(trials.c.study_id == study_id, sqlalchemy.func.coalesce(ours, sqlalchemy.false()))
    # what another tool ran: beside our workers, or before the study was adopted; not what was added with its result
    theirs = sqlalchemy.and_(trials.c.study_id == study_id, ended, schema.added.c.ran.is_(True), ~ours)
    count = sqlalchemy.select(sqlalchemy.func.count(), sqlalchemy.func.max(trials.c.datetime_start)).select_from(both)
    mine, last = connection.execute(count.where(ours)).one()
    others = connection.execute(count.where(theirs)).one()[0]
    before = 0 if last is None else connection.execute(count.where(theirs, trials.c.datetime_complete < last)).one()[0]
    most = sqlalchemy.select(sqlalchemy.func.max(schema.orders.c.trials)).where(schema.orders.c.study_id == study_id)
    budget = connection.execute(most).scalar_one()
    said = f"{mine + others} of {budget} trials are used up or run"
    return Check("budget", mine + before <= budget, f"{said}, {others} by other tools" if others else said)
