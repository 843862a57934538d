"""A study as a whole: deleted or renamed under its lock, and only while no worker is at it."""

import dataclasses
import itertools

import sqlalchemy
from sqlalchemy import exc

from search import errors, words
from search.ledger import counts, likenesses, orders, rosters, studies
from search.storage import schema, statements
from search.storage.databases import Database
from search.study import names


@dataclasses.dataclass(frozen=True)
class Content:
    """What would be lost with a study: its trials, and their training time over all owners in seconds."""

    trials: int
    seconds: float

    def sentence(self) -> str:
        """`12 trials, 3.4 h of training`."""
        return f"{words.plural(self.trials, 'trial')}, {words.duration(self.seconds)} of training"


def content(database: Database, study: studies.Stored) -> Content:
    """What a study holds."""

    def transaction(connection: sqlalchemy.Connection) -> Content:
        trials = sqlalchemy.select(sqlalchemy.func.count()).where(schema.trials.c.study_id == study.study_id)
        return Content(connection.execute(trials).scalar_one(), counts.spent_seconds(connection, study.study_id))

    return database.read(transaction)


def delete(database: Database, study: studies.Stored) -> None:
    """Deletes a study, ours or another tool's, with all its rows, all or nothing.

    Optuna's own deletion does nothing, and says nothing, where a worker writes to a trial at that moment.

    Raises:
        errors.StudyInUse: workers are at it.
        errors.StudyNotFound: it was deleted before.
    """
    tries = itertools.count()

    def transaction(connection: sqlalchemy.Connection) -> None:
        again = next(tries) > 0
        if not lock(connection, study):
            if again:  # by us, in a transaction whose acknowledgement was lost
                return
            raise gone(study)
        check_free(connection, study, "deleted")
        statements.delete_study(connection, study.study_id)

    database.write(transaction)


def check_name(name: str) -> str:
    """A name that a new study file may give, in its one form.

    Raises:
        errors.InputError: it is none.
    """
    try:
        return names.new_study(name)
    except ValueError as error:
        raise errors.InputError(f"new name {error}, got {name!r}") from None


def rename(database: Database, study: studies.Stored, name: str) -> None:
    """Gives a study another name. Its trials, its budget, and its file with the old name in it, stay as they are.

    Raises:
        errors.InputError: a name that no study file may give.
        errors.StudyExists: it is taken.
        errors.StudyInUse: workers are at it; one that was begun again would look for the old name.
        errors.StudyNotFound: it was deleted.
    """
    name = check_name(name)

    def transaction(connection: sqlalchemy.Connection) -> None:
        if not lock(connection, study):
            raise gone(study)
        check_free(connection, study, "renamed")
        likenesses.check(connection, name, study.name)
        row = schema.studies.update().where(schema.studies.c.study_id == study.study_id)
        connection.execute(row.values(study_name=name))

    try:
        database.write(transaction)
    except exc.IntegrityError as error:
        raise errors.StudyExists(f"study {name!r} exists already; nothing was renamed") from error


def lock(connection: sqlalchemy.Connection, study: studies.Stored) -> bool:
    """Waits for the study's row, for the rest of the transaction; False where the study is gone."""
    ordered = sqlalchemy.select(schema.orders.c.token).where(schema.orders.c.study_id == study.study_id)
    if study.token is None:
        same = sqlalchemy.and_(schema.studies.c.study_name == study.name, ~ordered.exists())
    else:
        same = ordered.where(schema.orders.c.token == study.token).exists()
    row = sqlalchemy.select(schema.studies.c.study_id).where(schema.studies.c.study_id == study.study_id, same)
    return connection.execute(row.with_for_update()).first() is not None


def gone(study: studies.Stored) -> errors.StudyNotFound:
    """What is said of a study that was deleted in between."""
    return errors.StudyNotFound(f"study {study.name!r} is not there any more: it was deleted in this moment")


def check_free(connection: sqlalchemy.Connection, study: studies.Stored, what: str) -> None:
    """Passes a study on which nobody works, nor is about to.

    Args:
        what: is to be done with it: `deleted`.

    Raises:
        errors.StudyInUse: it is active and has workers alive, or one of them trains a trial.
    """
    crew = rosters.look(connection, study.study_id)
    state = sqlalchemy.select(schema.orders.c.state).where(schema.orders.c.study_id == study.study_id)
    latest = connection.execute(state.order_by(schema.orders.c.order_id.desc()).limit(1)).scalar()
    busy = sum(len(member.trials) for member in crew.members)
    if not busy and not (crew.members and latest == orders.StudyState.ACTIVE):
        return
    training = f", {words.plural(busy, 'trial')} in training" if busy else ""
    raise errors.StudyInUse(
        f"study {study.name!r} cannot be {what} while {words.plural(len(crew.members), 'worker')} "
        f"{'is' if len(crew.members) == 1 else 'are'} alive{training}: `search stop {words.typed(study.name)} --now` "
        "ends them"
    )
