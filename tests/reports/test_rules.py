"""How to read a report: rules for what is in it, and none for what is not."""

import pathlib

from conftest import quick_text
from optuna.trial import TrialState
from trials import begin

from search.ledger import claims, studies
from search.reports import contents
from search.storage import databases
from search.study import specs

OWN = """
objective = "mine:objective"
[study]
name = "own"
direction = "minimize"
metric = "loss"
[space]
x = [0.1, 0.2, 0.3, 0.4]
{more}
[sampler]
name = "random"
[budget]
trials = 4
"""
OF_NETWORKS = ("images", "epoch", "accuracy", "test set", "CPU s", "before training")


def written(opened: databases.Database, folder: pathlib.Path, more: str = "") -> str:
    """The page of a study of own code whose trials came to much and little, one of them pruned and one failed."""
    study = studies.create(opened, specs.parse(OWN.format(more=more), "own.toml"))
    for state, value, steps in (
        (TrialState.COMPLETE, 1e9, {}),
        (TrialState.COMPLETE, 1e-8, {}),
        (TrialState.PRUNED if more else TrialState.COMPLETE, 2.0, {}),
        (TrialState.FAIL, None, {}),
    ):
        claim = begin(opened, study)
        claims.tell(
            opened,
            claim,
            state,
            value,
            {"search:reason": "no good"} if state != TrialState.COMPLETE else {},
            1.0,
            steps,
        )
    return contents.write(opened, [study], folder / study.name).markdown.read_text()


def test_a_search_by_own_code_is_read_without_networks(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Nothing of images, epochs or accuracy; losses that lie far apart are on a logarithmic axis, which is said."""
    page = written(opened, tmp_path, "kind = { choices = [true], none = true }")
    assert not [word for word in OF_NETWORKS if word in page]
    assert page.count("The axis of the values is logarithmic.") == 2
    assert "| no good | 1 | without a step | 2 |" in page
    assert "repeat k of every configuration has the same `trial.seed`" in page


def test_a_factor_of_own_code_without_steps(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """It has a table and no empty figure."""
    page = written(opened, tmp_path)
    assert not [word for word in OF_NETWORKS if word in page]
    assert "| x | seeds | loss |" in page
    assert "![" not in page


def test_networks_are_read_as_before(opened: databases.Database, tmp_path: pathlib.Path) -> None:
    """Beside own code both have their rules."""
    networks = studies.create(opened, specs.parse(quick_text(), "quick.toml"))
    claims.tell(opened, begin(opened, networks), TrialState.COMPLETE, 0.5, {}, 1.0, {1: 0.4, 2: 0.5})
    page = contents.write(opened, [networks], tmp_path / "quick").markdown.read_text()
    assert "guessing gives 0.1" in page
    assert "sees the images in the same order" in page
    assert "trial.seed" not in page
