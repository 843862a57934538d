"""A configuration as numbers that follow from the space alone: places on lines, logarithmic where they are long."""

import math
from collections.abc import Sequence
from typing import Any

import numpy

from search.space import scalars, spaces
from search.space.parameters import Parameter

FOLD = 8.0  # from which span on numbers lie on a logarithmic line
MIDDLE = 0.5  # where a parameter lies that does not exist

Array = numpy.ndarray[Any, Any]


def is_log(low: float, high: float) -> bool:
    """Whether numbers of this span lie on a logarithmic line."""
    return low > 0 and high / low >= FOLD


class Features:
    """The axes of a space: a number a column, a choice a column for each value.

    Attributes:
        owners: the place of each column's parameter in the space.
    """

    def __init__(self, space: spaces.Space) -> None:
        self._axes = [_Axis(parameter) for parameter in space.parameters]
        self.owners = numpy.repeat(numpy.arange(len(self._axes)), [axis.width for axis in self._axes])

    def of(self, configurations: Sequence[spaces.Params]) -> Array:
        """The configurations as rows, each number from 0 to 1."""
        found = numpy.empty((len(configurations), len(self.owners)))
        start = 0
        for axis in self._axes:
            known: dict[tuple[type, Any], list[float]] = {}
            for row, params in zip(found, configurations, strict=True):
                value = params.get(axis.name, axis)
                row[start : start + axis.width] = known.setdefault((type(value), value), axis.at(value))
            start += axis.width
        return found


class _Axis:
    """One parameter: choices that are all numbers lie on a line, too."""

    def __init__(self, parameter: Parameter) -> None:
        self.name = parameter.name
        values = parameter.values
        self._choices: list[Any] | None = None
        if not parameter.is_numeric and not all(type(each) in (int, float) for each in values or ()):
            self._choices = list(values or ())
        self.width = 1 if self._choices is None else len(self._choices)
        if self._choices is None:
            bounds = (parameter.distribution.low, parameter.distribution.high) if parameter.is_numeric else values  # type: ignore[attr-defined]
            low, high = float(min(bounds or (0.0,))), float(max(bounds or (1.0,)))
            self._is_log = is_log(low, high)
            self._low, self._high = (math.log(low), math.log(high)) if self._is_log else (low, high)

    def at(self, value: Any) -> list[float]:
        """The numbers of a value; of none, where the axis itself stands for it, those of no choice."""
        if self._choices is not None:
            place = None if value is self else scalars.find(self._choices, value)
            return [math.sqrt(0.5) * (each == place) for each in range(self.width)]  # two choices are one apart
        if value is self or self._high == self._low:
            return [MIDDLE]
        number = math.log(value) if self._is_log else float(value)
        return [(number - self._low) / (self._high - self._low)]
