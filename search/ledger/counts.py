"""How many trials a study has: counts of Optuna's own rows, which the budget rests on."""

import collections
import dataclasses

import sqlalchemy
from optuna.trial import TrialState

from search.storage import schema

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)  # what uses up budget


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many trials a study has, by state.

    Attributes:
        states: those that workers, or other tools beside them, have run or will run.
        added: those that another tool added with their result; they use up no budget.
        unknown: trials of other tools whose configuration is not reserved yet.
    """

    states: dict[TrialState, int]
    added: int
    unknown: int

    def of(self, state: TrialState) -> int:
        """How many are in a state."""
        return self.states.get(state, 0)

    @property
    def done(self) -> int:
        """How many used up budget."""
        return sum(map(self.of, COUNTED))

    @property
    def total(self) -> int:
        """All rows: the next trial's number."""
        return sum(self.states.values()) + self.added


def complete(connection: sqlalchemy.Connection, study_id: int) -> int:
    """How many trials are complete, whoever ran or added them."""
    query = sqlalchemy.select(sqlalchemy.func.count()).where(
        schema.trials.c.study_id == study_id, schema.trials.c.state == TrialState.COMPLETE
    )
    return int(connection.execute(query).scalar_one())


def read(connection: sqlalchemy.Connection, study_id: int) -> Counts:
    """The counts of Optuna's own rows."""
    trials, added, count = schema.trials, schema.added, sqlalchemy.func.count()
    kinds = (trials.c.state, added.c.ran, added.c.is_known)  # of ours, the last two are NULL
    query = sqlalchemy.select(*kinds, count.label("trials")).join(
        added, added.c.trial_id == trials.c.trial_id, isouter=True
    )
    states: collections.Counter[TrialState] = collections.Counter()
    extra = unknown = 0
    for row in connection.execute(query.where(trials.c.study_id == study_id).group_by(*kinds)):
        unknown += row.trials if row.is_known is False else 0
        if row.ran is False:
            extra += row.trials
        else:
            states[row.state] += row.trials
    return Counts(dict(states), extra, unknown)
