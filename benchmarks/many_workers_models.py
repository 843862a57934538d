"""The queueing model behind docs/scaling.md, fitted to what `many_workers.py` has measured."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Line:
    """`at + by * x`, by least squares."""

    at: float
    by: float

    @classmethod
    def through(cls, points: list[tuple[float, float]]) -> "Line":
        """Fitted to points; one point alone is a constant."""
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        spread = sum((a - x) ** 2 for a, _ in points)
        by = sum((a - x) * (b - y) for a, b in points) / spread if spread else 0.0
        return cls(y - by * x, by)

    def __call__(self, x: float) -> float:
        """Its value."""
        return self.at + self.by * x


def report(seen: Mapping[Any, Any], check: float) -> Iterator[str]:
    """What comes of it."""
    yield ""
