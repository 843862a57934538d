"""The rungs that a study file means, and what is said of those that cannot be."""

import pytest
from conftest import quick_text

from search import errors
from search.study import ladders, sections, specs

OWN = """
objective = "own:train"
[study]
name = "own"
[space]
x = [1, 2]
[pruning]
pruner = "asha"
{more}
[budget]
trials = 3
"""


def networks(epochs: int, more: str = "") -> specs.StudySpec:
    text = quick_text(epochs=epochs).replace("hopeless = true", f'hopeless = true\npruner = "asha"\n{more}')
    return specs.parse(text, "quick.toml")


@pytest.mark.parametrize(
    ("epochs", "more", "rungs"),
    [
        (3, "", (1,)),
        (8, "", (1,)),
        (9, "", (1, 3)),
        (10, "", (1, 3)),
        (27, "", (1, 3, 9)),
        (10, "reduction_factor = 2", (1, 2, 4)),
        (10, "min_resource = 2", (2,)),
        (10, "min_resource = 5\nreduction_factor = 2", (5,)),
    ],
)
def test_rungs_are_powers_below_the_end(epochs: int, more: str, rungs: tuple[int, ...]) -> None:
    """A rung times the factor is within a whole trial: one that is nearly over does not pause."""
    spec = networks(epochs, more)
    found = ladders.of(spec.pruning, spec.training)
    assert found is not None
    assert (found.rungs, found.checkpoints) == (rungs, 30)
    own = specs.parse(OWN.format(more=f"max_resource = {epochs}\n{more}"), "own.toml")
    assert ladders.of(own.pruning, own.training) == found


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_short_training_does_not_pause(epochs: int) -> None:
    """A file of the lab's networks whose epochs are set low has no rung, where it does not say where they are."""
    spec = networks(epochs)
    found = ladders.of(spec.pruning, spec.training)
    assert found is not None
    assert found.rungs == ()


def test_other_pruners_pause_nothing() -> None:
    """Without asha there is no ladder."""
    assert ladders.of(sections.Pruning(), None) is None
    assert ladders.of(sections.Pruning(pruner="hyperband"), sections.Training(record=[])) is None


@pytest.mark.parametrize(
    ("epochs", "more", "message"),
    [
        (
            2,
            "min_resource = 1",
            "training.epochs must be at least min_resource * reduction_factor = 3 with pruner = 'asha', got 2",
        ),
        (10, "min_resource = 4", "training.epochs must be at least min_resource * reduction_factor = 12 with"),
        (10, "max_resource = 9", "pruning.max_resource must be left out beside [training], whose epochs say it, got 9"),
        (10, "min_resource = 0", "pruning.min_resource must be >= 1, got 0"),
        (10, "checkpoints = -1", "pruning.checkpoints must be >= 0, got -1"),
    ],
)
def test_what_leaves_no_rung_is_refused(epochs: int, more: str, message: str) -> None:
    """In one line with file, key, rule and value."""
    with pytest.raises(errors.StudyFileError) as caught:
        networks(epochs, more)
    assert str(caught.value).startswith(f"quick.toml: {message}")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "pruning.max_resource must say how many steps a whole trial reports beside pruner = 'asha', got none"),
        (
            "@hyperband",
            "pruning.max_resource must say how many steps a whole trial reports beside pruner = 'hyperband'",
        ),
        ("max_resource = 2", "pruning.max_resource must be at least min_resource * reduction_factor = 3 with pruner"),
    ],
)
def test_an_objective_says_how_long_it_is(more: str, message: str) -> None:
    """Nothing else knows it."""
    text = OWN.replace("asha", more[1:]) if more.startswith("@") else OWN
    text = text.format(more="" if more.startswith("@") else more)
    with pytest.raises(errors.StudyFileError) as caught:
        specs.parse(text, "own.toml")
    assert str(caught.value).startswith(f"own.toml: {message}")
