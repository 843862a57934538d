"""A study's trials some at a time, and which of them have changed."""

import pausing
import publishing
import pytest
from optuna.trial import TrialState
from trials import Make, begin, succeed

from search import errors
from search.ledger import lives, portions
from search.storage import batches, databases


def test_every_trial_is_in_one_portion(
    opened: databases.Database, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is left out or told twice, and no portion is larger than a batch."""
    monkeypatch.setattr(batches, "BATCH_TRIALS", 4)
    study = make_study(trials=10)
    for _ in range(10):
        succeed(opened, begin(opened, study))
    found = [[trial.number for trial in portion.trials] for portion in portions.every(opened, study)]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_look_names_what_may_have_changed(opened: databases.Database) -> None:
    """All at first; then what is new, runs or waits, and once more what has ended since."""
    study = publishing.create(opened)
    changes = portions.Changes(study)
    for state in (TrialState.COMPLETE, TrialState.RUNNING):
        publishing.add(opened, state)
    ids = [trial._trial_id for portion in portions.every(opened, study) for trial in portion.trials]
    assert changes.look(opened) == set(ids)
    assert changes.look(opened) == {ids[1]}
    publishing.tell(opened, 1, TrialState.COMPLETE, 0.5)
    assert changes.look(opened) == {ids[1]}
    assert changes.look(opened) == set()
    publishing.add(opened)
    assert len(changes.look(opened)) == 1


def test_what_has_paused_is_told(opened: databases.Database) -> None:
    """Those that wait at a rung, by their numbers, and those alone."""
    study = pausing.create(opened)
    claims = [pausing.begin(opened, study) for _ in range(2)]
    pausing.reach(opened, study, claims[0], 1, 0.5)
    assert not pausing.reach(opened, study, claims[1], 1, 0.1)
    (portion,) = portions.every(opened, study)
    assert claims[1].number in portion.paused
    assert all(portion.trials[number].state == TrialState.WAITING for number in portion.paused)


def test_a_deleted_study_is_told(opened: databases.Database, make_study: Make) -> None:
    """Whoever follows it ends."""
    study = make_study()
    lives.delete(opened, study)
    with pytest.raises(errors.StudyNotFound):
        portions.read(opened, study, [1])
