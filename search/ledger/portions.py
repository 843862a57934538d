"""A study's trials some at a time, each portion read in a transaction of its own, and which of them have changed."""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search.ledger import orders, studies
from search.storage import batches, schema, trials
from search.storage.databases import Database

UNENDED = (TrialState.RUNNING, TrialState.WAITING)


@dataclasses.dataclass(frozen=True)
class Portion:
    """Some trials, by number, with all that is stored of each.

    Attributes:
        paused: numbers of those that have paused at a rung and wait.
    """

    trials: Sequence[FrozenTrial]
    paused: frozenset[int]


def read(database: Database, study: studies.Study, ids: Collection[int]) -> Portion:
    """These trials, as far as they are there; at most `batches.BATCH_TRIALS` of them at a time are no burden.

    Raises:
        errors.StudyNotFound: the study was deleted.
    """

    def transaction(connection: sqlalchemy.Connection) -> Portion:
        orders.read(connection, study)
        found = trials.read(connection, study.study_id, ids)
        c = schema.claims.c
        query = sqlalchemy.select(c.trial_id).where(c.study_id == study.study_id, sqlalchemy.text(schema.PAUSED))
        asleep = set(connection.execute(query.where(c.trial_id.in_(list(ids)))).scalars())
        return Portion(found, frozenset(trial.number for trial in found if trial._trial_id in asleep))

    return database.read(transaction)


def every(database: Database, study: studies.Study) -> Iterator[Portion]:
    """All trials, in the order of their ids.

    Raises:
        errors.StudyNotFound: the study was deleted.
    """
    for ids in chunks(Changes(study).look(database)):
        yield read(database, study, ids)


def chunks(ids: Collection[int]) -> Iterator[list[int]]:
    """Ids in their order, so many together as make a portion."""
    chosen = sorted(ids)
    for at in range(0, len(chosen), batches.BATCH_TRIALS):
        yield chosen[at : at + batches.BATCH_TRIALS]


class Changes:
    """Follows a study by the ids of its trials: which may have changed since the last look. The first names all."""

    def __init__(self, study: studies.Study) -> None:
        self._study_id = study.study_id
        self._unended: set[int] = set()
        self._after = -1

    def look(self, database: Database) -> set[int]:
        """Trials that are new, have not ended, or had not at the last look."""

        def transaction(connection: sqlalchemy.Connection) -> tuple[set[int], set[int]]:
            t = schema.trials.c
            unended = trials.ids_of(connection, self._study_id, t.state.in_(UNENDED))
            return set(unended), set(trials.ids_of(connection, self._study_id, t.trial_id > self._after))

        unended, new = database.read(transaction)
        found = unended | new | self._unended
        self._unended, self._after = unended, max(new, default=self._after)
        return found
