"""Which study an id stands for."""

import optuna
from trials import Make, take

from search.ledger import identities, lives, studies
from search.storage import databases


def test_an_id_is_told_apart_from_its_next_owner_s(opened: databases.Database, make_study: Make) -> None:
    """A study made anew under the same name, ours or not, is another one; what is gone has no identity."""
    study = make_study()
    claim = take(opened, study)
    found = identities.of_studies(opened, [study.study_id, 99])
    assert found == {study.study_id: ("quick", study.token, None, 0)}
    assert identities.of_trial(opened, claim.trial_id) == found[study.study_id]
    stored = studies.stored(opened, "quick")
    assert stored is not None
    lives.delete(opened, stored)
    assert identities.of_trial(opened, claim.trial_id) is None
    again = make_study()
    assert identities.of_studies(opened, [again.study_id])[again.study_id] == ("quick", again.token, None, 0)
    assert again.token != study.token
    assert identities.of_studies(opened, []) == {}


def test_studies_of_other_tools_are_told_apart_by_their_first_trial(opened: databases.Database) -> None:
    """They have no token: name and begin stand for it."""
    seen = []
    for _ in range(2):
        study = optuna.create_study(study_name="plain", storage=opened.optuna)
        study.optimize(lambda trial: 0.5, n_trials=1)
        (found,) = identities.of_studies(opened, [study._study_id]).values()
        assert found == ("plain", None, study.trials[0].datetime_start, 0)
        seen.append(found)
        opened.optuna.delete_study(study._study_id)
    assert seen[0] != seen[1]
