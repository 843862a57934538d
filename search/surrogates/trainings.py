"""What a surrogate is told of a trial."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import numpy


class Stage(enum.Enum):
    """How far a trial is."""

    COMPLETE = "trained to its end"
    ENDED = "ended early: what it had then counts"
    PAUSED = "paused: it may go on"
    RUNNING = "trained now"


@dataclasses.dataclass(frozen=True)
class Training:
    """One trial.

    Attributes:
        values: (steps,) as reported, the first step first; empty where nothing was.
        value: what it was told with; None where it was not.
        seconds: training time so far.
    """

    number: int
    params: Mapping[str, Any]
    stage: Stage
    values: numpy.ndarray
    value: float | None = None
    seconds: float = 0.0

    @property
    def has_value(self) -> bool:
        """Whether anything was reported or told."""
        return self.value is not None or len(self.values) > 0

    @property
    def last(self) -> float:
        """What it was told with, or has reported last; nan without either."""
        if self.value is not None:
            return self.value
        return float(self.values[-1]) if len(self.values) else math.nan
