from collections.abc import Sequence

import pytest
from optuna import distributions

from search.space import levels, parameters, spaces


@pytest.mark.parametrize(
    ("recorded", "value", "nearest", "line"),
    [((2, 4, 16), 9, 4, "a line"), ((1, 4, 10), 7, 10, "a logarithmic line")],
)
def test_the_nearest_level(recorded: Sequence[int], value: int, nearest: int, line: str) -> None:
    """It is the nearest by difference, or by ratio where levels span ten-fold; and that is said."""
    space = spaces.Space((parameters.Parameter("size", distributions.IntDistribution(1, 16)),))
    found = levels.Levels(space, [{"size": each} for each in recorded], whole=True)
    assert found.params({"size": value}) == {"size": nearest}
    assert f"its nearest recorded level on {line}: " in found.notes[0]
