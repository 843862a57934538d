"""What is new in a study since one looked last: trials that have ended, each told once."""

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search.ledger import excerpts, studies
from search.storage import schema, trials
from search.storage.databases import Database

UNENDED = (TrialState.RUNNING, TrialState.WAITING)


class News:
    """Follows a study; what had ended before is no news."""

    def __init__(self, database: Database, study: studies.Study) -> None:
        self._study_id = study.study_id
        self._unended, self._after = database.read(self._look)

    def _look(self, connection: sqlalchemy.Connection) -> tuple[set[int], int]:
        t = schema.trials.c
        last = sqlalchemy.select(t.trial_id).where(t.study_id == self._study_id).order_by(t.trial_id.desc()).limit(1)
        after = connection.execute(last).scalar()
        return set(trials.ids_of(connection, self._study_id, t.state.in_(UNENDED))), -1 if after is None else after

    def read(self, database: Database) -> list[FrozenTrial]:
        """Trials that have ended since the last call, by number, with what is said of them in a line."""

        def transaction(connection: sqlalchemy.Connection) -> tuple[list[FrozenTrial], set[int], int]:
            unended, after = self._look(connection)
            new = trials.ids_of(connection, self._study_id, schema.trials.c.trial_id > self._after)
            ended = (self._unended | set(new)) - unended
            return trials.read(connection, self._study_id, ended, excerpts.SAID, steps=False), unended, after

        found, self._unended, self._after = database.read(transaction)
        return found
