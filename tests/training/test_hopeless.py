import itertools
import pathlib

import pytest

from models import data, engines
from models.recipes import Recipe
from search.space import tables
from search.study import specs
from search.training import hopeless

TABLE = tables.beside(specs.OURS / "lab.toml")


@pytest.fixture(scope="module")
def images(data_dir: pathlib.Path) -> data.Dataset:
    return data.fashion_mnist(data_dir)


def judged(images: data.Dataset, recipe: Recipe, epochs: int) -> str | None:
    """Why the rule ends a training within so many epochs, or None."""
    judge = hopeless.Hopeless(recipe, images)
    if reason := judge.before():
        return reason
    for epoch in itertools.islice(engines.load("auto").train(recipe, images), epochs):
        if reason := judge.after(epoch):
            return reason
    return None


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0.01, 104, 6, 128, "Sigmoid"),
        Recipe(0.0001, 35, 3, 512, "Sigmoid"),
        Recipe(0.0001, 33, 6, 32, "ReLU"),
        Recipe(0.0001, 1, 6, 512, "Sigmoid"),
    ],
    ids=["trial-2", "trial-3", "trial-5", "trial-7"],
)
def test_the_labs_dead_networks_cost_nothing(images: data.Dataset, recipe: Recipe) -> None:
    """The published trials that never left 10 % are pruned before any training."""
    reason = hopeless.Hopeless(recipe, images).before()
    assert reason is not None
    assert reason.startswith("hopeless before training: the signal can grow by ")


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0.001, 64, 3, 128, "ReLU"),  # the baseline: 11 % for three epochs, 65 % at the end
        Recipe(0.01, 78, 5, 128, "GELU"),  # 10 % for two epochs, 52 % at the end
        Recipe(0.1, 68, 4, 32, "Sigmoid"),  # flatter after its first epoch than before; 10 % for six, 36 % at the end
        Recipe(0.1, 41, 3, 128, "ReLU"),  # the best of the lab
        Recipe(0.01, 127, 0),
    ],
    ids=["baseline", "late-bloomer", "flat-start", "best", "linear"],
)
def test_slow_ones_are_left_alone(images: data.Dataset, recipe: Recipe) -> None:
    """Networks that learn late are pruned neither before training nor while they are judged."""
    assert judged(images, recipe, epochs=2) is None


def test_a_dead_network_is_pruned_after_its_second_epoch(images: data.Dataset) -> None:
    """Sigmoid at depth 5 and learning rate 0.1 could move, and does not."""
    reason = judged(images, Recipe(0.1, 48, 5, 64, "Sigmoid"), epochs=3)
    assert reason is not None
    assert reason.startswith("hopeless after epoch 2: one class for all images")


@pytest.mark.parametrize(
    ("rates", "number", "hopeless_then"),
    [
        ([], 1, False),  # the first epoch alone says nothing
        ([0.031], 2, True),
        ([0.032], 2, False),
        ([0.032, -0.5], 3, True),
        ([0.036, -0.5], 3, False),  # the best counts: noise must not kill
        ([-0.5, 0.01, 0.04], 4, True),
        ([-0.5, 0.01, 0.05], 4, False),
    ],
)
def test_what_cannot_grow_is_given_up(rates: list[float], number: int, hopeless_then: bool) -> None:
    """After two epochs or more: the best rate so far, times the epochs left of ten, against a quarter."""
    assert (hopeless.reason_after(rates, number, 10) is not None) == hopeless_then


def test_no_signal_at_all_is_a_reason_too(images: data.Dataset) -> None:
    """A hundred sigmoid layers leave nothing in any precision: no division by it, but the same reason."""
    reason = hopeless.Hopeless(Recipe(0.1, 64, 100, 8, "Sigmoid"), images).before()
    assert reason is not None
    assert reason.startswith("hopeless before training: the signal can grow by ")


@pytest.mark.skipif(TABLE is None, reason="a clone without the lab's table")
def test_no_living_network_of_the_recorded_space_is_stopped(images: data.Dataset) -> None:
    """Of the lab's recorded trainings none that ends above 0.2 was stopped, nor is one in ten of them stopped now."""
    assert TABLE is not None
    living = [row for row in tables.load(TABLE).rows if len(row.values) == 10 and row.values[-1] > 0.2]
    assert len(living) > 750
    assert [row.params for row in living if row.stop is not None] == []
    some = [Recipe(**row.params, seed=row.seed) for row in living[::10]]
    assert [recipe for recipe in some if hopeless.Hopeless(recipe, images).before()] == []


def test_divergence_is_pruned_with_its_reason() -> None:
    """A loss that is nan ends the trial after that epoch."""
    small = data.synthetic()
    recipe = Recipe(1e6, 4, 3, 64, "ReLU", epochs=2)
    judge = hopeless.Hopeless(recipe, small)
    assert judge.before() is None
    reason = judge.after(next(iter(engines.load("auto").train(recipe, small))))
    assert reason is not None
    assert reason.startswith("diverged: avg loss is ")
