"""What is left to do is what workers would find to do."""

import pytest
from optuna.trial import TrialState
from trials import Make, begin, claim, take

from search.ledger import allocations, backlogs, claims, digests, orders, queues, studies
from search.storage import databases
from search.study import specs

OWN = """
objective = "train:objective"
[study]
name = "three"
[space]
x = [1, 2, 3]
[sampler]
name = "random"
[budget]
trials = {trials}
"""


def todo(database: databases.Database, study: studies.Study) -> int:
    digest = database.read(lambda connection: digests.read(connection, [study]))[study.study_id]
    return backlogs.todo(digest, backlogs.configurations(database).get(study.study_id, 0))


def end(database: databases.Database, claim: claims.Claim, state: TrialState = TrialState.COMPLETE) -> None:
    claims.tell(database, claim, state, 0.5 if state is TrialState.COMPLETE else None, {}, 40.0)


def test_it_is_what_the_budget_leaves(opened: databases.Database, make_study: Make) -> None:
    """Running and waiting trials included; one that failed is to be made up for."""
    study = make_study(trials=4)
    assert todo(opened, study) == 4
    queues.enqueue(opened, study, {"depth": 0})
    assert todo(opened, study) == 4
    running = begin(opened, study)
    assert todo(opened, study) == 4
    end(opened, running, TrialState.FAIL)
    assert todo(opened, study) == 4
    for left in (3, 2, 1, 0):
        end(opened, begin(opened, study))
        assert todo(opened, study) == left
    orders.extend(opened, study, add=2)
    assert todo(opened, study) == 2


@pytest.mark.parametrize("how", ["paused", "stopped", "hours", "target"])
def test_only_what_runs_is_left_where_nothing_may_begin(opened: databases.Database, make_study: Make, how: str) -> None:
    """In a study that is paused, stopped, out of hours or at its target, workers are there for what runs."""
    more = {"hours": "hours = 0.01", "target": "target = 0.4"}.get(how, "")
    study = make_study(trials=9, more=more)
    end(opened, begin(opened, study))
    if how in ("hours", "target"):
        assert todo(opened, study) == 0
        assert isinstance(take(opened, study), allocations.NoTrial)
        return
    running = claim(opened, study)
    orders.set_state(opened, study, orders.StudyState(how))
    assert todo(opened, study) == 1
    end(opened, running)
    assert todo(opened, study) == 0


@pytest.mark.parametrize("trials", [2, 8])
def test_a_finite_space_is_no_more_than_its_configurations(opened: databases.Database, trials: int) -> None:
    """A budget beyond them keeps nobody waiting for what will not come."""
    study = studies.create(opened, specs.parse(OWN.format(trials=trials), "three.toml"))
    for left in range(min(trials, 3), 0, -1):
        assert todo(opened, study) == left
        end(opened, begin(opened, study))
    assert todo(opened, study) == 0
