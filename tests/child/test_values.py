"""Values that a program says are found in its lines, and nothing else is taken for one."""

from typing import Any

import pytest

from search.child import values

STDOUT = {"from": "stdout", "pattern": r"(?:epoch (?P<step>\d+) )?acc=(?P<value>\S+)"}
ONE_GROUP = {"from": "stdout", "pattern": r"loss: (\S+)"}
OPTIONAL = {"from": "stdout", "pattern": r"epoch (?P<step>\d+)(?: acc=(?P<value>\S+))?"}
FILE = {"from": "file", "value": "accuracy", "step": "epoch"}


@pytest.mark.parametrize(
    ("metric", "line", "found"),
    [
        (STDOUT, "epoch 7 acc=0.5", (7, 0.5)),
        (STDOUT, "... acc=1e-3 ...", (4, 0.001)),
        (STDOUT, "acc=much", None),
        (STDOUT, "loss=3", None),
        (STDOUT, "epoch 1764172800000 acc=0.5", None),
        (OPTIONAL, "epoch 7 acc=0.5", (7, 0.5)),
        (OPTIONAL, "epoch 7 begins", None),
        (ONE_GROUP, "loss: -2 then", (4, -2.0)),
        (FILE, '{"accuracy": 0.25, "epoch": 9, "more": [1]}', (9, 0.25)),
        (FILE, '{"accuracy": 1}', (4, 1.0)),
        (FILE, '{"accuracy": null}', None),
        (FILE, '{"epoch": 9}', None),
        (FILE, '{"accuracy": 0.25, "epoch": 2147483647}', (2147483647, 0.25)),
        (FILE, '{"accuracy": 0.25, "epoch": 2147483648}', None),
        (FILE, '{"accuracy": 0.25, "epoch": -1}', None),
        (FILE, '{"accuracy": 0.25, "epoch": Infinity}', None),
        (FILE, '{"accuracy": 1%s}' % ("0" * 400), None),
        (FILE, '{"accuracy": 0.2', None),
        (FILE, "[1]", None),
        (FILE, "", None),
    ],
)
def test_a_line_has_a_value_or_none(metric: dict[str, Any], line: str, found: tuple[int, float] | None) -> None:
    """By the pattern or the keys; without a step it is the next one after the third."""
    assert values.find(metric, line, 3) == found
