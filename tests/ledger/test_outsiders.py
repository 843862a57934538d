"""Studies of other tools, summed up."""

import math

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.ledger import listings, outsiders, studies
from search.storage import databases


def one(database: databases.Database, name: str) -> outsiders.Outsider:
    found = listings.one(database, studies.load_stored(database, name))
    assert isinstance(found, outsiders.Outsider)
    return found


@pytest.mark.parametrize(("direction", "best"), [("minimize", 1), ("maximize", 2)])
def test_counts_and_the_best(empty_url: str, direction: str, best: int) -> None:
    """What Optuna itself says, infinities among the values."""
    study = optuna.create_study(study_name="theirs", storage=empty_url, direction=direction)
    values = [0.0, -math.inf, math.inf, 1.0]
    study.add_trials([create_trial(value=value) for value in values])
    study.add_trial(create_trial(state=TrialState.FAIL))
    found = one(databases.open_to_read(empty_url), "theirs")
    assert (found.total, found.counts) == (5, {TrialState.COMPLETE: 4, TrialState.FAIL: 1})
    assert found.best is not None
    assert found.best.number == study.best_trial.number == best


def test_the_front_is_optuna_s(empty_url: str) -> None:
    """The complete trials that none is better than in all, and no others."""
    study = optuna.create_study(study_name="theirs", storage=empty_url, directions=["minimize", "maximize"])
    pairs = [(1.0, 1.0), (0.5, 1.0), (2.0, 3.0), (0.5, 0.5)]
    study.add_trials([create_trial(values=pair) for pair in pairs] + [create_trial(state=TrialState.FAIL)])
    database = databases.open_to_read(empty_url)
    found = one(database, "theirs")
    front = outsiders.front(found, outsiders.trials(database, found))
    assert [trial.number for trial in front] == [1, 2]
    assert (found.best, found.goal) == (None, "minimize value 0, maximize value 1")
