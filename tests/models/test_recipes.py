import pytest

from models import errors
from models.recipes import Recipe


def test_depth_zero_has_neither_width_nor_activation() -> None:
    """Recipes that mean the same linear model are equal, whatever width and activation they name."""
    assert Recipe(0.1, 64, 0, 128, "ReLU") == Recipe(0.1, 64, 0, 32, "GELU") == Recipe(0.1, 64, 0)
    assert Recipe(0.1, 64, 0).layer_sizes == (784, 10)
    assert Recipe(0.1, 64, 2, 32, "GELU").layer_sizes == (784, 32, 32, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "recipe.learning_rate must be a finite number > 0, got 0.0"),
        ({"learning_rate": float("inf")}, "recipe.learning_rate must be a finite number > 0, got inf"),
        ({"batch_size": 0}, "recipe.batch_size must be an integer >= 1, got 0"),
        ({"depth": 1.0}, "recipe.depth must be an integer >= 0, got 1.0"),
        ({"width": None}, "recipe.width must be an integer >= 1, got None"),
        ({"activation": "relu"}, "recipe.activation must be one of ReLU, Sigmoid, GELU, got 'relu'"),
        ({"epochs": True}, "recipe.epochs must be an integer >= 1, got True"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, object], message: str) -> None:
    """A recipe that no network can follow is refused with name, rule and value."""
    good = {"learning_rate": 0.1, "batch_size": 4, "depth": 1, "width": 8, "activation": "ReLU"}
    with pytest.raises(errors.RecipeError) as raised:
        Recipe(**{**good, **change})  # type: ignore[arg-type]
    assert str(raised.value) == message


def test_last_batch_may_be_partial() -> None:
    """Steps cover all images, the last batch being smaller where they do not divide."""
    assert Recipe(0.1, 128, 0).steps_per_epoch(600) == 5
    assert Recipe(0.1, 1, 0).steps_per_epoch(600) == 600
    assert Recipe(0.1, 1000, 0).steps_per_epoch(600) == 1
