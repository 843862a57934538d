"""How many trials a study has: counts of Optuna's own rows, which the budget rests on."""

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


def read(connection: sqlalchemy.Connection, study_id: int) -> Counts:
    """The counts of Optuna's own rows."""
    trials, added, count = schema.trials, schema.added, sqlalchemy.func.count()
    by_state = sqlalchemy.select(trials.c.state, count).where(trials.c.study_id == study_id).group_by(trials.c.state)
    states = {row[0]: row[1] for row in connection.execute(by_state)}
    foreign = (
        sqlalchemy.select(trials.c.state, added.c.ran, added.c.is_known, count.label("trials"))
        .join(added, added.c.trial_id == trials.c.trial_id)
        .where(added.c.study_id == study_id)
        .group_by(trials.c.state, added.c.ran, added.c.is_known)
    )
    extra = unknown = 0
    for row in connection.execute(foreign):
        unknown += 0 if row.is_known else row.trials
        if not row.ran:
            states[row.state] -= row.trials
            extra += row.trials
    return Counts(states, extra, unknown)
