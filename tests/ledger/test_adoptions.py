"""How an orphan is adopted, once, and how often in vain."""

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState
from trials import GONE, PARAMS, Clock, Make, state, take, while_it_ends

from search.ledger import allocations, claims, configurations, presence, queues, summaries
from search.storage import databases


def test_an_orphan_is_adopted_before_anything_else(opened: databases.Database, make_study: Make) -> None:
    """A trial whose owner fell silent goes on under its number, with its parameters, its stored steps cleared."""
    study = make_study(trials=5)
    claim = take(opened, study, GONE)
    params = configurations.configure(opened, study, claim, opened.history(study.study_id))
    claims.report(opened, claim, {1: 0.3}, 12.0, {})
    queues.enqueue(opened, study, {**PARAMS, "batch_size": 99})
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert (adopted.number, adopted.how) == (claim.number, "adopted")
    assert adopted.params == params
    assert adopted.generation == claim.generation + 1
    assert adopted.seconds == 12.0
    assert state(opened, study, 0).intermediate_values == {}
    assert take(opened, study).number == 1  # the enqueued one, then new ones
    assert len(summaries.whole(opened, study).trials) == 2


def test_a_beat_in_time_prevents_adoption(opened: databases.Database, make_study: Make) -> None:
    """An owner that beats between the observer's last look and its claim keeps the trial."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    clock = Clock(opened, study)
    assert claims.beat(opened, [(claim, None)]) == []
    assert take(opened, study, watch=clock.watch) is allocations.NoTrial.WAIT


def test_an_orphan_is_adopted_once(opened: databases.Database, make_study: Make) -> None:
    """Two observers that both saw it silent: one gets it, the other waits."""
    study = make_study(trials=1)
    take(opened, study, GONE)
    first, second = Clock(opened, study), Clock(opened, study)
    assert take(opened, study, watch=first.watch).how == "adopted"
    assert take(opened, study, watch=second.watch) is allocations.NoTrial.WAIT


def test_a_trial_that_ends_in_this_moment_keeps_its_curve(opened: databases.Database, make_study: Make) -> None:
    """Another tool ends an orphan while it is adopted: it is nobody's, and nothing of it is deleted."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    claims.report(opened, claim, {1: 0.3}, 12.0, {})
    watch = Clock(opened, study).watch
    acting = while_it_ends(opened, claim.trial_id, lambda: take(opened, study, watch=watch))
    assert acting.result() is allocations.NoTrial.FINISHED
    ended = state(opened, study, 0)
    assert (ended.state, ended.intermediate_values) == (TrialState.COMPLETE, {1: 0.3})


def test_three_silent_owners_in_a_row_fail_the_trial(opened: databases.Database, make_study: Make) -> None:
    """What silences its worker three times without an epoch is FAIL with its reason, which does not speak of death."""
    study = make_study(trials=1)
    take(opened, study, GONE)
    for _ in range(2):
        assert take(opened, study, GONE, Clock(opened, study).watch).how == "adopted"
    following = take(opened, study, GONE, Clock(opened, study).watch)
    assert (following.number, following.how) == (1, "created")
    assert state(opened, study, 0).state == TrialState.FAIL
    assert state(opened, study, 0).user_attrs["search:reason"] == (
        "its worker fell silent 3 times in a row without getting further"
    )


def test_owners_that_advanced_do_not_count_as_dead_in_a_row(opened: databases.Database, make_study: Make) -> None:
    """An owner that got further than any before starts the count again; nor does a hand-over count."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    for step in range(1, 5):
        claims.report(opened, claim, {step: 0.5}, 1.0, {})
        claim = take(opened, study, GONE, Clock(opened, study).watch)
        assert claim.how == "adopted"
    for _ in range(4):
        claims.hand_over(opened, claim)
        claim = take(opened, study, GONE)
        assert claim.how == "waiting"
    assert claim.number == 0


def test_what_kills_its_worker_at_the_same_point_again_and_again_fails(
    opened: databases.Database, make_study: Make
) -> None:
    """Epochs that an earlier owner had finished too are no progress: the fourth owner to die there was the last."""
    study = make_study(trials=1)
    claim = take(opened, study, GONE)
    for _ in range(4):
        assert (claim.number, state(opened, study, 0).state) == (0, TrialState.RUNNING)
        claims.report(opened, claim, {1: 0.5}, 1.0, {})
        claim = take(opened, study, GONE, Clock(opened, study).watch)
    assert (claim.number, claim.how) == (1, "created")
    assert state(opened, study, 0).state == TrialState.FAIL
    assert "without getting further" in state(opened, study, 0).user_attrs["search:reason"]


def test_a_trial_of_another_tool_without_a_beat_is_adopted_after_the_grace(
    opened: databases.Database, make_study: Make, url: str
) -> None:
    """A RUNNING trial that plain Optuna left behind counts from when it was first seen."""
    study = make_study(trials=2)
    plain = optuna.load_study(study_name=study.name, storage=url)
    plain.ask()
    assert take(opened, study).number == 1
    assert take(opened, study) is allocations.NoTrial.WAIT
    adopted = take(opened, study, watch=Clock(opened, study).watch)
    assert adopted.how == "adopted"


@pytest.mark.parametrize(
    ("ends", "reason"),
    [
        (
            "left left left",
            "its worker was lost 3 times in a row without getting further, the last time since its device failed",
        ),
        ("dead dead dead", "its worker died 3 times in a row without getting further"),
        (
            "silent dead left",
            "its worker was lost 3 times in a row without getting further, the last time since its device failed; "
            "1 of them are known to have died",
        ),
    ],
)
def test_a_failed_device_is_no_death(opened: databases.Database, make_study: Make, ends: str, reason: str) -> None:
    """A trial that fails by its owners says how they were lost."""
    study = make_study(trials=1)
    dead = dataclasses.replace(presence.Identity.this(), name="dead", pid_started=1.0)
    owners, watch = [dead if end == "dead" else GONE for end in ends.split()], presence.Watch()
    for owner, end in zip(owners, ends.split(), strict=True):
        claim = take(opened, study, owner, watch)
        assert claim.number == 0
        if end == "left":
            claims.leave(opened, claim)
        watch = Clock(opened, study).watch if end == "silent" else presence.Watch()
    assert take(opened, study, GONE, watch).number == 1
    assert state(opened, study, 0).user_attrs["search:reason"] == reason
