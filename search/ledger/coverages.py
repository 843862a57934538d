"""How much of a study's space its trials have covered, those of other tools that lie in it among them."""

import dataclasses
from collections.abc import Collection, Iterable

import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from search.ledger import counts, studies
from search.storage import schema, trials
from search.training import records

t, c = schema.trials.c, schema.claims.c


@dataclasses.dataclass(frozen=True)
class Coverage:
    """What is covered.

    Attributes:
        ran: numbers of trials that another tool runs.
        outside: numbers of other tools' ended trials whose configuration is none of the space.
        is_exhausted: whether every configuration of a finite space has been given to a trial.
        is_answered: whether each has a result: a trial that is complete or pruned.
    """

    ran: frozenset[int]
    outside: frozenset[int]
    is_exhausted: bool
    is_answered: bool


def read(connection: sqlalchemy.Connection, study: studies.Study, found: counts.Counts) -> Coverage:
    """What trials have reserved, and what others have been run with or will be.

    Args:
        found: how many trials there are.
    """
    tree, free = study.spec.space, _unreserved(connection, study)
    outside = _outside(study, free)
    exhausted = answered = False
    if tree.size is not None and found.configs + len(free) >= tree.size:
        own = [f for f in free if f.number not in outside and not records.repeat_of(f) and tree.holds(f.params)]
        keys = {tree.key(trial.params) for trial in own}
        exhausted = _covered(connection, study, keys) >= tree.size
        ended = {tree.key(trial.params) for trial in own if trial.state in counts.COUNTED}
        answered = exhausted and _covered(connection, study, ended, t.state.in_(counts.COUNTED)) >= tree.size
    ran = frozenset(trial.number for trial in free if trial.state == TrialState.RUNNING)
    return Coverage(ran, outside, exhausted, answered)


def outside(connection: sqlalchemy.Connection, study: studies.Study) -> frozenset[int]:
    """What of a coverage decides which trial is the best."""
    return _outside(study, _unreserved(connection, study))


def _outside(study: studies.Study, free: Iterable[FrozenTrial]) -> frozenset[int]:
    # of one that runs nothing is decided yet
    ended = (f for f in free if f.state in counts.COUNTED)
    return frozenset(f.number for f in ended if not study.spec.space.holds(f.params))


def _unreserved(connection: sqlalchemy.Connection, study: studies.Study) -> list[FrozenTrial]:
    """Other tools' trials, running or with a result, whose configuration is not reserved for them."""
    both = schema.trials.join(schema.claims, c.trial_id == t.trial_id, isouter=True)
    nobody = sqlalchemy.func.coalesce(c.owner, "") == ""
    running = sqlalchemy.select(t.trial_id).select_from(both)
    running = running.where(t.study_id == study.study_id, t.state == TrialState.RUNNING, nobody)
    brought = sqlalchemy.select(t.trial_id).select_from(both.join(schema.added, schema.added.c.trial_id == t.trial_id))
    brought = brought.where(schema.added.c.study_id == study.study_id, t.state.in_(counts.COUNTED), c.config.is_(None))
    ids = {*connection.execute(running).scalars(), *connection.execute(brought).scalars()}
    return trials.read(connection, study.study_id, ids, (records.REPEAT.name,), steps=False)


def _covered(
    connection: sqlalchemy.Connection,
    study: studies.Study,
    keys: Collection[str],
    *where: sqlalchemy.ColumnElement[bool],
) -> int:
    """How many configurations are reserved, and how many more these keys are."""
    reserved = sqlalchemy.select(c.config).join(schema.trials, t.trial_id == c.trial_id)
    reserved = reserved.where(c.study_id == study.study_id, c.repeat == 0, c.config.is_not(None), *where)
    known = set(connection.execute(reserved).scalars())
    return len(known.union(keys))
