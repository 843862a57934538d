import pathlib

import pytest

from models import data, engines
from models.recipe import Recipe
from search import hopeless


@pytest.fixture(scope="module")
def images(data_dir: pathlib.Path) -> data.Dataset:
    return data.fashion_mnist(data_dir)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0.01, 104, 6, 128, "Sigmoid"),
        Recipe(0.0001, 35, 3, 512, "Sigmoid"),
        Recipe(0.0001, 1, 6, 512, "Sigmoid"),
    ],
    ids=["trial-2", "trial-3", "trial-7"],
)
def test_the_labs_dead_networks_cost_nothing(images: data.Dataset, recipe: Recipe) -> None:
    """The published trials that never left 10 % for their vanishing gradients are pruned before any training."""
    reason = hopeless.Hopeless(recipe, images).before()
    assert reason is not None
    assert reason.startswith("hopeless before training: move ")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0.001, 64, 3, 128, "ReLU"),  # the baseline: 11 % for three epochs, 65 % at the end
        Recipe(0.01, 78, 5, 128, "GELU"),  # the nearest late bloomer that was measured
        Recipe(0.1, 41, 3, 128, "ReLU"),  # the best of the lab
        Recipe(0.01, 127, 0),
    ],
    ids=["baseline", "late-bloomer", "best", "linear"],
)
def test_slow_ones_are_left_alone(images: data.Dataset, recipe: Recipe) -> None:
    """Networks that learn late are pruned neither before training nor after their first epoch."""
    judge = hopeless.Hopeless(recipe, images)
    assert judge.before() is None
    first = next(iter(engines.load("auto").train(recipe, images)))
    assert judge.after(first) is None


def test_a_dead_network_is_pruned_after_its_first_epoch(images: data.Dataset) -> None:
    """Sigmoid at depth 5 and learning rate 0.1 moves enough to start, and is found flat after one epoch."""
    recipe = Recipe(0.1, 111, 5, 512, "Sigmoid")
    judge = hopeless.Hopeless(recipe, images)
    assert judge.before() is None
    reason = judge.after(next(iter(engines.load("auto").train(recipe, images))))
    assert reason is not None
    assert reason.startswith("hopeless after epoch 1: accuracy 0.1")


def test_divergence_is_pruned_with_its_reason() -> None:
    """A loss that is nan ends the trial after that epoch."""
    small = data.synthetic()
    recipe = Recipe(1e6, 4, 3, 64, "ReLU", epochs=2)
    judge = hopeless.Hopeless(recipe, small)
    assert judge.before() is None
    reason = judge.after(next(iter(engines.load("auto").train(recipe, small))))
    assert reason is not None
    assert reason.startswith("diverged: avg loss is ")
