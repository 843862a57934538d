"""A study as an objective sees it."""

import copy

import pytest
from optuna.study import StudyDirection

from search.child import studies

VIEW = studies.View("own", "minimize", "loss")


def test_what_callbacks_ask_for() -> None:
    """Its name, direction and metric, as of Optuna's studies; it can be copied."""
    for view in (VIEW, copy.copy(VIEW)):
        assert (view.study_name, view.direction, view.metric_names) == ("own", StudyDirection.MINIMIZE, ["loss"])
        assert view.directions == [StudyDirection.MINIMIZE]
        assert view.user_attrs == view.system_attrs == {}
        assert not view._is_multi_objective()


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("optimize", "`search enqueue` proposes one"),
        ("ask", "trials are the search's own to begin and to end"),
        ("stop", "a study ends by its \\[budget\\]"),
        ("best_trial", "reaches no storage and no other trials"),
    ],
)
def test_what_it_has_not(name: str, advice: str) -> None:
    """One line says so, and what there is instead; code that looks first finds nothing."""
    with pytest.raises(AttributeError, match=f"trial.study.{name} is not to be had inside an objective: .*{advice}"):
        getattr(VIEW, name)
    assert not hasattr(VIEW, name)


def test_its_storage_is_none() -> None:
    """Callbacks look which storage it is: none that they could write to."""
    with pytest.raises(AttributeError, match="the study's storage.get_all_trials is not to be had"):
        VIEW._storage.get_all_trials(0)
